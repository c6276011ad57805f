"""Language models at work: the `Engine` protocol, vLLM in the process, OpenAI-compatible servers, and what keeps
them alive and busy.

Only `vllm_engine` imports vLLM. What is asked of an engine is the business of `rephrase.prompting`.
"""

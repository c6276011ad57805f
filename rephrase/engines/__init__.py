"""Running language models: the `Engine` protocol, in-process vLLM, OpenAI-compatible servers, and the code that keeps
them alive and busy.

Only `vllm_engine` and `vllm_copy_penalty` import vLLM. Prompts are built in `rephrase.prompting`.
"""

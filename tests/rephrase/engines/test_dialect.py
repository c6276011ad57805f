"""What a refusal is about, in the words of the servers that people use."""

import json

import httpx
import pytest
from openai import AsyncOpenAI

from rephrase.engines.dialect import is_about_the_text, is_too_long

TOO_LONG = {
    "OpenAI": (400, {"error": {"message": "This model's maximum context length is 4097 tokens. However, your"}}),
    "Groq": (400, {"error": {"message": "Please reduce the length.", "code": "context_length_exceeded"}}),
    "vLLM": (400, {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."}),
    "SGLang": (400, {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."}),
    "llama.cpp": (
        400,
        {"error": {"message": "the request exceeds the available context size. try"}},
    ),
    "older llama.cpp": (500, {"error": {"message": "context shift is disabled", "type": "server_error"}}),
    "Ollama": (500, {"error": "input length exceeds maximum context length"}),
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}),
    "Anthropic": (400, {"type": "error", "error": {"message": "prompt is too long: 208310 tokens > 200000 maximum"}}),
    "Gemini": (400, [{"error": {"message": "The input token count (2000000) exceeds the maximum number of tokens"}}]),
    "TensorRT-LLM": (400, {"message": "The sum of prompt length (5000.0) should not exceed max_num_tokens (4096)"}),
    "LMDeploy": (400, {"message": "The prompt length 5000 exceeds session_len 4096"}),
    "a proxy": (413, "<html>413 Request Entity Too Large</html>"),
}
OTHERS = [
    (400, {"error": {"message": "Unable to load model context"}}),
    (400, {"error": {"message": "max_tokens is too large: 16384. This model supports at most 4096 completion tokens"}}),
    (500, {"error": "CUDA out of memory"}),
    (503, {"error": {"message": "the maximum context length is being changed"}}),
    (400, {"error": {"message": None, "code": None}}),
    (400, {"error": {"message": 5, "code": [], "param": 7}}),
    (400, "null"),
]


def refusal(status, body):
    text = body if isinstance(body, str) else json.dumps(body)
    answer = httpx.Response(status, text=text, request=httpx.Request("POST", "http://server/v1"))
    return AsyncOpenAI(api_key="none", base_url="http://server/v1")._make_status_error_from_response(answer)


@pytest.mark.parametrize("server", TOO_LONG)
def test_each_server_has_its_own_words_for_a_prompt_that_is_too_long(server):
    assert is_too_long(refusal(*TOO_LONG[server]))


@pytest.mark.parametrize(("status", "body"), OTHERS)
def test_other_refusals_are_about_something_else(status, body):
    assert not is_too_long(refusal(status, body))
    assert not is_about_the_text(refusal(status, body))


@pytest.mark.parametrize(
    "error",
    [
        {"message": "The response was filtered due to the prompt triggering a content management policy."},
        {"message": "Sorry.", "code": "content_filter"},
        {"message": "Your input was flagged."},
    ],
)
def test_a_filter_refuses_what_a_text_says(error):
    assert is_about_the_text(refusal(400, {"error": error}))

"""What a server sends is a completion, or a malformed answer with the field that is wrong: never anything else."""

import contextlib
import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rephrase.engines.openai_answer import (
    MAX_TOKENS,
    MalformedAnswerError,
    read_completion,
    read_first_token,
    read_models,
)

CHAT = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It rained."}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}


def changed(answer, path, value):
    found = copy.deepcopy(answer)
    *parents, last = path
    place = found
    for name in parents:
        place = place[name]
    place[last] = value
    return json.dumps(found).encode()


def test_a_completion_is_read():
    found = read_completion(json.dumps(CHAT).encode())
    assert (found.text, found.finish_reason) == ("It rained.", "stop")
    assert (found.n_prompt_tokens, found.n_completion_tokens, found.n_cached_tokens) == (9, 3, 4)


def test_the_first_token_is_read_with_its_rivals():
    likely = [{"token": "Yes", "logprob": -0.2}, {"token": " No", "logprob": -2}]
    answer = copy.deepcopy(CHAT)
    answer["choices"][0]["logprobs"] = {"content": [{**likely[0], "top_logprobs": likely}, likely[1]]}
    assert read_first_token(json.dumps(answer).encode()) == {"Yes": -0.2, " No": -2.0}
    for nothing in (None, {"content": None}, {"content": []}):
        answer["choices"][0]["logprobs"] = nothing
        assert read_first_token(json.dumps(answer).encode()) == {"It rained.": 0.0}
    answer["choices"][0]["logprobs"] = {"content": [{"token": "Yes", "logprob": None}]}
    with pytest.raises(MalformedAnswerError, match="logprob"):
        read_first_token(json.dumps(answer).encode())


def test_the_logprob_of_a_completion_is_that_of_all_tokens():
    answer = copy.deepcopy(CHAT)
    tokens = [{"token": "It", "logprob": -0.5, "top_logprobs": []}, {"token": " rained.", "logprob": -2}]
    answer["choices"][0]["logprobs"] = {"content": tokens}
    assert read_completion(json.dumps(answer).encode()).logprob == -2.5
    # Other forms do not make the text any worse.
    odd = [[{"token": "It"}], [{"token": "It", "logprob": None}], [{"token": "It", "logprob": -1e999}], []]
    for other in (None, [], -1, {"tokens": ["It"], "token_logprobs": [-1]}, *({"content": found} for found in odd)):
        answer["choices"][0]["logprobs"] = other
        found = read_completion(json.dumps(answer).encode())
        assert (found.text, found.logprob) == ("It rained.", None)


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("usage",), None, "It rained."),
        (("usage",), {}, "It rained."),
        (("usage",), {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None}, "It rained."),
        (("usage", "prompt_tokens_details"), {"cached_tokens": None, "audio": 1}, "It rained."),
        (("choices", 0, "finish_reason"), None, "It rained."),
        (("choices", 0, "message", "content"), None, ""),
        (("choices", 0, "message", "content"), "", ""),
        (
            ("choices", 0, "message", "content"),
            [{"type": "text", "text": "It "}, {"type": "text", "text": "fell."}],
            "It fell.",
        ),
        (("choices", 0, "message", "content"), [{"type": "image_url"}, {"type": "text", "text": "Yes."}], "Yes."),
        (("choices", 0, "message", "content"), "half \ud800", "half ?"),
        (("choices", 0, "message", "content"), ["It ", {"type": "output_text", "text": "fell."}], "It fell."),
        (("choices", 0, "message", "reasoning"), [{"text": "hm"}], "It rained."),
        (("system_fingerprint",), {"x": [1]}, "It rained."),
    ],
)
def test_what_servers_leave_out_or_add_is_allowed(path, value, text):
    assert read_completion(changed(CHAT, path, value)).text == text


@pytest.mark.parametrize(
    ("given", "read"),
    [("STOP", "stop"), ("COMPLETE", "stop"), ("model_length", "length"), ("SAFETY", "content_filter"), ("x", "abort")],
)
def test_each_server_has_its_own_words_for_an_end(given, read):
    assert read_completion(changed(CHAT, ("choices", 0, "finish_reason"), given)).finish_reason == read


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("choices",), [], "choices"),
        (("choices",), None, "choices"),
        (("choices",), [None], r"choices\.0"),
        (("choices",), [{}], r"choices\.0\.message"),
        (("choices", 0, "message"), "text", "message"),
        (("choices", 0, "message", "content"), {"text": "x"}, "content"),
        (("choices", 0, "message", "content"), 7, "content"),
        (("choices", 0, "finish_reason"), {"reason": "stop"}, "finish_reason"),
        (("usage",), "many", "usage"),
        (("usage", "prompt_tokens"), "9", "prompt_tokens"),
        (("usage", "prompt_tokens"), -1, "prompt_tokens"),
        (("usage", "completion_tokens"), 2**63, "completion_tokens"),
        (("usage", "completion_tokens"), MAX_TOKENS + 1, "completion_tokens"),
        (("usage", "completion_tokens"), 1.5, "completion_tokens"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_named(path, value, where):
    with pytest.raises(MalformedAnswerError, match=where):
        read_completion(changed(CHAT, path, value))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"7", b'{"choices"', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_not_json_is_malformed(body):
    for read in (read_completion, read_first_token, read_models):
        with pytest.raises(MalformedAnswerError):
            read(body)


NAMES = st.sampled_from(["choices", "message", "content", "usage", "logprobs", "tokens", "data", "id", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(JSON, st.integers(0, 5))
def test_any_json_is_read_or_malformed(value, depth):
    paths = [("choices",), ("choices", 0), ("usage",), ("choices", 0, "message"), ("choices", 0, "logprobs"), ("x",)]
    try:
        body = changed(CHAT, paths[depth], value)
    except (KeyError, TypeError):
        return
    for read in (read_completion, read_first_token, read_models):
        with contextlib.suppress(MalformedAnswerError):
            read(body)


def test_a_list_of_models_needs_their_names():
    (model,) = read_models(b'{"data": [{"id": "m", "root": null, "max_model_len": 999}]}')
    assert (model.id, model.root, model.max_model_len) == ("m", None, 999)
    for body in (b'{"data": [{}]}', b'{"data": {"id": "m"}}', b'{"data": [{"id": ""}]}', b'{"models": []}'):
        with pytest.raises(MalformedAnswerError):
            read_models(body)

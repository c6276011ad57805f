import dataclasses

import pytest

from flows.running import run_setup
from rephrase.engines.engine import EngineInfo

INFO = EngineInfo(
    engine="vllm",
    model="a/b",
    model_revision="1",
    tokenizer="a/b",
    max_context_tokens=4096,
    max_in_flight=33,
    settings={"dtype": "float32", "options": {}, "system_role": True},
)


@pytest.mark.parametrize(
    ("fast", "settings", "said"),
    [
        ("float32", {}, ["a/b runs in float32: this processor has no units for bfloat16"]),
        ("float32", {"options": {"dtype": "float32"}}, []),
        ("bfloat16", {}, []),
        ("bfloat16", {"system_role": False}, ["a/b has no system role: the user's turn begins with the system's text"]),
    ],
)
def test_what_was_chosen_for_the_machine_and_the_model_is_said(fast, settings, said, monkeypatch):
    monkeypatch.setattr(run_setup, "fast_precision", lambda: fast)
    assert run_setup._how_it_runs(dataclasses.replace(INFO, settings={**INFO.settings, **settings})) == said

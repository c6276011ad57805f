"""The options that a resumed run must share with the first."""

import pytest
from pydantic import ValidationError

from flows.config import RephraseConfig
from rephrase.engines.opening import EngineConfig


def test_weights_are_pinned_by_content_and_not_by_path(tmp_path):
    weights = tmp_path / "weights.json"
    config = RephraseConfig(source="in", output="out", fidelity={"calibration": str(weights)})
    with pytest.raises(FileNotFoundError):
        config.pinned("model", "1", {})
    weights.write_text("one")
    before = config.pinned("model", "1", {})
    assert config.pinned("model", "1", {}) == before
    weights.write_text("two")
    after = config.pinned("model", "1", {})
    assert {name for name in before if before[name] != after[name]} == {"weights of the verdict"}


@pytest.mark.parametrize("endpoint", ["http://user:secret@host/v1", "https://secret@host:1/v1"])
def test_an_endpoint_with_a_password_is_refused_without_repeating_it(endpoint):
    with pytest.raises(ValidationError) as refused:
        EngineConfig(kind="openai", endpoints=(endpoint,))
    messages = " ".join(problem["msg"] for problem in refused.value.errors())
    assert "holds a user or password" in messages
    assert "secret" not in messages
    EngineConfig(kind="openai", endpoints=("http://host/v1?to=a@b",))


@pytest.mark.parametrize(
    ("source", "message"),
    [("", "it is empty"), (" ", "it is empty"), ("a\udcff", "not UTF-8"), ("http://u:secret@h/a.jsonl", "a password")],
)
def test_a_source_that_is_no_place_is_refused(source, message):
    with pytest.raises(ValidationError, match=message):
        RephraseConfig(source=source, output="out")
    RephraseConfig(source="s3://bucket/a@b:c.jsonl", output="out")


def test_the_model_of_the_judge_is_pinned_and_not_its_server():
    judged = {"judge_endpoints": ("http://one/v1",), "judge_model": "m"}
    plain = RephraseConfig(source="in", output="out").pinned("model", "1", {})
    # Plans of earlier versions name no judge.
    assert not {name for name in plain["fidelity"] if "judge" in name}
    by_itself = RephraseConfig(source="in", output="out", fidelity={"self_judge": True})
    assert by_itself.pinned("model", "1", {})["fidelity"]["self_judge"] is True
    one = RephraseConfig(source="in", output="out", fidelity=judged).pinned("model", "1", {})
    two = RephraseConfig(source="in", output="out", fidelity={**judged, "judge_endpoints": ("http://two/v1",)})
    assert one == two.pinned("model", "1", {})
    assert one["fidelity"]["judge_model"] == "m"
    with pytest.raises(ValueError, match="--judge-model"):
        RephraseConfig(source="in", output="out", fidelity={"judge_model": "m"})


def test_plans_of_runs_without_back_translations_do_not_know_them():
    plain, asked = (
        RephraseConfig(source="in", output="out", fidelity={"back_translation": on}).pinned("model", "1", {})[
            "fidelity"
        ]
        for on in (False, True)
    )
    assert asked == plain | {"back_translation": True}
    assert "back_translation" not in plain

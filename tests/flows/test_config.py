"""What a resumed run must have in common with the one before."""

import pytest

from flows.config import RephraseConfig


def test_weights_are_pinned_by_what_they_say_and_not_by_their_path(tmp_path):
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

"""The options that a resumed run must share with the first."""

import pytest

from flows.config import RephraseConfig


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

from pathlib import Path

import pytest

from training.loop.telemetry import Telemetry, read_metrics


def test_rows_are_read_back_by_kind_and_a_truncated_line_is_skipped(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, 0, 10)
    telemetry.write(1, "train", {"loss": 0.1 + 0.2})
    telemetry.write(1, "held_out", {"a": 2.0})
    telemetry.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "ki')
    assert list(read_metrics(tmp_path, "train")) == [{"step": 1, "kind": "train", "loss": 0.1 + 0.2}]
    assert len(list(read_metrics(tmp_path))) == 2


def test_resuming_drops_the_steps_after_the_checkpoint(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, 0, 10)
    for step in (1, 2, 3):
        telemetry.write(step, "train", {"loss": float(step)})
    telemetry.close()
    Telemetry(tmp_path, 2, 10).close()
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]


def test_scalars_go_to_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    telemetry = Telemetry(tmp_path, 0, 10)
    telemetry.write(4, "train", {"loss": 1.5, "max_logits": [[1.0]]})
    telemetry.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["train/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(4, 1.5)]


def test_a_kill_while_resuming_costs_no_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry(tmp_path, 0, 10)
    for step in (1, 2, 3):
        telemetry.write(step, "train", {"loss": float(step)})
    telemetry.close()

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        Telemetry(tmp_path, 2, 10)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3]

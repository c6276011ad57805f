from pathlib import Path

import pytest
import torch

from training.loop import checkpoint
from training.loop.checkpoint import Checkpoints, random_state, set_random_state


def test_round_trip_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, n_kept=2)
    for step in (1, 2, 3):
        checkpoints.save(step, {"w": torch.full((3,), float(step)), "n": torch.tensor(step)}, {"step": step})
    checkpoints.close()
    assert checkpoints.steps() == [2, 3]
    target = {"w": torch.zeros(3), "n": torch.tensor(0)}
    assert checkpoints.load(2, target) == {"step": 2}
    assert target["w"].tolist() == [2.0] * 3
    assert target["n"] == 2


def test_training_may_continue_while_it_is_written(tmp_path: Path) -> None:
    weight = torch.ones(1000)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": weight}, {})
    weight.zero_()
    checkpoints.close()
    saved = {"w": torch.zeros(1000)}
    checkpoints.load(1, saved)
    assert saved["w"].sum() == 1000


def test_a_save_cut_short_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": torch.ones(2)}, {})
    checkpoints.wait()

    def killed(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint.Storage, "write", killed)
    checkpoints.save(2, {"w": torch.ones(2)}, {})
    with pytest.raises(OSError, match="no space left"):
        checkpoints.close()
    assert Checkpoints(tmp_path).steps() == [1]


def test_another_models_checkpoint_is_rejected(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": torch.ones(2)}, {})
    checkpoints.close()
    with pytest.raises(ValueError, match=r"shape \(2,\) for w"):
        checkpoints.load(1, {"w": torch.ones(3)})
    with pytest.raises(ValueError, match="nothing for v"):
        checkpoints.load(1, {"v": torch.ones(3)})


def test_generators_continue() -> None:
    state = {name: tensor.clone() for name, tensor in random_state().items()}
    expected = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), expected)

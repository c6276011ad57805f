import errno
from pathlib import Path

import pytest
import torch

from training.loop import checkpoint
from training.loop.checkpoint import Checkpoints, random_state, set_random_state


def save_steps(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, {"w": torch.full((2,), float(step))}, {"step": step})
        checkpoints.wait()
    return checkpoints


def test_round_trip_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, n_kept=2)
    for step in (1, 2, 3):
        checkpoints.save(step, {"w": torch.full((3,), float(step)), "n": torch.tensor(step)}, {"step": step})
    checkpoints.close()
    assert checkpoints.steps() == [2, 3]
    target = {"w": torch.zeros(3), "n": torch.tensor(0)}
    assert checkpoints.load(2, target)["step"] == 2
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


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = save_steps(tmp_path, 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)  # torch flushes its files and wraps the error
        checkpoints.save(2, {"w": torch.ones(2)}, {})
        with pytest.raises(OSError, match=r"^no checkpoint could be written: the disk of .* is full .*free some space"):
            checkpoints.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    with pytest.raises(OSError, match="is full"):
        checkpoints.require_space({"w": torch.empty(1 << 60, device="meta")})


def test_every_flipped_byte_is_noticed_and_an_older_checkpoint_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = save_steps(tmp_path, 1, 2)
    newest = tmp_path / "step-00000002"
    files = sorted(newest.iterdir())
    assert [path.name for path in files] == [".metadata", "__0_0.distcp", "checksums.json", "state.json"]
    for path in files:
        good = path.read_bytes()
        for at in {0, len(good) // 3, len(good) // 2, len(good) - 1}:
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            target = {"w": torch.zeros(2)}
            assert checkpoints.load_newest(target) == {"step": 1, "has_checksums": True}
            assert target["w"].tolist() == [1.0, 1.0]
        path.write_bytes(good)
    assert "step-00000002 is broken: its __0_0.distcp is damaged; going on from step 1 instead" in caplog.text
    assert checkpoints.load_newest({"w": torch.zeros(2)}) == {"step": 2, "has_checksums": True}


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp", "checksums.json", "state.json", "everything"])
def test_a_checkpoint_without_a_file_is_skipped_and_written_anew(tmp_path: Path, name: str) -> None:
    checkpoints = save_steps(tmp_path, 1, 2)
    newest = tmp_path / "step-00000002"
    for path in newest.iterdir():
        if name in (path.name, "everything"):
            path.unlink()
    assert checkpoints.load_newest({"w": torch.zeros(2)}) == {"step": 1, "has_checksums": True}
    checkpoints = save_steps(tmp_path, 2)
    assert checkpoints.load_newest({"w": torch.zeros(2)}) == {"step": 2, "has_checksums": True}


def test_if_all_are_broken_nothing_begins_from_scratch(tmp_path: Path) -> None:
    checkpoints = save_steps(tmp_path, 1)
    (tmp_path / "step-00000001" / "state.json").write_text("{")
    with pytest.raises(
        ValueError, match=r"step-00000001 is broken: its state.json is damaged: remove .* to begin again"
    ):
        checkpoints.load_newest({"w": torch.zeros(2)})


def test_folders_of_other_names_are_ignored(tmp_path: Path) -> None:
    checkpoints = save_steps(tmp_path, 1)
    for name in ("step-00000007.bak", "step-", "step-7", ".step-00000009.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-00000008").write_text("a file")
    assert checkpoints.steps() == [1]


def test_checkpoints_of_version_0_1_have_no_checksums_and_are_read(tmp_path: Path) -> None:
    checkpoints = save_steps(tmp_path, 1, 2)
    for step in (1, 2):
        folder = tmp_path / f"step-{step:08d}"
        (folder / "checksums.json").unlink()
        (folder / "state.json").write_text(f'{{"step": {step}}}')
    assert checkpoints.load_newest({"w": torch.zeros(2)}) == {"step": 2}
    tensors = tmp_path / "step-00000002" / "__0_0.distcp"
    tensors.write_bytes(tensors.read_bytes()[:100])
    target = {"w": torch.zeros(2)}
    assert checkpoints.load_newest(target) == {"step": 1}
    assert target["w"].tolist() == [1.0, 1.0]


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


def test_broken_newer_checkpoints_do_not_push_out_the_whole_ones(tmp_path: Path) -> None:
    save_steps(tmp_path, 1, 4, 5)
    for step in (4, 5):
        (tmp_path / f"step-{step:08d}" / "state.json").write_text("{")
    checkpoints = Checkpoints(tmp_path, n_kept=1)
    assert checkpoints.load_newest({"w": torch.zeros(2)}) == {"step": 1, "has_checksums": True}
    for step in (2, 3):
        checkpoints.save(step, {"w": torch.full((2,), float(step))}, {"step": step})
    checkpoints.close()
    assert checkpoints.newest_whole() == 3
    assert checkpoints.steps() == [3, 4, 5]

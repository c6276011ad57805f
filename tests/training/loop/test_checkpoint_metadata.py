import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from training.loop.checkpoint import Checkpoints
from training.loop.checkpoint_metadata import SafeReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints = Checkpoints(tmp_path)
    tensors = {"w": torch.ones(2), "n": torch.tensor(1), "b": torch.ones(2, dtype=torch.bfloat16)}
    checkpoints.save(1, tensors, {})
    checkpoints.close()
    return tmp_path / "step-00000001"


class Command:
    """Unpickled, it runs a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def test_it_reads_what_torch_reads(folder: Path) -> None:
    stored = SafeReader(folder).read_metadata().state_dict_metadata
    assert {name: tuple(value.size) for name, value in stored.items()} == {"w": (2,), "n": (), "b": (2,)}
    assert stored["b"].properties.dtype == torch.bfloat16


def test_a_command_in_the_pickle_is_not_run(folder: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    honest = (folder / ".metadata").read_bytes()
    for data in (
        pickle.dumps(Command(ran)),
        pickle.dumps({"a": [Command(ran)]}),
        honest[:-1] + pickle.dumps(Command(ran)),
    ):
        (folder / ".metadata").write_bytes(data)
        with pytest.raises(ValueError, match=r"metadata is not the description .*was not opened"):
            SafeReader(folder).read_metadata()
    assert not ran.exists()
    # What torch itself does with it:
    (folder / ".metadata").write_bytes(pickle.dumps(Command(ran)))
    pickle.loads((folder / ".metadata").read_bytes())
    assert ran.exists()


@pytest.mark.parametrize(
    "code", [b"cbuiltins\neval\n.", b"ctorch\nload\n.", b"cpathlib\nPath\n.", b"ctorch\nhub.load\n.", b"", b"N."]
)
def test_other_names_and_damage_are_refused(folder: Path, code: bytes) -> None:
    (folder / ".metadata").write_bytes(code)
    with pytest.raises(ValueError, match="was not opened"):
        SafeReader(folder).read_metadata()


def test_a_file_outside_the_folder_is_refused(folder: Path) -> None:
    metadata = SafeReader(folder).read_metadata()
    for stored in metadata.storage_data.values():
        stored.relative_path = "../other"
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(ValueError, match=r"names the file \.\./other"):
        SafeReader(folder).read_metadata()

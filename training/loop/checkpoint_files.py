"""The files of a checkpoint with their checksums: damage after writing is noticed before anything is used."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

CHECKSUMS = "checksums.json"
STATE = "state.json"
METADATA = ".metadata"


class BrokenCheckpointError(ValueError):
    """A checkpoint lacks a file, or one of its files is not what was written."""


# Size and SHA-256 of files, by name: the content of `checksums.json`, which has all other files of its folder.
Checksums = dict[str, tuple[int, str]]


def checksums(files: Iterable[Path]) -> Checksums:
    return {path.name: (path.stat().st_size, _sha256(path)) for path in sorted(files)}


def verify(folder: Path, rank: int = 0, world_size: int = 1) -> None:
    """Check all files, or with others of `world_size` ranks together the `rank`-th part of them.

    Raises:
        BrokenCheckpointError: a file is missing, cut or changed.
    """
    missing = [name for name in (STATE, METADATA) if not (folder / name).is_file()]
    if missing:
        raise BrokenCheckpointError(f"it has no {missing[0]}")
    if not (folder / CHECKSUMS).is_file():
        if _state(folder).get("has_checksums"):
            raise BrokenCheckpointError(f"it has no {CHECKSUMS}")
        return  # written by version 0.1, which kept no checksums
    try:
        recorded = json.loads((folder / CHECKSUMS).read_bytes())
        expected = {str(name): (int(size), str(digest)) for name, (size, digest) in recorded.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise BrokenCheckpointError(f"its {CHECKSUMS} is damaged") from error
    for name in sorted({STATE, METADATA, *expected})[rank::world_size]:
        path = folder / name
        if not path.is_file():
            raise BrokenCheckpointError(f"it has no {name}")
        if name not in expected or (path.stat().st_size, _sha256(path)) != expected[name]:
            raise BrokenCheckpointError(f"its {name} is damaged")


def _state(folder: Path) -> dict[str, object]:
    try:
        state = json.loads((folder / STATE).read_bytes())
    except ValueError as error:
        raise BrokenCheckpointError(f"its {STATE} is damaged") from error
    return state if isinstance(state, dict) else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

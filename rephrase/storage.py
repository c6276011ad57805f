"""A folder on any fsspec filesystem, in which a file appears whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem


class OutputInUseError(RuntimeError):
    """Another process is writing to this folder."""


class Storage:
    """`Storage("s3://bucket/out")` or `Storage("out")`; names are relative to it and use forward slashes.

    A local write goes to a temporary name, is flushed to the disk and renamed, and the rename itself is flushed. An
    object store gets one upload, which it shows only when it is complete.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url).rstrip("/")
        self.fs, root = fsspec.core.url_to_fs(self.url)
        self.root = root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def exists(self, name: str = "") -> bool:
        # Another process may have written it since fsspec last listed the folder.
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(self.path(name)))

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def write(self, name: str, data: bytes) -> None:
        """Write `data` under `name`, replacing what was there, in one step that a crash cannot cut in two."""
        if not self.is_local:
            self.fs.pipe_file(self.path(name), data)
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(target.parent)

    def write_json(self, name: str, value: object) -> None:
        self.write(name, json.dumps(value, ensure_ascii=False, indent=1).encode())

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """The names of the finished files in `folder`, sorted; a folder that does not exist has none."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)
        return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path(name), recursive=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the operating system lets go of it however the process ends.

        Object stores have no such lock: there the part names keep two runs from doubling a document, but the later
        writer of a part wins.

        Raises:
            OutputInUseError: another process holds it.
        """
        if not self.is_local:
            yield
            return
        import fcntl

        folder = Path(self.root)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise OutputInUseError(
                    f"another run is writing to {self.url}; wait for it, stop it, or choose another output folder"
                ) from error
            yield


def flush_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

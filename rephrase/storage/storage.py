"""A folder on any fsspec filesystem, in which a file appears whole or not at all."""

import contextlib
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import stamina
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from rephrase.storage.filesystem import filesystem_of
from rephrase.storage.run_folder import FOLDERS

T = TypeVar("T")

# How long to retry a remote filesystem that does not answer, or answers 503.
GIVE_UP_AFTER_S = 600.0
N_READERS = 16
# Errors that a retry does not change.
_LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_LASTING_ERRNO = {errno.EINVAL, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.EROFS}


class DamagedFileError(ValueError):
    """A file of a run is not what a run writes: cut off, emptied, or changed by hand."""

    def __init__(self, file: str, error: Exception, remedy: str = "restore it from a copy") -> None:
        problem = str(error) or type(error).__name__
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            problem = f"{'.'.join(map(str, first['loc'])) or 'its content'}: {first['msg']}"
        super().__init__(f"{file} is damaged ({problem}): {remedy}")


class Storage:
    """`Storage("s3://bucket/out")` or `Storage("out")`; names are relative to it and use forward slashes.

    A local write goes to a temporary name, is flushed to the disk and renamed, and the rename itself is flushed. An
    object store gets one upload, which becomes visible only when complete; a store that does not answer is retried with
    backoff for ten minutes.
    """

    def __init__(self, url: str | Path, *, give_up_after_s: float = GIVE_UP_AFTER_S) -> None:
        self.url = str(url).rstrip("/")
        self._give_up_after_s = give_up_after_s
        self.fs, root = filesystem_of(self.url)
        self.root = root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)
        # Called before each write while the folder is locked; raises if the lock is lost.
        self.require_held: Callable[[], None] = lambda: None

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def exists(self, name: str = "") -> bool:
        # Another process may have written it since fsspec last listed the folder.
        self.fs.invalidate_cache()
        return bool(self._with_retries(self.fs.exists, self.path(name)))

    def read(self, name: str) -> bytes:
        path = Path(self.path(name))
        if self.is_local and path.exists() and not path.is_file():
            raise IsADirectoryError(f"{str(path)!r} is not a file")  # reading a pipe may never end
        return bytes(self._with_retries(self.fs.cat_file, self.path(name)))

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read many small files, concurrently on a remote filesystem; files that are missing are left out."""

        def read(name: str) -> tuple[str, bytes | None]:
            try:
                return name, self.read(name)
            except FileNotFoundError:
                return name, None

        with ThreadPoolExecutor(1 if self.is_local else N_READERS) as pool:
            for name, data in pool.map(read, names):
                if data is not None:
                    yield name, data

    def read_json(self, name: str) -> Any:
        """
        Raises:
            DamagedFileError: it is not JSON.
        """
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise DamagedFileError(f"{self.url}/{name}", error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write `data` under `name` atomically, replacing what was there.

        Raises:
            OutputInUseError: another run has taken over this folder, which `lock.locked` had locked.
        """
        self.require_held()
        if not self.is_local:
            self._with_retries(self.fs.pipe_file, self.path(name), data)
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
        # Lone surrogates, from a file name that is not UTF-8, become JSON's escapes.
        self.write(name, json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))

    def create(self, name: str, data: bytes) -> None:
        """Write a file that does not exist yet, atomically where the filesystem supports it.

        Raises:
            FileExistsError: it exists.
        """
        self._with_retries(self.fs.pipe_file, self.path(name), data, mode="create")

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """The names of the finished files in `folder`, sorted; a folder that does not exist has none."""
        self.fs.invalidate_cache()
        try:
            found = self._with_retries(self.fs.ls, self.path(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)
        return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))

    def find(self, folders: Iterable[str]) -> list[str]:
        """All files in and below these folders, including hidden ones, sorted, as names relative to this storage."""
        self.fs.invalidate_cache()
        start = len(self.path("")) + 1
        found = (self._with_retries(self.fs.find, self.path(folder)) for folder in folders)
        return sorted(str(path)[start:] for paths in found for path in paths)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with its contents, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._with_retries(self.fs.rm, self.path(name), recursive=True)

    def remove_temporary_files(self) -> None:
        """Remove what interrupted writes left behind. Call it only while holding the lock of the folder."""
        if not self.is_local:
            return
        root = Path(self.root)
        for folder in (root, *(root / name for name in FOLDERS), *(root / "journal").glob("part-*")):
            for path in folder.glob(".*.tmp"):
                if is_temporary(path.name):
                    path.unlink(missing_ok=True)

    def _with_retries(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        if self.is_local:
            return call(*arguments, **options)
        for attempt in stamina.retry_context(
            on=is_transient, attempts=None, timeout=self._give_up_after_s, wait_initial=0.5, wait_max=30.0
        ):
            with attempt:
                return call(*arguments, **options)
        raise AssertionError("the retry loop ends by returning or raising")


def is_temporary(name: str) -> bool:
    """Whether a file is one that `Storage.write` was interrupted in: temporary files of others are not ours."""
    return re.fullmatch(r"\..+\.[0-9a-f]{32}\.tmp", name) is not None


def is_transient(error: Exception) -> bool:
    """Whether an error of a remote filesystem may disappear on a retry."""
    if isinstance(error, FSTimeoutError | TimeoutError):
        return True
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING) and error.errno not in _LASTING_ERRNO
    # s3fs does not wrap the connection errors of botocore.
    botocore = sys.modules.get("botocore.exceptions")
    return botocore is not None and isinstance(error, botocore.ConnectionError | botocore.HTTPClientError)


def flush_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

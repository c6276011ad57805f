"""Which files of a file, folder or glob are the corpus, on any fsspec filesystem."""

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rephrase.storage.filesystem import filesystem_of, real_path
from rephrase.storage.run_folder import HEAD_BYTES, PLAN_NAME, is_plan
from rephrase.storage.storage import is_transient

logger = logging.getLogger(__name__)

TEXT_SUFFIXES = (".txt", ".md", ".tex")
# C4 and Dolma name compressed JSON Lines `.json.gz`.
JSONL_SUFFIXES = (
    *(".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json.gz", ".json.zst"),
)
PARQUET_SUFFIXES = (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSONL_SUFFIXES + PARQUET_SUFFIXES
# What lies beside the data at the top of a data set and is not part of it.
_ABOUT_THE_DATA = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|changelog|contributing|authors)\b[^/]*", re.IGNORECASE
)
SLOW_LISTING_S = 3.0
PLACE_BYTES = 1 << 16  # read at each of the places of a fingerprint
# A file that was modified in the last YOUNG_S may still be being written; it is watched for WATCHED_S.
YOUNG_S, WATCHED_S = 60.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file of the corpus. `name` is its path below SOURCE; `version` is a value that changes with its content.

    `content` is its fingerprint, once it is planned: size and time alone may be those of another file.
    Bytes of a name that are not UTF-8 are written `\\xff` in `name`, and are lone surrogates in `path`.
    """

    path: str
    name: str
    n_bytes: int
    version: str
    content: str = ""


def file_format(path: str) -> Literal["text", "jsonl", "parquet"] | None:
    """The format by the ending of the name, in capitals or not; None if it is none that is read."""
    name = path.lower()
    if name.endswith(TEXT_SUFFIXES):
        return "text"
    if name.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return "jsonl" if name.endswith((*JSONL_SUFFIXES, ".json")) else None


def list_inputs(source: str, output: str | None = None) -> tuple[list[InputFile], list[str]]:
    """The input files of a file, folder or glob, sorted by path, and the names of files in other formats.

    Neither the folder `output` nor what another run wrote is part of the corpus. A folder that may not be listed is
    taken for an unreadable file, so that it is in the account. What takes longer than SLOW_LISTING_S is logged.

    Raises:
        FileNotFoundError: there is nothing at `source`.
        ValueError: there are files, but none in a supported format.
    """
    if not source.strip():
        raise ValueError("SOURCE is empty: give a file, a folder or a glob")
    with _said_if_slow(f"waiting for the list of all files at {source!r} …"):
        return _list_inputs(source, output)


@contextlib.contextmanager
def _said_if_slow(message: str) -> Iterator[None]:
    timer = threading.Timer(SLOW_LISTING_S, logger.warning, (message,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _list_inputs(source: str, output: str | None) -> tuple[list[InputFile], list[str]]:
    fs, root = filesystem_of(source)
    named = False  # by the user, so that it is read whatever it is called
    if fs.isdir(root):
        base, paths = root.rstrip("/"), _find(fs, root)
    elif any(sign in root for sign in "*?[") and not fs.exists(root):
        base, named = re.split(r"[^/]*[*?\[]", root)[0].rstrip("/"), True
        # A glob may match folders, as Spark names them.
        paths = [inner for path in fs.glob(root) for inner in (_find(fs, path) if fs.isdir(path) else [path])]
    else:
        base, paths, named = root.rsplit("/", 1)[0], [root] if fs.exists(root) else [], True
    if not paths:
        raise FileNotFoundError(f"nothing to read at {source!r}")
    if not (paths := _without_runs(fs, paths, base, output)):
        raise ValueError(
            f"all files at {source!r} belong to a run or lie in the output folder: name the folder of the documents, "
            "or RUN/rewrites, and an output outside it"
        )
    local = isinstance(fs, LocalFileSystem)
    if local and named and paths == [root] and Path(root).exists() and not Path(root).is_file():
        raise ValueError(
            f"{source!r} is a pipe, a socket or a device, which is not read: write its content to a file first"
        )
    files, skipped = [], []
    for path in sorted(set(paths)):
        name = _printable(path.removeprefix(base).lstrip("/"))
        wanted = file_format(path) if named and len(paths) == 1 else _is_data(name, named)
        if local and Path(path).is_dir():
            wanted = not _is_hidden(name)
        elif local and Path(path).exists() and not Path(path).is_file():
            wanted = False  # a pipe, a socket or a device: reading it may not end
        if not wanted:
            skipped.append(name)
            continue
        n_bytes, version = _state(fs, path)
        url = fs.unstrip_protocol(path) if source.find("://") > 0 else path
        files.append(InputFile(path=url, name=name, n_bytes=n_bytes, version=version))
    if not files:
        raise ValueError(
            f"no file at {source!r} is read as documents, which end in {', '.join(SUFFIXES)}; found "
            f"{', '.join(skipped[:5])}. Hidden files, a README and the like, and .json are read only if named; pipes "
            "and devices never are"
        )
    return files, skipped


def list_finished(source: str, output: str | None) -> tuple[list[InputFile], list[str]]:
    """As `list_inputs`, without the files that are being written: those of the last minute that change within a second.

    The files of an object store appear when they are complete.
    """
    files, skipped = list_inputs(source, output)
    young = [file for file in files if "://" not in file.path and time.time() - float(file.version or 0) < YOUNG_S]
    if not young:
        return files, skipped
    time.sleep(WATCHED_S)
    growing = {file.name for file in young if has_changed(file)}
    return (
        [file for file in files if file.name not in growing],
        [*skipped, *(f"{name} (still being written)" for name in sorted(growing))],
    )


def has_changed(file: InputFile) -> bool:
    """Whether the file has changed since it was listed, or planned."""
    fs, path = filesystem_of(file.path)
    fs.invalidate_cache()
    if _state(fs, path) != (file.n_bytes, file.version):
        return True
    return bool(file.content) and fingerprint(file) != file.content


def fingerprint(file: InputFile) -> str:
    """A digest of eight places of a file on this machine, which is all of a small one; "" if it cannot be read.

    The version that an object store gives is of the content already.
    """
    if "://" in file.path:
        return ""
    found = hashlib.sha256()
    n_places = 8
    try:
        with open(file.path, "rb") as raw:  # noqa: PTH123  a path may hold bytes that are not UTF-8
            for place in range(n_places):
                raw.seek(max(0, file.n_bytes - PLACE_BYTES) * place // (n_places - 1))
                found.update(raw.read(PLACE_BYTES))
    except OSError:
        return ""
    return found.hexdigest()[:16]


def is_transient_store_error(url: str, error: Exception) -> bool:
    """Whether the object store failed, not the file; Arrow's own errors, which concern the file, have no errno."""
    remote = "://" in url and not url.startswith(("file://", "local://"))
    return remote and is_transient(error) and not (type(error) is OSError and error.errno is None)


def _is_data(name: str, named: bool) -> bool:
    """Whether a file found in a folder is meant as data: not hidden, and no file about the data set at its top."""
    if _is_hidden(name) or (name.lower().endswith(".json") and not named):  # a setting, more often than documents
        return False
    return file_format(name) is not None and not (file_format(name) == "text" and _ABOUT_THE_DATA.fullmatch(name))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _find(fs: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """All files below a folder; on this machine also those in linked folders, and the folders that cannot be listed."""
    return list(_walk(folder, set())) if isinstance(fs, LocalFileSystem) else [str(path) for path in fs.find(folder)]


def _walk(folder: str, seen: set[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder that is listed already, perhaps to one above
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError:
        yield folder
        return
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(entry.path, seen)
        else:
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: an unreadable file, like a link to nothing
        return False


def _without_runs(fs: fsspec.AbstractFileSystem, paths: list[str], base: str, output: str | None) -> list[str]:
    """The paths that are neither in `output` nor in the folder of another run below `base`, by whatever links."""

    def real(path: str) -> str:
        return os.path.realpath(path) if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))

    plans = [path for path in paths if path.rsplit("/", 1)[-1] == PLAN_NAME and path.startswith(base + "/")]
    runs = {real(path).rsplit("/", 1)[0] for path in plans if is_plan(fs.cat_file(path, 0, HEAD_BYTES))}
    if output is not None:
        runs.add(real_path(output))
    inside = tuple(folder.rstrip("/") + "/" for folder in runs)
    return [path for path in paths if not inside or not real(path).startswith(inside)]


def _state(fs: fsspec.AbstractFileSystem, path: str) -> tuple[int, str]:
    """Size and version of a file; 0 and "" if it does not exist, such as a broken link."""
    try:
        info = fs.info(path)
    except OSError as error:
        if is_transient_store_error(fs.unstrip_protocol(path), error):
            raise
        return 0, ""
    version = next(
        (str(info[key]) for key in ("ETag", "etag", "mtime", "LastModified", "md5Hash") if info.get(key)), ""
    )
    return int(info["size"] or 0), version


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

"""From a path or URL to its filesystem, whatever characters the name holds.

fsspec takes `::` in a name for a chain of filesystems, as in `simplecache::s3://bucket/key`. Files may be called that,
too.
"""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem


def filesystem_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of a path or URL, and the path on it; a name that exists on this machine is that file.

    Raises:
        ValueError: there is a protocol and nothing else, or it is not known.
    """
    if "://" in url and not url.partition("://")[2].strip("/"):
        raise ValueError(f"{url!r} is incomplete: a bucket or host, and a path, follow the protocol")
    first, _, rest = url.partition("::")
    is_chain = bool(rest) and ("://" in rest or (first.isalpha() and first in fsspec.available_protocols()))
    if os.path.lexists(url) or ("://" not in url and not is_chain):
        return LocalFileSystem(), str(LocalFileSystem._strip_protocol(url))
    if is_chain or not rest:
        try:
            fs, path = fsspec.core.url_to_fs(url)
        except TypeError as error:  # a filesystem that needs more than a URL
            raise ValueError(f"{url!r} cannot be opened by its address alone: {error}") from error
        return fs, str(path)
    kind = fsspec.get_filesystem_class(url.partition("://")[0])
    return kind(**kind._get_kwargs_from_urls(url)), str(kind._strip_protocol(url))


def open_file(url: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file for reading bytes."""
    fs, path = filesystem_of(url)
    opened: AbstractContextManager[IO[bytes]] = fs.open(path, "rb")
    return opened


def is_same_file(one: str, other: str) -> bool:
    """Whether two paths or URLs name the same place, by whatever links."""
    return real_path(one) == real_path(other)


def real_path(url: str) -> str:
    """The URL with links followed, so that two names of the same place are equal."""
    fs, path = filesystem_of(url)
    return os.path.realpath(path) if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path)).rstrip("/")


# A file of settings, a recipe or weights is smaller by far; a device may have no end.
MAX_SETTINGS_BYTES = 64 << 20


def read_settings(url: str) -> str:
    """The text of a file of settings.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a pipe or a device, too large, or not UTF-8.
    """
    fs, path = filesystem_of(url)
    if isinstance(fs, LocalFileSystem) and Path(path).exists() and not Path(path).is_file():
        raise ValueError(f"{url!r} is not a file")
    with open_file(url) as file:
        data = file.read(MAX_SETTINGS_BYTES + 1)
    if len(data) > MAX_SETTINGS_BYTES:
        raise ValueError(f"{url!r} has more than {MAX_SETTINGS_BYTES >> 20} MB, too many for a file of settings")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{url!r} is not UTF-8: {error}") from error

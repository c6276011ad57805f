"""From a path or URL to its filesystem, whatever characters the name holds.

fsspec takes `::` in a name for a chain of filesystems, as in `simplecache::s3://bucket/key`. Files may be called that,
too.
"""

import os
from contextlib import AbstractContextManager
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem


def filesystem_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of a path or URL, and the path on it; a name that exists on this machine is that file."""
    first, _, rest = url.partition("::")
    is_chain = bool(rest) and ("://" in rest or (first.isalpha() and first in fsspec.available_protocols()))
    if os.path.lexists(url) or ("://" not in url and not is_chain):
        return LocalFileSystem(), str(LocalFileSystem._strip_protocol(url))
    if is_chain or not rest:
        fs, path = fsspec.core.url_to_fs(url)
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

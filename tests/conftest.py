"""Tests keep Prefect's database, and what they cache, to themselves; those that run in parallel share the cores."""

import os
import sys
import tempfile

_home = tempfile.mkdtemp(prefix="palimpsest-tests-prefect-")
os.environ.update(
    PREFECT_HOME=_home,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="180",
    DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
)
os.environ.pop("PREFECT_API_URL", None)
if n_workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Workers that each spin as many threads as there are cores mostly wait for each other: torch was ten times slower.
    # Not `setdefault`: the process that started the workers has set it for itself, below.
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // n_workers))

from rephrase.engines.vllm_engine import set_environment  # noqa: E402  before torch is imported

set_environment()


def pytest_sessionfinish() -> None:
    """Stop Prefect's temporary server now: at exit it logs to a stream that pytest has closed."""
    if module := sys.modules.get("prefect.server.api.server"):
        for server in [*module.SubprocessASGIServer._instances.values()]:
            server.stop()

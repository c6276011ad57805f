"""Tests keep Prefect's database, and what they cache, to themselves; those that run in parallel share the cores."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent

_home = tempfile.mkdtemp(prefix="palimpsest-tests-prefect-")
os.environ.update(
    PREFECT_HOME=_home,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="600",
    DO_NOT_TRACK="1",
    HF_HUB_OFFLINE="1",
)
os.environ.pop("PREFECT_API_URL", None)
if n_workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    # Workers that each spin as many threads as there are cores mostly wait for each other: torch was ten times slower.
    # Not `setdefault`: the process that started the workers has set it for itself, below.
    os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // n_workers))

from hypothesis import HealthCheck, settings  # noqa: E402

from rephrase.engines.vllm_engine import set_environment  # noqa: E402  before torch is imported

set_environment()

# A stalled machine takes longer over an example than any deadline; and what is drawn is the same in every run, so that
# a failure comes with the change that caused it. `make test-random` draws anew.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")

# These share one Prefect server: to start it takes longer than most tests.
WITH_SERVER = (
    "flows/test_rephrasing.py",
    "flows/test_pretraining.py",
    "flows/test_chaos.py",
    "flows/running/test_task_runs.py",
    "flows/running/test_metrics.py",
    "flows/test_cycling.py",
    "flows/test_earlier_versions.py",
    "flows/test_s3.py",
)
# The files that take longest begin first, so that no worker is left alone with one at the end.
FIRST = (
    "flows/serving/test_serve.py",
    "rephrase/engines/test_vllm_engine.py",
    "test_static_checks.py",
    "training/loop/test_trainer.py",
    "training/loop/test_layouts.py",
    "fuzz/test_hostile_texts.py",
    "infra/test_infra.py",
    "fuzz/test_wrong_calls.py",
    "rephrase/engines/test_openai_engine.py",
)


def pytest_xdist_auto_num_workers() -> int:
    """Three for two cores: a third of the time, tests wait for servers and for processes that they stop."""
    return len(os.sched_getaffinity(0)) * 3 // 2


class FilesAndServer(LoadScopeScheduling):
    """The tests of a file run in one worker, and so do those of all files that use a Prefect server."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "server" if path.removeprefix("tests/") in WITH_SERVER else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesAndServer:
    return FilesAndServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    use_it = {item.path for item in items if "api" in getattr(item, "fixturenames", ())}
    if unnamed := use_it - {TESTS / name for name in WITH_SERVER}:
        raise pytest.UsageError(f"the fixture 'api' starts a server: name {sorted(map(str, unnamed))} in WITH_SERVER")
    places = {TESTS / name: place for place, name in enumerate((*WITH_SERVER, *FIRST))}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_sessionfinish() -> None:
    """Stop Prefect's temporary server now: at exit it logs to a stream that pytest has closed."""
    if module := sys.modules.get("prefect.server.api.server"):
        for server in [*module.SubprocessASGIServer._instances.values()]:
            server.stop()

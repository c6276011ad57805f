from pathlib import Path

import pytest
from chaos import command_server, prefect_api
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker


@pytest.fixture(scope="session")
def api():
    """A Prefect server for all tests of this process; the environment of what uses it."""
    with prefect_api() as settings:
        yield settings
        # What flows of this process still have to report is sent before the server ends.
        APILogWorker.drain_all(timeout=30)
        EventsWorker.drain_all(timeout=30)


@pytest.fixture(scope="session")
def commands(api):
    """Commands of the tests start fast and share one Prefect API; the folder of its database."""
    with command_server(api):
        yield Path(api["PREFECT_HOME"])

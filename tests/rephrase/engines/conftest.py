import contextlib

import pytest
from answering_server import Server


@pytest.fixture
def serve():
    """Start servers with these answers; they end with the test."""
    servers = []

    def start(*answers, **options):
        servers.append(Server(*answers, **options))
        return servers[-1]

    yield start
    for server in servers:
        with contextlib.suppress(OSError):
            server.close()

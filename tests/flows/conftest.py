import pytest
from chaos import command_server


@pytest.fixture(scope="session")
def commands():
    """Commands of the tests start fast and share one Prefect API; the folder of its database."""
    with command_server() as home:
        yield home

"""The password of the server that `serve` starts: made once, readable by its user only."""

import re

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_HOME, temporary_settings

from flows.running.server_password import given_password, kept_password, password_file


@pytest.fixture
def home(tmp_path):
    with temporary_settings({PREFECT_HOME: tmp_path / "new"}):
        yield tmp_path / "new"


def test_it_is_made_once_and_kept_for_its_user(home):
    password = kept_password()
    assert password_file().stat().st_mode & 0o777 == 0o600
    assert kept_password() == password
    assert [*home.iterdir()] == [password_file()]
    password_file().unlink()
    assert kept_password() != password


@pytest.mark.parametrize("content", [b"", b"\n", b"palimpsest:", b"palimpsest", b"\xff" * 40, b"a:b c" * 9, b"a:short"])
def test_a_damaged_file_is_replaced(home, content):
    """An empty one would start a server that asks for no password."""
    first = kept_password()
    password_file().write_bytes(content)
    second = kept_password()
    assert second != first
    assert re.fullmatch(r"palimpsest:\S{32}", second)
    assert kept_password() == second


def test_a_password_that_others_could_read_is_replaced(home):
    first = kept_password()
    password_file().chmod(0o644)
    assert kept_password() != first
    assert password_file().stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("given", "expected"), [(None, None), ("admin:a:b", ("admin", "a:b"))])
def test_a_client_gives_what_is_set(given, expected):
    with temporary_settings({PREFECT_API_AUTH_STRING: given}):
        assert given_password() == expected

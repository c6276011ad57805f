"""The lock of a local folder."""

import errno
import fcntl
from contextlib import ExitStack

import pytest

from rephrase.storage.lease import OutputInUseError
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage


def test_a_holder_that_is_about_to_end_is_waited_for(tmp_path):
    held, told = ExitStack(), []
    held.enter_context(locked(Storage(tmp_path)))

    def end_the_other(message: str) -> None:
        told.append(message)
        held.close()

    with (
        locked(Storage(tmp_path), end_the_other, wait_s=60),
        pytest.raises(OutputInUseError, match="another run is writing to"),
        locked(Storage(tmp_path)),
    ):
        pass
    assert len(told) == 1
    assert "waiting up to 60 s" in told[0]


def test_a_holder_that_stays_is_named_after_the_wait(tmp_path):
    with (
        locked(Storage(tmp_path)),
        pytest.raises(OutputInUseError, match="another run is writing to"),
        locked(Storage(tmp_path), wait_s=0.3),
    ):
        pass


def test_a_filesystem_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    told = []
    with locked(Storage(tmp_path), told.append):
        pass
    assert "cannot be locked" in told[0]

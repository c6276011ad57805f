import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from training.launching.processes import ProcessLostError, run_processes
from training.loop.stopping import RunStoppedError, StopRequest


class UnpicklableError(Exception):
    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{text} {number}")


def rank() -> int:
    return int(os.environ["RANK"])


def note(folder: Path, _: StopRequest) -> str:
    (folder / f"{rank()} of {os.environ['WORLD_SIZE']}").touch()
    return f"of {rank()}"


def fail(error: Exception, _: StopRequest) -> None:
    """The second process fails; the first follows, as when their connection breaks."""
    if rank() == 0:
        time.sleep(1)
        raise RuntimeError("connection closed by peer")
    raise error


def be_killed(_: StopRequest) -> None:
    if rank() == 0:
        time.sleep(0.2)
        raise RuntimeError("connection closed by peer")
    os.kill(os.getpid(), signal.SIGKILL)


def wait_to_be_stopped(folder: Path, stop: StopRequest) -> None:
    (folder / str(rank())).touch()
    while not stop.signal:
        time.sleep(0.01)
    raise RunStoppedError(stop.signal, step=7)


def wait_for_ever(folder: Path, _: StopRequest) -> None:
    (folder / str(rank())).touch()
    time.sleep(600)


def when_all_have_begun(folder: Path, act: object) -> threading.Thread:
    def watch() -> None:
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.05)
        act()  # type: ignore[operator]

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_each_knows_its_rank_and_the_first_one_answers(tmp_path: Path) -> None:
    assert run_processes(2, partial(note, tmp_path)) == "of 0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0 of 2", "1 of 2"]


def test_the_first_error_is_raised_with_where_it_was() -> None:
    with pytest.raises(ValueError, match="a bad option") as raised:
        run_processes(2, partial(fail, ValueError("a bad option")))
    assert "in process 1 of 2" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="UnpicklableError: number 3"):
        run_processes(2, partial(raise_unpicklable))


def raise_unpicklable(_: StopRequest) -> None:
    raise UnpicklableError(3, "number")


def test_a_killed_process_is_named_rather_than_the_errors_that_follow() -> None:
    with pytest.raises(ProcessLostError, match="process 1 of the run was ended by SIGKILL"):
        run_processes(2, be_killed)


@pytest.mark.parametrize("asked", ["by a signal", "by the request"])
def test_a_request_to_stop_reaches_all(tmp_path: Path, asked: str) -> None:
    stop, before = StopRequest(), signal.getsignal(signal.SIGTERM)
    ask = partial(os.kill, os.getpid(), signal.SIGTERM) if asked == "by a signal" else stop.set
    thread = when_all_have_begun(tmp_path, ask)
    with pytest.raises(RunStoppedError, match="stopped by SIGTERM; saved at step 7"):
        run_processes(2, partial(wait_to_be_stopped, tmp_path), stop)
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_interrupt_ends_all_at_once(tmp_path: Path) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = when_all_have_begun(tmp_path, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_processes(2, partial(wait_for_ever, tmp_path))
    thread.join()

"""A run that receives SIGTERM stops, wherever its event loop happens to be."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from prefect.exceptions import TerminationSignal
from served import TESTS

from flows.running.process import SERVED_BY, graceful_stop


async def work(sent_from):
    """Wait for a helper that never ends; the signal arrives while a callback, or the helper, is running."""
    closed = []

    async def helper():
        if sent_from == "helper":
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(3600)

    async def run():
        with graceful_stop():
            if sent_from == "callback":
                asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(helper())
            finally:
                closed.append(True)

    with pytest.raises(TerminationSignal):
        await run()
    assert closed == [True]


@pytest.mark.parametrize("sent_from", ["callback", "helper"])
def test_sigterm_cancels_the_body_and_runs_its_cleanup(sent_from):
    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(asyncio.wait_for(work(sent_from), 20))
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_cancellation_is_not_changed():
    async def cancelled():
        with graceful_stop():
            asyncio.current_task().cancel()
            await asyncio.sleep(3600)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_run_whose_serve_was_killed_before_it_began_ends_at_once():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    script = "from flows.running.process import prepare_process; prepare_process(); print('it goes on')"
    variables = {**os.environ, "PYTHONPATH": str(TESTS.parent), SERVED_BY: str(gone.pid)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")


def test_a_run_whose_output_nobody_reads_any_more_goes_on(tmp_path):
    script = (
        "import pathlib, sys; from rich.console import Console; import flows.running.process as process\n"
        "process.Console.on_broken_pipe = process._discard_output\n"
        "console = Console(file=sys.stderr)\n"
        "sys.stdin.read()\n"
        "for _ in range(3): console.print('a line of log', end='\\n'); print('another', flush=True)\n"
        f"pathlib.Path({str(tmp_path / 'done')!r}).write_text('yes')\n"
    )
    pipe = subprocess.PIPE
    variables = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    run = subprocess.Popen([sys.executable, "-c", script], env=variables, stdin=pipe, stdout=pipe, stderr=pipe)
    # As when its worker is killed.
    for stream in (run.stdout, run.stderr, run.stdin):
        stream.close()
    assert run.wait(120) == 0
    assert (tmp_path / "done").read_text() == "yes"

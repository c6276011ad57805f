"""A run that receives SIGTERM stops, wherever its event loop happens to be."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from prefect.exceptions import TerminationSignal
from served import TESTS

from flows.running.process import SERVED_BY, graceful_stop, prepare_process


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
    asyncio.run(work(sent_from))
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_cancellation_is_not_changed():
    async def cancelled():
        with graceful_stop():
            asyncio.current_task().cancel()
            await asyncio.sleep(3600)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def exit_code(call):
    """How a process ends that does this, forked from this one, which has imported everything."""
    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    process.join()
    return process.exitcode


def test_a_run_whose_serve_was_killed_before_it_began_ends_at_once(monkeypatch):
    gone = multiprocessing.get_context("fork").Process(target=int)
    gone.start()
    gone.join()
    monkeypatch.setenv(SERVED_BY, str(gone.pid))
    assert exit_code(prepare_process) == 128 + signal.SIGTERM


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
    assert run.wait() == 0
    assert (tmp_path / "done").read_text() == "yes"

"""What is waited for in a daemon thread: its outcome, and that a stopped process does not wait on."""

import subprocess
import sys

import pytest

from flows.running.daemon_thread import in_daemon_thread


async def test_it_gives_what_the_function_returns_or_raises():
    assert await in_daemon_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(divmod, 7, 0)


def test_a_process_that_is_cancelled_meanwhile_ends_without_waiting():
    script = (
        "import asyncio, time\n"
        "from flows.running.daemon_thread import in_daemon_thread\n"
        "async def main():\n"
        "    waiting = asyncio.ensure_future(in_daemon_thread(time.sleep, 3600))\n"
        "    await asyncio.sleep(0.1)\n"
        "    waiting.cancel()\n"
        "    try:\n"
        "        await waiting\n"
        "    except asyncio.CancelledError:\n"
        "        print('stopped')\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    assert ended.stdout == "stopped\n"
    assert not ended.stderr

"""What the process of a flow run sees to before it starts, however it was started."""

import ctypes
import os
import signal
import sys

from rephrase.engine_vllm import set_environment

SERVED_BY = "PALIMPSEST_SERVED_BY"  # the process id of `palimpsest serve`, in the environment of its runs
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def prepare_process() -> None:
    """Set what vLLM and torch read when they are imported, and end when `palimpsest serve` does."""
    set_environment()
    if (parent := os.environ.get(SERVED_BY)) and sys.platform == "linux" and os.getppid() == int(parent):
        # A `kill -9` leaves `serve` no time to stop its runs; the kernel asks them to stop instead.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""Whether code ends in a time that only code of the wrong order of growth exceeds."""

import time
from collections.abc import Callable


def ends_within(limit_s: float, call: Callable[[], object]) -> bool:
    """Whether a call takes less than `limit_s` of the processor; if not at once, in one of three attempts.

    Loading what is used first, and a virtual machine that stands still, lengthen one call; slow code lengthens all.
    """
    for _ in range(3):
        began = time.process_time()
        call()
        if time.process_time() - began < limit_s:
            return True
    return False

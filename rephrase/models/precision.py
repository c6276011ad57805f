"""The floating-point format that this machine multiplies fast.

A processor without bfloat16 units emulates them: a product of two 512 × 512 matrices ran at 1.2 GFLOP/s in bfloat16 and
at 80 in float32 on one with AVX2 alone, at 31 and 153 on one with AVX-512 (torch 2.13, one thread).
"""

import functools
from pathlib import Path
from typing import Literal

# As Linux names them: x86 with AVX-512 or AMX, and Arm.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@functools.cache
def fast_precision() -> Literal["bfloat16", "float32"]:
    """bfloat16 on a GPU and on processors with bfloat16 units, else float32.

    Decided by the reported hardware features, not by a measurement, so that the answer is the same each time.
    """
    import torch

    if torch.cuda.is_available():
        return "bfloat16"
    return "bfloat16" if _BFLOAT16_FLAGS & _cpu_flags() else "float32"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    names = ("flags", "Features")  # on x86, on Arm
    return {flag for line in lines if line.startswith(names) for flag in line.partition(":")[2].split()}

"""Types and layers are part of the tests: beside them they cost no time of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", ["mypy", "mypy --config-file tests/benchmarks/mypy.ini", "lint-imports"])
def test_nothing_is_found(command):
    program, *options = command.split()
    found = subprocess.run(
        [Path(sys.executable).with_name(program), *options], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr

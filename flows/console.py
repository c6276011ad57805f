"""Output shared by all commands: two consoles, JSON, and errors as one line with an exit code."""

import asyncio
import errno
import json
import os
import sys
from collections.abc import Sequence

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from flows.results.display import HIDDEN
from flows.results.terminal import safe_console

out = safe_console()
err = safe_console(stderr=True)

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def print_json(value: object) -> None:
    # In JSON, a hidden character stands in a string, where its escape is the same.
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write(HIDDEN.sub(lambda match: f"\\u{ord(match.group()):04x}", text) + "\n")


class readable_errors:  # noqa: N801  reads as a statement
    """Turn errors that the user can act on into one line and an exit code.

    PALIMPSEST_DEBUG=1 shows the traceback instead.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, BaseExceptionGroup):
            error = leaf_exceptions(error)[0]
        if error is None or os.environ.get("PALIMPSEST_DEBUG"):
            return
        stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
        # Prefect's, for SIGTERM and for Cancel in the UI, and that of a training run.
        if stopped or type(error).__name__ in ("TerminationSignal", "CancelledRun", "RunStoppedError"):
            err.print("[yellow]stopped; finished work is kept. Run the same command again to resume.[/yellow]")
            raise typer.Exit(EXIT_INTERRUPTED if stopped else EXIT_TERMINATED)
        if isinstance(error, ValidationError):
            fail("; ".join(map(_described, error.errors())))
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            fail(f"{error}; free some space and run the same command again: finished work is kept")
        from_s3 = type(error).__module__.startswith("botocore.")  # no credentials, no connection
        if from_s3 or isinstance(error, ValueError | RuntimeError | OSError | ImportError):
            fail(f"{error}" if str(error) else type(error).__name__)


def _described(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")  # pydantic's own words before ours
    text = ": ".join(filter(None, (".".join(map(str, problem["loc"])), message)))
    # Our own messages name the value where it matters; the input of one about several values is all of them.
    return text if problem["type"] in ("value_error", "missing") else f"{text} (got {problem['input']!r:.80})"


def fail(message: str) -> None:
    err.print("error:", style="bold red", end=" ")
    err.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def leaf_exceptions(group: BaseExceptionGroup) -> Sequence[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(leaf_exceptions(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found

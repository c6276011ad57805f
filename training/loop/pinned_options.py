"""What a run keeps from its start: the options that affect the computation, its precision and where it began."""

import json
from dataclasses import replace
from pathlib import Path

from rephrase.models.precision import fast_precision
from rephrase.storage.storage import Storage
from training.loop.checkpoint import Checkpoints
from training.loop.run_options import CHANGEABLE_OPTIONS, RunOptions
from training.loop.starting import find_start
from training.parallel import Ranks


def has_checkpoint(run: Path) -> bool:
    """Whether the run has begun: before its first checkpoint, nothing of it would be lost with other options."""
    return bool(Checkpoints(run / "checkpoints").steps())


def pin_options(run: Path, options: RunOptions, ranks: Ranks) -> None:
    """Write the options of a new run, or check those of one that has a checkpoint.

    Raises:
        ValueError: an option that affects the computation differs.
    """
    path = run / "run.json"
    if path.exists() and has_checkpoint(run):
        # An option that came later had its default.
        pinned, mine = RunOptions.from_json(json.loads(path.read_text())).to_json(), options.to_json()
        different = sorted(name for name in mine if name not in CHANGEABLE_OPTIONS and pinned[name] != mine[name])
        if different:
            changes = ", ".join(f"{name} was {pinned[name]!r} and is {mine[name]!r}" for name in different)
            raise ValueError(
                f"the run in {run} was started with other options: {changes}; restore them or use a new folder"
            )
    ranks.barrier()
    if ranks.is_writer:
        Storage(run).write_json("run.json", options.to_json())


def with_start(options: RunOptions, run: Path) -> RunOptions:
    """The options with the checkpoint that the run began at, if only the other run was named."""
    if options.start is None:
        return options
    pinned = json.loads((run / "run.json").read_text()).get("start") if (run / "run.json").exists() else None
    if pinned is not None and pinned.rpartition("@")[0] == options.start:
        return replace(options, start=pinned)
    return options if pinned == options.start else replace(options, start=str(find_start(options.start)))


def with_precision(options: RunOptions, run: Path) -> RunOptions:
    """The options with "auto" resolved: to the precision the run started with, else to what is fast here."""
    if options.precision != "auto":
        return options
    pinned = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {}
    return replace(options, precision=pinned.get("precision", fast_precision()))


def describe_precision(options: RunOptions) -> str:
    """What the run computes in, and why where that may surprise."""
    line = f"matrix products and Newton–Schulz in {options.precision}"
    if fast_precision() == "float32":
        line += ": this processor has no bfloat16 units"
        if options.precision != "float32":
            line += f" and emulates {options.precision}, many times slower than float32"
    return line

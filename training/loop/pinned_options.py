"""What a run keeps from its start: the options that affect the computation, its precision and where it began."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rephrase.models.precision import fast_precision
from rephrase.storage.storage import Storage
from training.data.run_tokenizer import tokenizer_of
from training.data.tokenizer import TextTokenizer
from training.loop.checkpoint import Checkpoints
from training.loop.run_options import CHANGEABLE_OPTIONS, RunOptions
from training.loop.starting import find_start, split_step
from training.parallel import Ranks


def has_checkpoint(run: Path) -> bool:
    """Whether the run has begun: before its first checkpoint, nothing of it would be lost with other options."""
    return bool(Checkpoints(run / "checkpoints").steps())


def pin_options(run: Path, options: RunOptions, ranks: Ranks) -> None:
    """Write the options of a new run, or check those of one that has a checkpoint.

    Raises:
        ValueError: an option that affects the computation differs.
    """
    if has_checkpoint(run) and (values := _pinned(run)):
        # An option that came later had its default.
        pinned, mine = RunOptions.from_json(values).to_json(), options.to_json()
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
    name, asked_step = split_step(options.start)
    asked = Path(name).absolute()
    pinned = _pinned(run).get("start") if has_checkpoint(run) else None
    if pinned is not None:
        folder, step = split_step(pinned)
        if asked == Path(folder).absolute() and asked_step in (None, step):
            return replace(options, start=pinned)
    return replace(options, start=str(find_start(f"{asked}" if asked_step is None else f"{asked}@{asked_step}")))


def with_tokenizer(options: RunOptions, run: Path) -> RunOptions:
    """The options with the tokenizer as named when the run began, if another name is that of the same one, or of none.

    From another working directory, a folder has another name; and it may be gone, as the run has a copy.
    """
    pinned = _pinned(run).get("tokenizer") if has_checkpoint(run) else None
    copy = tokenizer_of(run, "")
    if pinned is None or not copy or pinned == options.tokenizer:
        return options
    try:
        is_another = TextTokenizer(options.tokenizer).fingerprint != TextTokenizer(copy).fingerprint
    except ValueError:
        is_another = False
    return options if is_another else replace(options, tokenizer=pinned)


def start_tokenizer(start: str, run: Path) -> str:
    """The tokenizer of what a run starts from; once it has begun, its own: what it started from may be gone.

    Raises:
        ValueError: it cannot start from there.
    """
    pinned = _pinned(run).get("tokenizer") if has_checkpoint(run) else None
    return str(pinned or find_start(start).tokenizer)


def _pinned(run: Path) -> dict[str, Any]:
    path = run / "run.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def with_precision(options: RunOptions, run: Path) -> RunOptions:
    """The options with "auto" resolved: to the precision the run started with, else to what is fast here."""
    if options.precision != "auto":
        return options
    return replace(options, precision=_pinned(run).get("precision", fast_precision()))


def describe_precision(options: RunOptions) -> str:
    """What the run computes in, and why where that may surprise."""
    line = f"matrix products and Newton–Schulz in {options.precision}"
    if fast_precision() == "float32":
        line += ": this processor has no bfloat16 units"
        if options.precision != "float32":
            line += f" and emulates {options.precision}, many times slower than float32"
    return line

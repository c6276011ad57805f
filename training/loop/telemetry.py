"""Where a run's metrics go: a JSON Lines file, TensorBoard and Weights & Biases, and progress lines in the log."""

import importlib.util
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from rephrase.storage.storage import Storage

log = logging.getLogger("training")


class Sink(Protocol):
    """A place for metrics: `write` gets a row of a kind ("train", "held_out", "value") for each step that has one."""

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class MetricsFile:
    """`RUN/metrics.jsonl`: every value of every row."""

    def __init__(self, run: Path, resumed_step: int) -> None:
        self.path = run / "metrics.jsonl"
        kept = [row for row in read_metrics(run) if row["step"] <= resumed_step] if resumed_step else []
        # Whole or not at all: a kill must not cost the rows of the steps before.
        Storage(run).write(self.path.name, _lines(kept))
        self._file = self.path.open("a", buffering=1)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")

    def close(self) -> None:
        self._file.close()


class SkippedSteps:
    """`RUN/skipped.jsonl`: the documents of the steps that were left out, a row for each of them and each rank."""

    def __init__(self, run: Path) -> None:
        self.path = run / "skipped.jsonl"

    def write(self, number: int, row: Mapping[str, Any]) -> None:
        """Add a row of the `number`-th step that was left out, counted from 1."""
        with self.path.open("a") as file:
            file.write(json.dumps({"number": number, **row}) + "\n")

    def drop_after(self, number: int) -> None:
        """Drop what a resumed run has yet to come to again."""
        rows = [row for row in read_rows(self.path) if row.get("number", 0) <= number]
        if self.path.exists():
            Storage(self.path.parent).write(self.path.name, _lines(rows))


class TensorBoard:
    """`RUN/tensorboard/`: the scalars, as `kind/name`."""

    def __init__(self, run: Path, resumed_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_step + 1)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        for name, value in _scalars(values).items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run in a Weights & Biases project: the scalars, as `kind/name`; a resumed run continues under its id.

    Raises:
        ValueError: the package is not installed.
    """

    def __init__(self, run: Path, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ValueError("--wandb needs the package wandb: pip install wandb") from error
        id_file = run / "wandb-id"
        run_id = id_file.read_text() if id_file.exists() else wandb.util.generate_id()
        id_file.write_text(run_id)
        self._run = wandb.init(project=project, name=run.name, dir=str(run), id=run_id, resume="allow")

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        self._run.log({f"{kind}/{name}": value for name, value in _scalars(values).items()}, step=step)

    def close(self) -> None:
        self._run.finish()


class Telemetry:
    """Passes rows to all sinks, and logs progress; only rank 0 should create one.

    A resumed run continues the file; rows of steps after its checkpoint are dropped, as those steps are run again.
    """

    def __init__(self, run: Path, resumed_step: int, n_steps: int, wandb_project: str | None = None) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self._n_steps = n_steps
        metrics = MetricsFile(run, resumed_step)
        self._sinks: list[Sink] = [metrics]
        if importlib.util.find_spec("tensorboard"):
            self._sinks.append(TensorBoard(run, resumed_step))
        else:
            log.info("TensorBoard is not installed; metrics are written to %s", metrics.path)
        if wandb_project:
            self._sinks.append(WeightsAndBiases(run, wandb_project))

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write a row of metrics everywhere."""
        for sink in self._sinks:
            sink.write(step, kind, values)

    def progress(self, step: int, values: Mapping[str, Any], time_left: str) -> None:
        """Log one line: loss, learning rate, speed and time left, largest logit, clipped heads, busiest expert."""
        log.info(
            "step %d/%d  loss %.4f  lr %.2e  %.0f tok/s  MFU %.0f%%  %s left  max logit %.1f  clipped %.1f%%  "
            "expert load %.2f",
            *(step, self._n_steps, values["loss"], values["lr"], values["tokens_per_s"], 100 * values["mfu"]),
            *(time_left, values["max_logit"], 100 * values["share_clipped"], values["expert_load"]),
        )

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


def read_metrics(run: Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a run, of one kind or of all."""
    return (row for row in read_rows(run / "metrics.jsonl") if kind is None or row["kind"] == kind)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, if it exists; a last line truncated by a kill is skipped."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _scalars(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in values.items() if isinstance(value, int | float)}

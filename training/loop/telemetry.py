"""Where a run's figures go: a file of JSON lines, TensorBoard where it is installed, a line of progress in the log."""

import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("training")


class Telemetry:
    """Writes `RUN/metrics.jsonl` and `RUN/tensorboard/`. Only rank 0 should have one that writes.

    A resumed run continues the file: rows of steps after the checkpoint are of a future that did not happen.
    """

    def __init__(self, run: Path, resumed_step: int, n_steps: int) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self._n_steps = n_steps
        self._path = run / "metrics.jsonl"
        kept = [row for row in read_metrics(run) if row["step"] <= resumed_step] if resumed_step else []
        self._path.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._file = self._path.open("a", buffering=1)
        self._board: Any = None
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_step + 1)
        else:
            log.info("tensorboard is not installed; figures go to %s only", self._path)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """A row of figures; scalars also go to TensorBoard as `kind/name`."""
        self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def progress(self, step: int, values: Mapping[str, Any]) -> None:
        """One line: loss, learning rate, speed, largest logit, share of heads clipped, load of the fullest expert."""
        log.info(
            "step %d/%d  loss %.4f  lr %.2e  %.0f tok/s  max logit %.1f  clipped %.1f%%  expert load %.2f",
            *(step, self._n_steps, values["loss"], values["lr"], values["tokens_per_s"], values["max_logit"]),
            *(100 * values["share_clipped"], values["expert_load"]),
        )

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(run: Path, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a run, of one kind or of all; a last line that a kill cut short is left out."""
    path = run / "metrics.jsonl"
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if kind is None or row["kind"] == kind:
            yield row

"""Where a run's metrics go: a JSON Lines file, TensorBoard if it is installed, and progress lines in the log."""

import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("training")


class Telemetry:
    """Writes `RUN/metrics.jsonl` and `RUN/tensorboard/`; only rank 0 should create one.

    A resumed run continues the file; rows of steps after its checkpoint are dropped, as those steps are run again.
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
            log.info("TensorBoard is not installed; metrics are written only to %s", self._path)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write a row of metrics; scalars also go to TensorBoard as `kind/name`."""
        self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def progress(self, step: int, values: Mapping[str, Any]) -> None:
        """Log one line: loss, learning rate, speed, largest logit, share of clipped heads, busiest expert's load."""
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
    """The rows of a run, of one kind or of all; a last line truncated by a kill is skipped."""
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

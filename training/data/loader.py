"""The rows of each optimizer step, in an order that depends only on the data and the seed.

All ranks plan the same rows, which costs a few microseconds per row, but read only their own: a run can resume with
another number of processes and still see the same steps.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.data.batch import Batch, assemble
from training.data.mixture import Mixture
from training.data.packing import Packer
from training.data.sampler import DocumentSampler, Piece
from training.data.token_store import TokenStore

PREFETCHED_STEPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderConfig:
    """`rows_per_step` counts the rows of all ranks together: the global batch is rows_per_step · row_length tokens.

    `n_steps` is the planned length of the run, if it is known: see the sampler about documents that are read early.
    """

    row_length: int
    rows_per_step: int
    seed: int = 0
    held_out_share: float = 0.01
    n_steps: int | None = None

    @property
    def n_tokens(self) -> int | None:
        return None if self.n_steps is None else self.n_steps * self.rows_per_step * self.row_length

    def __post_init__(self) -> None:
        for name in ("row_length", "rows_per_step"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.held_out_share < 1:
            raise ValueError(f"held_out_share is {self.held_out_share}; it must be at least 0 and below 1")


@dataclass(frozen=True, slots=True)
class StepData:
    """This rank's rows of one step, and the loader state after it."""

    batch: Batch
    next_state: dict[str, Any]


class Loader:
    """Iterates over steps; a new loader given `load_state_dict(step.next_state)` continues after that step.

    Args:
        rank: the number of this process.
        world_size: the number of processes that share the rows of a step.

    Raises:
        ValueError: the rows of a step do not divide evenly among the ranks.
    """

    def __init__(
        self, store: TokenStore, mixture: Mixture, config: LoaderConfig, rank: int = 0, world_size: int = 1
    ) -> None:
        if config.rows_per_step % world_size:
            raise ValueError(f"{config.rows_per_step} rows per step do not divide evenly among {world_size} processes")
        self._store, self._config = store, config
        n_own = config.rows_per_step // world_size
        self._own = slice(rank * n_own, (rank + 1) * n_own)
        self._sampler = DocumentSampler(store, mixture, config.seed, config.held_out_share, config.n_tokens)
        self._packer = Packer(self._sampler.draw, config.row_length)

    def __iter__(self) -> Iterator[StepData]:
        """Steps until every stream has reached its cap; a background thread reads ahead."""
        ready: queue.Queue[StepData | BaseException | None] = queue.Queue(PREFETCHED_STEPS)
        stopped = threading.Event()

        def offer(item: StepData | BaseException | None) -> bool:
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return True
            return False

        def produce() -> None:
            try:
                while (step := self._next_step()) is not None and offer(step):
                    pass
                offer(None)
            except BaseException as error:
                offer(error)

        producer = threading.Thread(target=produce, name="loader", daemon=True)
        producer.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            producer.join()

    def _next_step(self) -> StepData | None:
        rows: list[list[Piece]] = []
        for _ in range(self._config.rows_per_step):
            row = self._packer.next_row()
            if row is None:
                return None
            rows.append(row)
        return StepData(assemble(self._store, rows[self._own], self._config.row_length), self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """How far the loader has read, which is ahead of what iteration has yielded; JSON values."""
        return {
            "data": self._store.fingerprint,
            "seed": self._config.seed,
            "held_out_share": self._config.held_out_share,
            **self._sampler.state_dict(),
            **self._packer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError if the state belongs to other data or another seed."""
        for name, mine in (("data", self._store.fingerprint), ("seed", self._config.seed)):
            if state[name] != mine:
                raise ValueError(
                    f"the checkpoint was made with {name} {state[name]} and this run has {mine}: "
                    "resume with the same shards, documents, tokenizer and seed, or start a new run"
                )
        self._sampler.load_state_dict(state)
        self._packer.load_state_dict(state)

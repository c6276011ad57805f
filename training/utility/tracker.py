"""Tracks a run's tokens: their losses at every step, and every few steps their alignment with held-out text."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from training.data.batch import Batch
from training.data.texts import Stream
from training.model.decoder import Decoder
from training.parallel import Ranks
from training.utility.alignment import TokenScores, probed_layers, scoring, target_gradients
from training.utility.ledger import N_REPETITIONS, UtilityLedger
from training.utility.value import token_values


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityConfig:
    """Every `align_every` steps, the gradient of `target_rows` held-out rows is compared with that of every token.

    `target_recipe` is a shell pattern: held-out rows of these recipes are the target that training should improve. If
    it matches nothing, all held-out rows are the target. With `align_every` 0, alignment is not measured.
    """

    align_every: int = 32
    target_rows: int = 2
    target_recipe: str = "original"

    def __post_init__(self) -> None:
        if self.align_every < 0 or self.target_rows < 1:
            raise ValueError(
                f"align_every is {self.align_every} and must be 0 or more; target_rows is {self.target_rows} and must "
                "be 1 or more"
            )


@dataclass
class UtilityTracker:
    """Called by the trainer in every step; `ledger` holds the result."""

    model: Decoder
    streams: list[Stream]
    held_out: Mapping[int, Batch]
    config: UtilityConfig
    ledger: UtilityLedger = field(init=False)
    _target: Batch | None = field(init=False)
    _gradients: list[Tensor] = field(init=False, default_factory=list)
    _scores: list[TokenScores] = field(init=False, default_factory=list)
    _sums: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = UtilityLedger(len(self.streams))
        self._layers = probed_layers(self.model)
        chosen = [
            batch
            for stream, batch in self.held_out.items()
            if fnmatchcase(self.streams[stream].recipe, self.config.target_recipe)
        ] or list(self.held_out.values())
        self._target = (
            Batch(*(torch.cat([getattr(b, f.name) for b in chosen]) for f in fields(Batch))) if chosen else None
        )
        self._clear()

    def begin_step(self, step: int, precision: Callable[[], AbstractContextManager[None]]) -> None:
        """Before the first micro-batch of a step: compute the target's gradient if it is due."""
        every = self.config.align_every
        if self._target is None or not every or step % every:
            return
        # A different part of the target each time, but the same on every rank.
        n_rows, size = len(self._target.tokens_BS), min(self.config.target_rows, len(self._target.tokens_BS))
        start = (step // every * size) % (n_rows - size + 1)
        with precision():
            target = self._target.rows(start, start + size).to(self.model.device)
            self._gradients = target_gradients(self.model, self._layers, target)

    @contextmanager
    def forward_pass(self) -> Iterator[None]:
        """Wrap the forward pass of a micro-batch; the micro-batches of a step come in their order."""
        if not self._gradients:
            yield
            return
        with scoring(self._layers, self._gradients) as scores:
            yield
        self._scores.append(scores)

    def add_rows(self, batch: Batch, losses_BS: Tensor, loss_scale: float) -> None:
        """After all passes of a step: add the losses of its tokens, and their scores if these are due.

        Args:
            loss_scale: the factor by which each token's loss was multiplied before differentiation.
        """
        groups_T = (batch.stream_BS * N_REPETITIONS + batch.repetition_BS.clamp(max=N_REPETITIONS - 1)).flatten()

        def add(row: int, values_BS: Tensor) -> None:
            self._sums[row] += torch.bincount(groups_T, values_BS.flatten().double(), minlength=self._sums.shape[1])

        add(0, torch.ones_like(losses_BS))
        add(1, losses_BS)
        if self._scores:
            add(2, torch.ones_like(losses_BS))
            add(3, torch.cat([scores.scores_BS for scores in self._scores]) / loss_scale)

    def end_step(self, ranks: Ranks) -> None:
        """After `add_rows`: add the sums of all ranks to the ledger. The last stage of a pipeline has the scores."""
        self.ledger.add_step(ranks.of_last_stage(ranks.sum_rows(self._sums)))
        self._clear()

    def discard_step(self) -> None:
        """Forget the micro-batches of a step that is not taken."""
        self._clear()

    def values_by_stream(self) -> dict[str, float]:
        """The recent value of each stream that has been measured."""
        measured = token_values(self.ledger).current_K
        return {str(s): float(v) for s, v in zip(self.streams, measured, strict=True) if v == v}

    def _clear(self) -> None:
        self._gradients, self._scores = [], []
        shape = (4, len(self.streams) * N_REPETITIONS)
        self._sums = torch.zeros(shape, dtype=torch.float64, device=self.model.device)

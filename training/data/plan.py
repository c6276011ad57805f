"""What a run will read from each stream, worked out before its first step: realised shares, epochs, and an early end.

Shares are met until a stream reaches its cap; from then on the others divide what is left in proportion to theirs, as
the sampler does. Shapes: K streams.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.mixture import Mixture, StreamShare, training_tokens
from training.data.texts import Stream
from training.data.token_store import TokenStore

# R* of repeated data is about 15 epochs (Muennighoff et al., arXiv 2305.16264): then a token teaches a third of what it
# taught at first.
MANY_EPOCHS = 16
# A share counts as missed from this relative difference on.
MISSED = 0.1
MAX_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """`n_tokens` are those of one epoch outside the held-out split; shares are of the tokens of the run."""

    stream: Stream
    n_tokens: int
    asked_share: float
    share: float
    n_epochs: float
    max_epochs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlan:
    """`n_tokens` is what the data can give of the `n_asked` tokens of the run."""

    streams: list[StreamPlan]
    n_asked: int
    n_tokens: int
    n_held_out: int
    n_documents: int

    def line(self) -> str:
        n_unique = sum(stream.n_tokens for stream in self.streams if stream.share)
        return (
            f"plan: {self.n_tokens:,} tokens from {sum(stream.share > 0 for stream in self.streams):,} streams of "
            f"{n_unique:,} tokens, {self.n_tokens / max(1, n_unique):.2f} epochs; "
            f"{self.n_held_out:,} of {self.n_documents:,} texts are held out"
        )

    def warnings(self, n_steps: int) -> list[str]:
        """What of the mixture and the `n_steps` cannot be met, or is unlikely to be meant."""
        return [
            *self._early_end(n_steps),
            *_of_streams(
                [s for s in self.streams if abs(s.share - s.asked_share) > MISSED * s.asked_share and s.n_tokens],
                lambda s: (
                    f"{s.stream} gets {s.share:.1%} of the tokens, not {s.asked_share:.1%}: "
                    + (
                        f"its {s.n_tokens:,} tokens end after {s.max_epochs} epochs"
                        if s.share < s.asked_share
                        else "others reach their caps"
                    )
                ),
            ),
            *_of_streams(
                [s for s in self.streams if s.n_epochs > MANY_EPOCHS],
                lambda s: (
                    f"{s.stream} is read {s.n_epochs:.0f} times: tokens repeated that often teach little; set "
                    "max_epochs in the mixture, or add documents"
                ),
            ),
            *_of_streams(
                [s for s in self.streams if s.n_tokens and not s.asked_share],
                lambda s: f"{s.stream} has {s.n_tokens:,} tokens and weight 0 in the mixture: it is left out",
            ),
        ]

    def to_json(self, n_steps: int) -> dict[str, Any]:
        streams = [{**asdict(stream), "stream": str(stream.stream)} for stream in self.streams]
        return {**asdict(self), "streams": streams, "warnings": self.warnings(n_steps)}

    def _early_end(self, n_steps: int) -> list[str]:
        if self.n_tokens >= self.n_asked:
            return []
        last = int(n_steps * self.n_tokens / self.n_asked)
        return [
            f"the data ends at step {last:,} of {n_steps:,}, before the schedule does: raise max_epochs in the "
            f"mixture, add documents, or ask for --n-steps {last}"
        ]


def plan_tokens(store: TokenStore, mixture: Mixture, held_out_share: float, n_tokens: int) -> TokenPlan:
    """What a run of `n_tokens` reads.

    Raises:
        ValueError: the mixture does not fit the store's streams.
    """
    n_unique_K = training_tokens(store, held_out_share)
    shares = mixture.shares(store.streams, n_unique_K)
    n_read_K = _read(shares, n_unique_K, n_tokens)
    total = float(n_read_K.sum())
    return TokenPlan(
        streams=[
            StreamPlan(
                stream=stream,
                n_tokens=int(n_unique),
                asked_share=float(share.weight),
                share=float(n_read / max(1.0, total)),
                n_epochs=float(n_read / max(1, n_unique)),
                max_epochs=share.max_epochs,
            )
            for stream, share, n_unique, n_read in zip(store.streams, shares, n_unique_K, n_read_K, strict=True)
        ],
        n_asked=n_tokens,
        n_tokens=round(total),
        n_held_out=int((store.split_D < held_out_share).sum()),
        n_documents=len(store.split_D),
    )


def _read(shares: Sequence[StreamShare], n_unique_K: NDArray[np.int64], n_tokens: int) -> NDArray[np.float64]:
    """The tokens read of each stream (K,)."""
    weight_K = np.array([share.weight for share in shares]) * (n_unique_K > 0)
    caps = [float(n) * (share.max_epochs or np.inf) if n else 0.0 for share, n in zip(shares, n_unique_K, strict=True)]
    cap_K = np.array(caps)
    read_K = np.zeros(len(cap_K))
    is_open_K = weight_K > 0
    while is_open_K.any():
        offered_K = weight_K / weight_K[is_open_K].sum() * (n_tokens - read_K[~is_open_K].sum())
        is_full_K = is_open_K & (offered_K >= cap_K)
        if not is_full_K.any():
            read_K[is_open_K] = offered_K[is_open_K]
            break
        read_K[is_full_K] = cap_K[is_full_K]
        is_open_K &= ~is_full_K
    return read_K


def _of_streams(streams: Sequence[StreamPlan], say: Callable[[StreamPlan], str]) -> list[str]:
    """A line for each of the first streams, and how many more there are."""
    lines = [say(stream) for stream in streams[:MAX_NAMED]]
    if len(streams) > MAX_NAMED:
        lines[-1] += f" (and {len(streams) - MAX_NAMED:,} more like it)"
    return lines

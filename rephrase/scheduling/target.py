"""Stop a run at a target number of accepted tokens: at the end of a document, with little overshoot."""

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Target:
    """The target: `n_tokens` accepted tokens over all sessions; None for no limit.

    A chain starts only while the finished tokens, plus those expected from the chains in progress, fall short of the
    target. So the engine drains towards the end of the run, and little more is written than was requested.
    """

    n_tokens: int | None = None
    expected_chunk_tokens: float = 256.0  # of an accepted rewrite, the prior until chunks are counted
    _by_part: dict[int, int] = field(default_factory=dict)
    _n_finished: int = 0
    _unfinished: dict[Hashable, int] = field(default_factory=dict)  # accepted tokens of each chain in progress
    _n_unfinished: int = 0  # their sum
    _n_seen_chunks: int = 0
    _n_seen_tokens: int = 0

    @property
    def n_finished(self) -> int:
        """Accepted tokens of finished documents."""
        return self._n_finished

    @property
    def reached(self) -> bool:
        return self.n_tokens is not None and self._n_finished >= self.n_tokens

    def set_part(self, part: int, n_tokens: int) -> None:
        """Set the finished tokens of a part, replacing its previous count."""
        self._n_finished += n_tokens - self._by_part.get(part, 0)
        self._by_part[part] = n_tokens

    def finish_chain(self, part: int, chain: Hashable, n_tokens: int) -> None:
        """A chain of a part ended with `n_tokens` accepted tokens: none if its document was rejected as a whole."""
        self._n_unfinished -= self._unfinished.pop((part, chain), 0)
        self.set_part(part, self._by_part.get(part, 0) + n_tokens)

    def add_chunk(self, part: int, chain: Hashable, n_tokens: int) -> None:
        """A chunk of a chain was written with `n_tokens` tokens for the output: 0 if there is nothing for it."""
        self._n_seen_chunks += 1
        self._n_seen_tokens += n_tokens
        self._unfinished[part, chain] = self._unfinished.get((part, chain), 0) + n_tokens
        self._n_unfinished += n_tokens

    def may_start_chain(self, n_chunks_open: int) -> bool:
        """Whether another chain may start while `n_chunks_open` chunks of started chains are still to be written."""
        if self.n_tokens is None:
            return True
        # The prior counts like one chunk.
        chunk_tokens = (self._n_seen_tokens + self.expected_chunk_tokens) / (self._n_seen_chunks + 1)
        return self._n_finished + self._n_unfinished + n_chunks_open * chunk_tokens < self.n_tokens

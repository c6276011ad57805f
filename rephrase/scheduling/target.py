"""Stop when so many tokens are accepted, at the end of a document and with little over."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Target:
    """`n_tokens` accepted tokens are wanted, over all sessions; None: all there are.

    A chain begins only while what is finished, and what the chains under way will probably bring, fall short. So the
    engine runs empty towards the end, and little more is written than was asked for.
    """

    n_tokens: int | None = None
    expected_chunk_tokens: float = 256.0  # of an accepted rewrite, until there is experience
    _by_part: dict[int, int] = field(default_factory=dict)
    _n_finished: int = 0
    _n_unfinished: int = 0  # accepted tokens of chains under way
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
        """What is known to be finished in a part, instead of what was known before."""
        self._n_finished += n_tokens - self._by_part.get(part, 0)
        self._by_part[part] = n_tokens

    def finish_chain(self, part: int, n_tokens: int) -> None:
        """A chain of a part came to its end with so many accepted tokens, each of them seen by `add_chunk`."""
        self._n_unfinished -= n_tokens
        self.set_part(part, self._by_part.get(part, 0) + n_tokens)

    def add_chunk(self, n_tokens: int) -> None:
        """A chunk was written, with so many accepted tokens: 0 when it was refused."""
        self._n_seen_chunks += 1
        self._n_seen_tokens += n_tokens
        self._n_unfinished += n_tokens

    def may_start_chain(self, n_chunks_open: int) -> bool:
        """Whether a further chain may begin beside `n_chunks_open` chunks that are still to be written."""
        if self.n_tokens is None:
            return True
        # The expectation counts like one chunk that was seen.
        chunk_tokens = (self._n_seen_tokens + self.expected_chunk_tokens) / (self._n_seen_chunks + 1)
        return self._n_finished + self._n_unfinished + n_chunks_open * chunk_tokens < self.n_tokens

"""The live counts of a run, shown by the progress line, a page of Prefect's UI and Prometheus."""

import time
from dataclasses import dataclass, field

from rephrase.dataset.plan import Part
from rephrase.dataset.rows import Row
from rephrase.records import TokenUsage


@dataclass(slots=True)
class Progress:
    """Live counts of a run, and notices to the user. `phase` is what is done before writing, and since when."""

    phase: tuple[str, float] | None = None
    n_records: int = 0
    n_records_done: int = 0
    n_documents_accepted: int = 0
    n_bytes: int = 0  # of source text, once per variant
    n_bytes_done: int = 0
    n_chunks_accepted: int = 0  # including those of earlier sessions
    n_chunks_rejected: int = 0  # likewise
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0  # generated in this session
    n_cached_tokens: int = 0
    n_tokens: int = 0  # of finished, accepted rewrites, including those of earlier sessions
    cost: float = 0.0  # likewise
    target_tokens: int | None = None
    n_journal_pending: int = 0  # finished, not yet on disk
    n_journal_entries: int = 0
    journal_s: float = 0.0
    n_engine_restarts: int = 0
    n_restarts_committed: int = 0
    notices: list[str] = field(default_factory=list)

    def begin(self, phase: str | None) -> None:
        """From now on, the run is in this phase; None: it writes."""
        self.phase = (phase, time.monotonic()) if phase else None

    def count_tokens(self, usage: TokenUsage) -> None:
        self.n_prompt_tokens += usage.n_prompt_tokens
        self.n_completion_tokens += usage.n_completion_tokens
        self.n_cached_tokens += usage.n_cached_tokens

    def take_engine_restarts(self) -> int:
        """The restarts since the last call, so that each is counted in one commit only."""
        n_new = self.n_engine_restarts - self.n_restarts_committed
        self.n_restarts_committed += n_new
        return n_new

    def count_part(self, part: Part, n_variants: int, commit: Row, sign: int = 1) -> None:
        """Add the counts of a part's commit; with sign -1, subtract them."""
        share = commit["n_records"] / part.n_records
        self.n_records_done += sign * commit["n_records"]
        self.n_documents_accepted += sign * commit["n_documents_accepted"]
        self.n_bytes_done += sign * round(share * part.n_bytes * n_variants)
        self.n_tokens += sign * commit["n_tokens"]
        self.cost += sign * commit.get("cost", 0.0)
        self.count_chunks(sign * commit.get("n_chunks", 0), sign * commit.get("n_chunks_accepted", 0))

    def count_chunks(self, n_chunks: int, n_accepted: int) -> None:
        """Add chunks that were not written in this session."""
        self.n_chunks_accepted += n_accepted
        self.n_chunks_rejected += n_chunks - n_accepted

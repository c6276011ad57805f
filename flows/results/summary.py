"""The summary of a run, read from its plan and commits."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rephrase.dataset.plan import Plan, load_plan
from rephrase.dataset.rows import Row
from rephrase.dataset.shards import read_commits
from rephrase.scheduling.cost import total_usage
from rephrase.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Every record read is accepted, rejected, still to do, or was not selected; chunks are accepted or rejected.

    A record is to do while any of its variants is: the run was stopped, or reached its target.
    `engine_s` and `cost` cover the committed parts, including rejected attempts and killed sessions; `usage` has the
    same counts for each route. `idle_share` is the share of the engine's slots that were idle, see
    `rephrase.scheduling.scheduler`; None for runs of earlier versions, which did not count.
    """

    output: str
    n_read: int
    n_accepted: int
    n_rejected: int
    n_to_do: int
    n_not_selected: int
    skipped_files: tuple[str, ...]
    routes: dict[str, int]
    n_parts: int
    n_parts_committed: int
    n_rewrites: int
    n_rejects: int
    n_chunks: int
    n_chunks_accepted: int
    n_source_tokens: int
    n_source_tokens_rewritten: int
    rejects_by_reason: dict[str, int]
    n_tokens: int
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int
    n_tokens_resumed: int
    n_engine_restarts: int
    seconds: float
    engine_s: float
    idle_share: float | None
    cost: float
    usage: dict[str, dict[str, Any]]

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second, including those of rejected attempts."""
        return (self.n_completion_tokens - self.n_tokens_resumed) / self.seconds if self.seconds else 0.0

    @property
    def rewritten_share(self) -> float | None:
        """The share of the source tokens that was rewritten; None for runs of earlier versions, which did not count."""
        return self.n_source_tokens_rewritten / self.n_source_tokens if self.n_source_tokens else None

    @property
    def cost_per_million_tokens(self) -> float:
        """Per million accepted tokens."""
        return 1e6 * self.cost / self.n_tokens if self.n_tokens else 0.0

    @property
    def complete(self) -> bool:
        return self.n_parts_committed == self.n_parts


def summarize(storage: Storage, plan: Plan | None = None, found: Mapping[int, Row] | None = None) -> Summary:
    """
    Args:
        plan, found: the plan of the run and its commits, if already read.

    Raises:
        FileNotFoundError: the folder holds no run.
    """
    plan = plan or load_plan(storage)
    if plan is None:
        raise FileNotFoundError(f"{storage.url} holds no run: it has no plan.json")
    commits = list((read_commits(storage) if found is None else found).values())
    reasons: Counter[str] = Counter()
    for commit in commits:
        reasons.update(commit["rejects_by_reason"])

    def total(name: str) -> Any:
        return sum(commit.get(name, 0) for commit in commits)

    usages: dict[str, list[dict[str, Any]]] = {}
    for commit in commits:
        for recipe, usage in commit.get("usage", {}).items():
            usages.setdefault(recipe, []).append(usage)

    return Summary(
        output=storage.url,
        n_read=plan.n_records + plan.n_not_selected,
        n_accepted=total("n_documents_accepted"),
        n_rejected=total("n_documents_rejected"),
        n_to_do=plan.n_records - total("n_records"),
        n_not_selected=plan.n_not_selected,
        skipped_files=plan.skipped,
        routes=dict(plan.routes),
        n_parts=len(plan.parts),
        n_parts_committed=sum(not commit.get("n_records_left") for commit in commits),
        n_rewrites=total("n_rewrites"),
        n_rejects=total("n_rejects"),
        n_chunks=total("n_chunks"),
        n_chunks_accepted=total("n_chunks_accepted"),
        n_source_tokens=total("n_source_tokens"),
        n_source_tokens_rewritten=total("n_source_tokens_rewritten"),
        rejects_by_reason=dict(reasons.most_common()),
        n_tokens=total("n_tokens"),
        n_prompt_tokens=total("n_prompt_tokens"),
        n_completion_tokens=total("n_completion_tokens"),
        n_cached_tokens=total("n_cached_tokens"),
        n_tokens_resumed=total("n_tokens_resumed"),
        n_engine_restarts=total("n_engine_restarts"),
        seconds=covered_seconds([(commit["started_at"], commit["ended_at"]) for commit in commits]),
        engine_s=total("engine_s"),
        idle_share=total("idle_slot_s") / total("slot_s") if total("slot_s") else None,
        cost=total("cost"),
        usage={recipe: total_usage(parts) for recipe, parts in sorted(usages.items())},
    )


def covered_seconds(spans: list[tuple[float, float]]) -> float:
    """The total time covered by the spans: parts overlap, and days may pass between two runs."""
    total, reach = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reach))
        reach = max(reach, end)
    return total

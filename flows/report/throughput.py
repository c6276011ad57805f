"""Generated tokens per second over the working time of a run, from the commits of its parts.

A commit records when its part began and ended and how many tokens were generated for it. The tokens are spread evenly
over that span; the spans of parts overlap. Pauses between the sessions of a run, which may last days, are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rephrase.dataset.rows import Row

N_BINS = 60


@dataclass(frozen=True, slots=True)
class Throughput:
    """`tokens_per_s[i]` covers `i * bin_s` to `(i + 1) * bin_s` seconds of working time.

    `pauses` are the points in working time, in seconds, at which the run resumed after a pause.
    """

    bin_s: float
    tokens_per_s: tuple[float, ...]
    pauses: tuple[float, ...]


def throughput(commits: Sequence[Row], n_bins: int = N_BINS) -> Throughput | None:
    """None if no commit has a duration."""
    spans = sorted(
        (commit["started_at"], commit["ended_at"], commit["n_completion_tokens"] - commit["n_tokens_resumed"])
        for commit in commits
        if commit["ended_at"] > commit["started_at"]
    )
    if not spans:
        return None
    # Where the working clock stops: (start of work, idle time before it).
    gaps: list[tuple[float, float]] = [(spans[0][0], spans[0][0])]
    reach = spans[0][1]
    for start, end, _ in spans:
        if start > reach:
            gaps.append((start, gaps[-1][1] + start - reach))
        reach = max(reach, end)
    idle_of = dict(gaps)

    def at_work(moment: float) -> float:
        return moment - idle_of[max(start for start in idle_of if start <= moment)]

    total = at_work(reach)
    bin_s = total / n_bins
    tokens = [0.0] * n_bins
    for start, end, n_tokens in spans:
        first, last = at_work(start), at_work(end)
        for index in range(int(first / bin_s), min(n_bins, int(last / bin_s) + 1)):
            covered = min(last, (index + 1) * bin_s) - max(first, index * bin_s)
            tokens[index] += n_tokens * max(0.0, covered) / (last - first)
    return Throughput(bin_s, tuple(n / bin_s for n in tokens), tuple(at_work(start) for start, _ in gaps[1:]))

"""The cost of a run: an engine billed by the hour, or a server billed by the token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

USAGE = (
    "n_rewrites",
    "n_chunks",
    "n_chunks_accepted",
    "n_source_tokens",
    "n_source_tokens_rewritten",
    "n_tokens",
    "n_prompt_tokens",
    "n_completion_tokens",
    "n_cached_tokens",
    "engine_s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices in any one currency. `per_hour` is for all engines of a run together."""

    per_hour: float = 0.0
    per_million_prompt_tokens: float = 0.0
    per_million_completion_tokens: float = 0.0

    @property
    def known(self) -> bool:
        return any((self.per_hour, self.per_million_prompt_tokens, self.per_million_completion_tokens))

    def cost(self, *, engine_s: float, n_prompt_tokens: float, n_completion_tokens: float) -> float:
        """The cost of `engine_s` seconds in which the engine was busy, and of the tokens read and generated."""
        return (
            self.per_hour * engine_s / 3600
            + self.per_million_prompt_tokens * n_prompt_tokens / 1e6
            + self.per_million_completion_tokens * n_completion_tokens / 1e6
        )


def total_usage(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of several usages: the counts named in USAGE, and `cost`."""
    total: dict[str, Any] = dict.fromkeys(USAGE, 0) | {"engine_s": 0.0, "cost": 0.0}
    for part in parts:
        for name in total:
            total[name] += part.get(name, 0)
    return total

"""The interface to a language model: one completion per prompt, many requests at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from rephrase.records import Completion, Prompt, Sampling


class RequestRefusedError(ValueError):
    """The engine refuses this request and would refuse it again; others may succeed."""

    reason = "request_refused"


class PromptTooLongError(RequestRefusedError):
    """The prompt and the requested tokens do not fit into the model's context: this chunk cannot be rewritten."""

    reason = "prompt_too_long"


class PoisonError(RequestRefusedError):
    """The engine died or failed each time it received this request, and works without it."""

    reason = "engine_killed"


class EngineError(RuntimeError):
    """The engine does not answer: it died, or none of its servers could be reached in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Which model answers, for the provenance of every row. `max_context_tokens` covers prompt and completion.

    At most `max_in_flight` requests are sent at once. An engine of unknown capacity sets `initial_in_flight`; the
    number then grows as long as throughput does. `settings` is how the model runs: what is worth knowing beside a row's
    own columns, as JSON values.
    """

    engine: str
    model: str
    model_revision: str
    tokenizer: str
    max_context_tokens: int
    max_in_flight: int
    initial_in_flight: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """How busy an engine is.

    `n_running` requests are in its batch and `n_waiting` in its queue, 0 where it does not report them; `kv_cache_use`
    is a share. `n_overloads` counts the requests that were refused, timed out or preempted since it started.
    """

    n_running: int = 0
    n_waiting: int = 0
    kv_cache_use: float = 0.0
    n_overloads: int = 0


@runtime_checkable
class ReportsLoad(Protocol):
    """An engine that reports its load, so that the number of requests in flight can adapt to it."""

    def load(self) -> EngineLoad: ...


class Engine(Protocol):
    """A language model. Completions are independent: up to `info.max_in_flight` may be awaited at once."""

    @property
    def info(self) -> EngineInfo: ...

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """
        Raises:
            RequestRefusedError: this prompt cannot be completed.
            EngineError: no prompt can.
        """
        ...

    async def close(self) -> None: ...

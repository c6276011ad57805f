"""What rewriting asks of a language model: one completion for one prompt, many at a time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rephrase.records import Completion, Prompt, Sampling, TokenLogprobs


class PromptTooLongError(ValueError):
    """The prompt and the tokens asked for do not fit into the model's context: this chunk cannot be rewritten."""

    reason = "prompt_too_long"


class RequestRefusedError(ValueError):
    """The engine refuses this request and would refuse it again; others may go through."""

    reason = "request_refused"


class PoisonError(RequestRefusedError):
    """The engine died, or failed, each time it had this request; without it, it works."""

    reason = "engine_killed"


class EngineError(RuntimeError):
    """The engine does not answer: it died, or none of its servers could be reached in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Which model answers, for the provenance of every row. `max_context_tokens` holds prompt and completion.

    At most `max_in_flight` requests are sent at once. An engine whose capacity is not known names with how many to
    begin: the number then grows as long as it helps.
    """

    engine: str
    model: str
    model_revision: str
    tokenizer: str
    max_context_tokens: int
    max_in_flight: int
    initial_in_flight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """How busy an engine is.

    `n_running` requests make up its batch and `n_waiting` stand behind them, 0 where it does not tell; `kv_cache_use`
    is a share. `n_overloads` counts, since it started, the requests that were too many: refused, timed out, preempted.
    """

    n_running: int = 0
    n_waiting: int = 0
    kv_cache_use: float = 0.0
    n_overloads: int = 0


@runtime_checkable
class ReportsLoad(Protocol):
    """An engine that says how busy it is, so that the number of requests at once can follow it."""

    def load(self) -> EngineLoad: ...


class Engine(Protocol):
    """A language model. Completions are independent: as many may be awaited at once as `info.max_in_flight` says."""

    @property
    def info(self) -> EngineInfo: ...

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """
        Raises:
            PromptTooLongError, RequestRefusedError: this prompt cannot be completed.
            EngineError: no prompt can.
        """
        ...

    async def close(self) -> None: ...


@runtime_checkable
class LogprobEngine(Protocol):
    """What an engine may also do: say how probable a given text is. It is read, not written: a prefill."""

    async def logprobs(self, context: str, text: str) -> TokenLogprobs:
        """The log-probability of each token of `text` after `context`; both are taken as they are, not as a chat.

        Raises:
            PromptTooLongError, RequestRefusedError: this text cannot be scored.
            EngineError: no text can.
        """
        ...


def logprobs_of(engine: Engine) -> Callable[[str, str], Awaitable[TokenLogprobs | None]] | None:
    """(context, text) -> log-probabilities, or None where the engine does not score this text.

    None instead of a function when the engine scores no text at all.
    """
    if not isinstance(engine, LogprobEngine):
        return None

    async def logprobs(context: str, text: str) -> TokenLogprobs | None:
        try:
            return await engine.logprobs(context, text)
        except (PromptTooLongError, RequestRefusedError, PoisonError):
            return None

    return logprobs

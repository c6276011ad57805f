"""What rewriting asks of a language model: one completion for one prompt, many at a time."""

from dataclasses import dataclass
from typing import Protocol

from rephrase.records import Completion, Prompt, Sampling


class PromptTooLongError(ValueError):
    """The prompt and the tokens asked for do not fit into the model's context: this chunk cannot be rewritten."""


class RequestRefusedError(ValueError):
    """The engine refuses this request and would refuse it again; others may go through."""


class EngineError(RuntimeError):
    """The engine does not answer: it died, or none of its servers could be reached in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Which model answers, for the provenance of every row. `max_context_tokens` holds prompt and completion."""

    engine: str
    model: str
    model_revision: str
    tokenizer: str
    max_context_tokens: int
    max_in_flight: int


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

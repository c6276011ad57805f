"""What a server answers, checked once where it comes in: what is not a completion never gets any farther."""

import json
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from rephrase.records import Completion, FinishReason

Model = TypeVar("Model", bound=BaseModel)

# No text of a document or model has so many tokens; a larger count could not be written to a shard.
MAX_TOKENS = 2**31 - 1


class MalformedAnswerError(RuntimeError):
    """The answer of the server is not what was asked for."""


class _Lenient(BaseModel):
    """Unknown fields are ignored; known ones must have their type."""

    model_config = ConfigDict(extra="ignore", strict=True)


_Count = Annotated[int, Field(ge=0, le=MAX_TOKENS)]


class _PromptDetails(_Lenient):
    cached_tokens: _Count | None = None


class _Usage(_Lenient):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Part(_Lenient):
    type: str = "text"
    text: str | None = None


class _Message(_Lenient):
    content: str | list[_Part | str] | None = None
    # Only whether there is a thought matters; some servers send it in parts.
    reasoning_content: Any = None
    reasoning: Any = None


_Logprob = Annotated[float, Field(strict=False, allow_inf_nan=False)]


class _Likely(_Lenient):
    token: str
    logprob: _Logprob


class _Token(_Likely):
    top_logprobs: list[_Likely] = Field(default_factory=list)


class _ChatLogprobs(_Lenient):
    content: list[_Token] | None = None


def _or_none(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


class _Choice(_Lenient):
    message: _Message
    finish_reason: str | None = None
    # Some servers have another form for them, which does not make the text any worse.
    logprobs: Annotated[_ChatLogprobs | None, WrapValidator(_or_none)] = None

    @property
    def tokens(self) -> list[_Token]:
        return (self.logprobs and self.logprobs.content) or []


class _Chat(_Lenient):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _ScoredChoice(_Choice):
    logprobs: _ChatLogprobs | None = None


class _ScoredChat(_Lenient):
    choices: list[_ScoredChoice] = Field(min_length=1)


class ServedModel(_Lenient):
    """A model that a server lists; `parent` is the base model of an adapter, whose `root` is the adapter's folder."""

    id: str = Field(min_length=1)
    root: str | None = None
    parent: str | None = None
    max_model_len: _Count | None = None


class _Models(_Lenient):
    data: list[ServedModel]


# As OpenAI names them, and others: Hugging Face's servers (eos_token), Together (eos), Cohere (complete), Mistral
# (model_length), Gemini (safety, recitation), Anthropic (the rest); some in capitals.
_FINISH_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "safety", "recitation"), "content_filter"),
}


def read_completion(body: bytes) -> Completion:
    """
    Raises:
        MalformedAnswerError: the body is not a chat completion; the message names the field.
    """
    answer = _read(_Chat, body)
    choice, usage = answer.choices[0], answer.usage or _Usage()
    details = usage.prompt_tokens_details or _PromptDetails()
    finish_reason = _FINISH_REASONS.get((choice.finish_reason or "").lower(), "abort")
    return Completion(
        # A server may send a lone surrogate, which cannot be encoded as UTF-8.
        text=_text(choice.message, cut_off=finish_reason == "length").encode("utf-8", "replace").decode(),
        finish_reason=finish_reason,
        n_prompt_tokens=usage.prompt_tokens or 0,
        n_completion_tokens=usage.completion_tokens or 0,
        n_cached_tokens=details.cached_tokens or 0,
        logprob=sum(token.logprob for token in choice.tokens) if choice.tokens else None,
    )


def read_first_token(body: bytes) -> dict[str, float]:
    """The likeliest first tokens of a chat completion with their log-probabilities.

    Of a server that reports none, the text that it sent is all that is known: it counts as certain.

    Raises:
        MalformedAnswerError: the body is not a chat completion.
    """
    choice = _read(_ScoredChat, body).choices[0]
    if not choice.tokens:
        return {_text(choice.message, cut_off=False): 0.0}
    first = choice.tokens[0]
    return {found.token: found.logprob for found in (first, *first.top_logprobs)}


def read_models(body: bytes) -> list[ServedModel]:
    """
    Raises:
        MalformedAnswerError: the body is not a list of models.
    """
    return _read(_Models, body).data


def _read(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise MalformedAnswerError(f"{where}: {first['msg']}, got {_shown(first['input'])}") from error
    except (ValueError, RecursionError) as error:
        shown = body[:80].decode("utf-8", "replace")
        raise MalformedAnswerError(f"not JSON ({type(error).__name__}): {shown!r}") from error


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text[:80]


def _text(message: _Message, *, cut_off: bool) -> str:
    """The answer; a thought that the server has set apart only where it left no tokens for one."""
    content = message.content
    if isinstance(content, list):
        texts = [part if isinstance(part, str) else part.text for part in content if _is_text(part)]
        content = "".join(text or "" for text in texts)
    thought = message.reasoning_content or message.reasoning
    return content or ("<think>" if thought and cut_off else "")


def _is_text(part: _Part | str) -> bool:
    return isinstance(part, str) or part.type in ("text", "output_text")

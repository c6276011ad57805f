"""How a server wants to be asked: hosted APIs leave the protocol here and there, and say so in their first refusal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from openai import APIStatusError

from rephrase.models.system_role import fold_system
from rephrase.records import Prompt, Sampling

_UNSUPPORTED = re.compile(
    r"not supported|n't supported|unsupported|not support|n't support|unknown|unrecognized|unexpected|not permitted"
    r"|not allowed|not enabled|deprecated|cannot both|extra_forbidden",
    re.IGNORECASE,
)
_NO_SYSTEM_ROLE = re.compile(r"system (role|message)|roles must alternate|only user and assistant", re.IGNORECASE)
# What may be left out, for the server to use a value of its own. Where two exclude each other, the first goes.
_OPTIONAL = ("logprobs", "seed", "top_p", "temperature")
_HOPELESS_CODES = {"unsupported_parameter", "unsupported_value", "unknown_parameter", "model_not_found"}
# What servers say of a prompt that does not fit. By line: OpenAI, vLLM, SGLang, Mistral, llama.cpp and LM Studio; MLX,
# older vLLM and TensorRT-LLM; older llama.cpp; Ollama, Anthropic and Bedrock, Cohere; TGI, Gemini; the rest.
_TOO_LONG = re.compile(
    r"(?:maximum|model's|exceeds?|available|than the) (?:the |model's |maximum |available )*context (?:len|size|limit)"
    r"|exceeds context length|maximum (?:model|input) length"
    r"|context shift is disabled"
    r"|(?:prompt|input) is too long|too many tokens"
    r"|inputs` (?:tokens|must have)|input token count.{0,40}exceeds"
    r"|exceeds? session_len|max_num_tokens|context_length_exceeded|exceed_context_size",
    re.IGNORECASE,
)
# A refusal of what a text says, by a filter.
_ABOUT_THE_TEXT = re.compile(
    r"content[ _-]?(?:filter|policy|management|moderation)|moderation|flagged|safety|inappropriate|data_inspection",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs from the protocol; nothing does until a refusal says so."""

    max_tokens_name: str = "max_tokens"
    left_out: tuple[str, ...] = ()
    system_role: bool = True

    def request(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        """The part of a chat completion request that the dialect decides."""
        messages = prompt.messages()
        optional = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}
        if sampling.logprob:
            optional["logprobs"] = True
        return {
            "messages": messages if self.system_role else fold_system(messages),
            self.max_tokens_name: sampling.max_tokens,
            **{name: value for name, value in optional.items() if name not in self.left_out},
        }

    def after(self, refusal: APIStatusError) -> "Dialect | None":
        """The dialect that this refusal of a request asks for, or None if the refusal is about something else."""
        said = sentence(refusal)
        if self.system_role and _NO_SYSTEM_ROLE.search(said):
            return replace(self, system_role=False)
        if not _UNSUPPORTED.search(said):
            return None
        # The parameter's name comes first: "'max_tokens' is not supported, use 'max_completion_tokens'".
        if self.max_tokens_name == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, max_tokens_name="max_completion_tokens")
        named = [name for name in _OPTIONAL if name not in self.left_out and _names(refusal, name)]
        return replace(self, left_out=(*self.left_out, named[0])) if named else None

    @property
    def changes(self) -> Mapping[str, Any]:
        """What differs, for the provenance."""
        changed = {"left_out": list(self.left_out)} if self.left_out else {}
        return changed if self.system_role else {**changed, "system_role": False}


def sentence(refusal: APIStatusError) -> str:
    """What the server said; the client leaves out a body of another form than OpenAI's."""
    has_message = isinstance(refusal.body, Mapping) and "message" in refusal.body
    return str(refusal) if has_message or not refusal.body else f"{refusal}: {refusal.body}"


def is_too_long(refusal: APIStatusError) -> bool:
    """Whether the prompt does not fit into the context; some servers answer 422 or 500 then."""
    said = f"{sentence(refusal)} {refusal.code}"
    return refusal.status_code == 413 or (refusal.status_code in (400, 422, 500) and _TOO_LONG.search(said) is not None)


def is_about_the_text(refusal: APIStatusError) -> bool:
    """Whether it is what this text says that the server refuses, so that nothing follows for the next request."""
    return _ABOUT_THE_TEXT.search(f"{sentence(refusal)} {refusal.code}") is not None


def is_about_the_form(refusal: APIStatusError) -> bool:
    """Whether every request would be refused like this one, whatever its text."""
    return refusal.code in _HOPELESS_CODES or "chat_template_kwargs" in sentence(refusal)


def _names(refusal: APIStatusError, name: str) -> bool:
    return refusal.param == name if refusal.param else bool(re.search(rf"\b{name}\b", sentence(refusal)))

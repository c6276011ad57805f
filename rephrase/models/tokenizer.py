"""Count tokens as the rewriting model does."""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from jinja2 import TemplateError

from rephrase.models.resolve import resolve_model
from rephrase.models.system_role import fold_system
from rephrase.models.thought_marks import opened_thought
from rephrase.records import Prompt

# A prompt ends with the start of the model's turn; an opening mark there takes a few tokens.
_LAST_TOKENS = 12
# Some models add the marks of a turn without calling them special: <|user|>, DeepSeek's <｜User｜>.
_CONTROL_MARK = re.compile(r"<[|｜][^<>]+[|｜]>")
_PROBE = "Answer in one word."


class Tokenizer(Protocol):
    """What chunking and prompts need of a tokenizer."""

    def token_starts(self, text: str) -> list[int]:
        """The character offset at which each token of `text` starts, ascending; its length is the token count."""
        ...


class HubTokenizer:
    """The tokenizer of a Hugging Face model, by hub id, folder or the name of a packaged model."""

    def __init__(
        self,
        model: str | Path,
        *,
        trust_remote_code: bool = False,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            chat_template_kwargs: what the chat template is given beside the messages.

        Raises:
            ValueError: there is no such tokenizer, or it does not report token offsets.
        """
        from transformers import AutoTokenizer

        self._chat_template_kwargs = dict(chat_template_kwargs or {})
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                resolve_model(str(model)), trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"no tokenizer could be loaded from {str(model)!r}: {error}") from error
        if not self._tokenizer.is_fast:
            raise ValueError(f"the tokenizer of {str(model)!r} is a slow one, which does not report token offsets")
        # Other added tokens are text: Gemma's blank lines and HTML tags, OLMo's runs of spaces.
        special = {
            str(token)
            for token in self._tokenizer.added_tokens_decoder.values()
            if len(str(token)) > 1 and (token.special or _CONTROL_MARK.fullmatch(str(token)))
        }
        self._special = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")

    def token_starts(self, text: str) -> list[int]:
        encoded = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False, verbose=False
        )
        return [start for start, _ in encoded["offset_mapping"]]

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a text; what looks like a special token is plain text."""
        return self._tokenizer(self._harmless(text), add_special_tokens=False, verbose=False)["input_ids"]

    def opened_thought(self, prompt_token_ids: Sequence[int]) -> str:
        """The mark at the end of a prompt that opens the model's thought; empty for most models."""
        return opened_thought(self._tokenizer.decode(prompt_token_ids[-_LAST_TOKENS:]))

    @functools.cached_property
    def has_system_role(self) -> bool:
        """Whether the chat template has a place for a system message."""
        probe = [{"role": "system", "content": _PROBE}, {"role": "user", "content": "Hello"}]
        try:
            return _PROBE in self._tokenizer.apply_chat_template(probe, tokenize=False, **self._chat_template_kwargs)
        except TemplateError:
            return False

    def prompt_token_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt in the model's chat template; without a system role, the user's turn begins with it.

        Raises:
            ValueError: the model has no chat template: it is a base model; rewriting needs an instruction-tuned one.
        """
        if not self._tokenizer.chat_template:
            raise ValueError(
                f"{self._tokenizer.name_or_path!r} has no chat template; choose an instruction-tuned model"
            )
        messages = [{**message, "content": self._harmless(message["content"])} for message in prompt.messages()]
        if not self.has_system_role:
            messages = fold_system(messages)
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, **self._chat_template_kwargs
        )
        return list(encoded["input_ids"])

    def _harmless(self, text: str) -> str:
        """A document may contain special tokens; a zero-width space inside turns them into plain text."""
        return self._special.sub(lambda match: f"{match.group()[0]}\u200b{match.group()[1:]}", text)

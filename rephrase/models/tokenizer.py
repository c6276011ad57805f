"""Count tokens as the rewriting model does."""

import re
from pathlib import Path
from typing import Protocol

from rephrase.records import Prompt


class Tokenizer(Protocol):
    """What chunking and prompts need of a tokenizer."""

    def token_starts(self, text: str) -> list[int]:
        """The character offset at which each token of `text` starts, ascending; its length is the token count."""
        ...


class HubTokenizer:
    """The tokenizer of a Hugging Face model, by hub id or folder."""

    def __init__(self, model: str | Path) -> None:
        """
        Raises:
            ValueError: there is no such tokenizer, or it does not report token offsets.
        """
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise ValueError(f"no tokenizer could be loaded from {str(model)!r}: {error}") from error
        if not self._tokenizer.is_fast:
            raise ValueError(f"the tokenizer of {str(model)!r} is a slow one, which does not report token offsets")
        special = {str(token) for token in self._tokenizer.added_tokens_decoder.values() if len(str(token)) > 1}
        self._special = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")

    def token_starts(self, text: str) -> list[int]:
        encoded = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False, verbose=False
        )
        return [start for start, _ in encoded["offset_mapping"]]

    def ids_and_starts(self, text: str) -> tuple[list[int], list[int]]:
        """The tokens of a text, none of them a special token, and where each starts."""
        encoded = self._tokenizer(
            self._harmless(text), add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return list(encoded["input_ids"]), [start for start, _ in encoded["offset_mapping"]]

    def prompt_token_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt in the model's chat template.

        Raises:
            ValueError: the model has no chat template: it is a base model; rewriting needs an instruction-tuned one.
        """
        if not self._tokenizer.chat_template:
            raise ValueError(
                f"{self._tokenizer.name_or_path!r} has no chat template; choose an instruction-tuned model"
            )
        messages = [{**message, "content": self._harmless(message["content"])} for message in prompt.messages()]
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoded["input_ids"])

    def _harmless(self, text: str) -> str:
        """A document may contain special tokens; a zero-width space inside turns them into plain text."""
        return self._special.sub(lambda match: f"{match.group()[0]}\u200b{match.group()[1:]}", text)

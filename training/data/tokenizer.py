"""From text to token ids, with any tokenizer of the Hugging Face Hub or a local folder."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import AutoTokenizer

from rephrase.records import digest


class TextTokenizer:
    """Encodes whole documents, each between a start and an end token.

    The start token gives the first word a context to be predicted from; a tokenizer without one uses its end token.
    Special-token strings inside a text are encoded as plain text, so a document cannot forge its own end.

    Raises:
        ValueError: there is no such tokenizer, it is damaged, or it cannot end a text.
    """

    def __init__(self, name_or_folder: str | Path) -> None:
        self.name = str(name_or_folder)
        try:
            # Left out, the flag would mean: ask on the terminal whether to run a tokenizer's own code.
            self._tokenizer = AutoTokenizer.from_pretrained(self.name, trust_remote_code=False)
        except Exception as error:  # a damaged file raises almost anything
            raise ValueError(f"the tokenizer {self.name} cannot be loaded: {error}") from error
        end_id = self._tokenizer.eos_token_id
        if end_id is None:
            raise ValueError(f"the tokenizer {self.name} has no end-of-text token; training needs one to end documents")
        self.end_id: int = end_id
        self.start_id: int = end_id if self._tokenizer.bos_token_id is None else self._tokenizer.bos_token_id
        self.pad_id: int | None = self._tokenizer.pad_token_id
        # Documents are cut into rows later; the tokenizer's own limit would only warn about every long one.
        self._tokenizer.model_max_length = 1 << 60

    @property
    def vocab_size(self) -> int:
        """All ids are below this."""
        return max(len(self._tokenizer), *(id_ + 1 for id_ in self._tokenizer.get_vocab().values()))

    @property
    def fingerprint(self) -> str:
        """Equal for tokenizers that encode identically."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        rules = backend.to_str() if backend is not None else json.dumps(sorted(self._tokenizer.get_vocab().items()))
        return digest(type(self._tokenizer).__name__ if backend is None else "fast", rules, self.start_id, self.end_id)

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """The ids of each text, including its start and end token."""
        encoded = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [np.array([self.start_id, *ids, self.end_id], dtype=np.uint32) for ids in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, including special tokens."""
        return str(self._tokenizer.decode(list(ids)))

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer as it was read, into a folder."""
        AutoTokenizer.from_pretrained(self.name, trust_remote_code=False).save_pretrained(folder)

    def save_for_prompts(self, folder: str | Path) -> None:
        """Write the tokenizer, set to put the start token before a prompt as training did before every document."""
        start = self._tokenizer.convert_ids_to_tokens(self.start_id)
        AutoTokenizer.from_pretrained(
            self.name, bos_token=start, add_bos_token=True, trust_remote_code=False
        ).save_pretrained(folder)

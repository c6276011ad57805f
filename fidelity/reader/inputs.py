"""A rewrite and a part of its source as the reader's input: tokens, where they stand in both texts, and batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fidelity.reader.network import MAX_TOKENS

Span = tuple[int, int]
# After the start token.
REWRITE_FIRST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderInput:
    """Tokens `[CLS] rewrite [SEP] source [SEP]`, or without the last two for the rewrite alone.

    `rewrite_spans` and `source_spans` are the characters of each token, the first of them at REWRITE_FIRST and
    `source_first`. `sentences` are (first token, last token + 1).
    """

    ids: tuple[int, ...]
    rewrite_spans: tuple[Span, ...]
    source_first: int
    source_spans: tuple[Span, ...]
    sentences: tuple[Span, ...]


class Encoding:
    """Texts to inputs with the tokenizer of the packaged encoder."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._start, self._end = tokenizer.cls_token_id, tokenizer.sep_token_id

    def n_tokens(self, texts: Sequence[str]) -> list[int]:
        """Without start and end tokens."""
        return [len(ids) for ids in self._tokenizer(list(texts), add_special_tokens=False, verbose=False).input_ids]

    def encode(
        self, rewrite: str, source: str | None, rewrite_sentences: Sequence[Span], source_sentences: Sequence[Span] = ()
    ) -> ReaderInput:
        """What does not fit is cut from the end of the source, or of the rewrite if that alone is too long.

        `rewrite_sentences` and `source_sentences` are in characters; the input has those of the rewrite first.
        """
        rewrite_ids, rewrite_spans = self._tokens(rewrite, MAX_TOKENS - (2 if source is None else 3))
        ids = [self._start, *rewrite_ids, self._end]
        source_first = len(ids)
        source_spans: list[Span] = []
        sentences = _token_spans(rewrite_sentences, rewrite_spans, REWRITE_FIRST)
        if source is not None:
            source_ids, source_spans = self._tokens(source, MAX_TOKENS - len(ids) - 1)
            ids += [*source_ids, self._end]
            sentences += _token_spans(source_sentences, source_spans, source_first)
        return ReaderInput(
            ids=tuple(ids),
            rewrite_spans=tuple(rewrite_spans),
            source_first=source_first,
            source_spans=tuple(source_spans),
            sentences=tuple(sentences),
        )

    def _tokens(self, text: str, at_most: int) -> tuple[list[int], list[Span]]:
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return found.input_ids[:at_most], found["offset_mapping"][:at_most]


def _token_spans(sentences: Sequence[Span], tokens: Sequence[Span], first: int) -> list[Span]:
    """The tokens of each sentence; an empty span for one that was cut off."""
    found = []
    for start, end in sentences:
        inside = [i for i, (a, b) in enumerate(tokens) if a < end and b > start]
        found.append((first + inside[0], first + inside[-1] + 1) if inside else (first, first))
    return found


def batch_tensors(inputs: Sequence[ReaderInput], pad: int) -> tuple[torch.Tensor, ...]:
    """The arguments of `ReaderNetwork.forward`."""
    longest = max(len(entry.ids) for entry in inputs)
    ids = torch.full((len(inputs), longest), pad)
    types = torch.zeros((len(inputs), longest), dtype=torch.long)
    mask = torch.zeros((len(inputs), longest), dtype=torch.long)
    sentences = []
    for row, entry in enumerate(inputs):
        ids[row, : len(entry.ids)] = torch.tensor(entry.ids)
        types[row, entry.source_first : len(entry.ids)] = 1
        mask[row, : len(entry.ids)] = 1
        sentences += [(row, first, last) for first, last in entry.sentences]
    return ids, types, mask, torch.tensor(sentences, dtype=torch.long).reshape(-1, 3)

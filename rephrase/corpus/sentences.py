"""Sentences of a text in any script."""

from collections.abc import Iterator

import regex
import sentencex

Span = tuple[int, int]

# The full stops that sentencex does not know, and the spaces after them; Tibetan sets two with a space between.
_MORE_ENDS = regex.compile(
    r"(?V1)[[[\p{Tibetan}\p{Khmer}\p{Balinese}\p{Coptic}]&&\p{Terminal_Punctuation}]--[៖]\uFE12\uFE15\uFE16]"
    r"[[\p{Tibetan}&&\p{Terminal_Punctuation}]\s]*"
)


def sentence_spans(text: str, language: str = "en") -> Iterator[Span]:
    """The half-open spans of the sentences, in order; white space stays with the sentence before it, or between two."""
    for boundary in sentencex.get_sentence_boundaries(language, text):
        start, end = boundary["start_index"], boundary["end_index"]
        for match in _MORE_ENDS.finditer(text, start, end):
            if match.end() < end:
                yield start, match.end()
                start = match.end()
        yield start, end

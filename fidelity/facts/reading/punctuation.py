"""Where a sentence ends, by the properties that Unicode gives the marks of every script."""

import unicodedata
from functools import lru_cache

import regex

# The full stop, question and exclamation mark of a script, and what may close a sentence after them.
_ENDS = regex.compile(r"[\p{Sentence_Terminal}\p{Close_Punctuation}\p{Final_Punctuation}\p{Quotation_Mark}]")
# Tibetan, Thai and others end sentences with marks that Unicode counts only among these, with commas.
_TERMINAL = regex.compile(r"\p{Terminal_Punctuation}")
_NO_END = ("COMMA", "WORD", "CONTRACTION")
# An emoji, a raised number or a dagger of a note, the sign at the end of a proof: they may follow the full stop.
_AFTER_END = regex.compile(r"[\p{So}\p{Sk}\p{Cf}\p{Mn}\p{No}\s∎†‡]+\Z")
# Scripts whose sentences end with a space or nothing: Thai, Lao, Burmese, Khmer and their neighbours.
_NO_FULL_STOP = regex.compile(r"\p{Line_Break=Complex_Context}")


@lru_cache(maxsize=4096)
def is_sentence_end(char: str) -> bool:
    """A full stop, ellipsis, colon or closing mark of any script; not a comma or a separator of words."""
    if _ENDS.match(char):
        return True
    name = unicodedata.name(char, "")
    if "ELLIPSIS" in name or "LEADER" in name:
        return True
    return bool(_TERMINAL.match(char)) and not any(word in name for word in _NO_END)


def ends_sentence(text: str) -> bool:
    """The text ends with the end of a sentence, or in a script that has no mark for it."""
    end = text[-40:].rstrip()
    bare = _AFTER_END.sub("", end)
    return bool(bare) and (is_sentence_end(bare[-1]) or bool(_NO_FULL_STOP.search(bare[-20:])))

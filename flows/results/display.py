"""The words and colours in which the terminal and the report tell of a run: one place, so that they agree.

The colours are blue-green and vermilion, which colour-blind readers tell apart, on paper and ink; each has a shade for
light pages, one for dark pages and one for terminals of either kind.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What can become of a record or of a chunk."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    TO_DO = "to do"
    NOT_SELECTED = "not selected"


@dataclass(frozen=True, slots=True)
class Shades:
    """One colour, as hexadecimal RGB."""

    light: str
    dark: str
    terminal: str


COLOURS = {
    Outcome.ACCEPTED: Shades("#0f6674", "#5cc0cb", "#2a9daa"),
    Outcome.REJECTED: Shades("#b23a1c", "#f0896b", "#dd6a4a"),
    Outcome.TO_DO: Shades("#8a5f00", "#dcae4a", "#c8952f"),
    Outcome.NOT_SELECTED: Shades("#6b655c", "#a39c90", "#8c857a"),
}
# The paper under all of them, and the ink.
PAPER = Shades("#fbf8f2", "#1b1917", "")
INK = Shades("#25211c", "#ece6da", "")

ACCEPTED, REJECTED, TO_DO, NOT_SELECTED = (COLOURS[outcome].terminal for outcome in Outcome)

# What each reason means, in a line, for people who have not read the code.
REASONS = {
    # records that are no documents
    "missing_text": "the record has no such text field",
    "null_text": "the text field is null",
    "not_text": "the text field holds something else than text",
    "empty_text": "there is nothing but white space in it",
    "invalid_utf8": "its bytes are not UTF-8",
    "invalid_unicode": "it holds half of a surrogate pair",
    "not_an_object": "the record is no object with fields",
    "invalid_json": "the line is not JSON",
    "bad_value": "a value of the record cannot be read",
    "bad_id": "its id is neither a text nor a whole number",
    "duplicate_id": "a document with this id stood before it",
    "document_too_long": "it is longer than --max-document-chars",
    "unreadable_file": "the file cannot be read on",
    # rewrites
    "empty": "there is no word in it",
    "refusal": "the model refused, or spoke of itself",
    "preamble": "the model spoke of its task before it began",
    "postscript": "the model spoke to its reader when it was done",
    "script_drift": "it slips into letters that the source does not have",
    "markup_damage": "a code block or a formula is opened and not closed",
    "too_long": "it is far longer than a rewrite of such a source is",
    "too_short": "it is far shorter than a rewrite of such a source is",
    "prompt_echo": "pieces of the instruction stand in it",
    "repetition": "it runs in a loop",
    "truncated": "it was cut off before its end",
    "restart": "it begins the document anew",
    "near_copy": "it is mostly the source, word for word",
    "wrong_language": "it is not in the language it should be in",
    "formula_lost": "a formula of the source is not there",
    "formula_changed": "a formula of the source is not there as it was",
    "number_changed": "a number is not that of the source",
    "answer_lost": "the final answer of the source is not there",
    "dissimilar": "its meaning is too far from its source's",
    "unfaithful": "it is probably not what its source says",
    "unsupported_sentence": "a sentence has nothing behind it in the source",
    "missing_sentence": "a sentence of the source is not said again",
    "number_missing": "a number of the source is not there",
    "date_changed": "a date is not that of the source",
    "date_missing": "a date of the source is not there",
    "name_changed": "a name is not that of the source",
    "name_missing": "a name of the source is not there",
    "negation_changed": "it denies what the source says, or the reverse",
    "quantifier_changed": "all became some, or the reverse",
    "direction_changed": "what rises in the source falls in it, or the reverse",
    "modality_changed": "what may be in the source is in it, or the reverse",
    "antonym_changed": "a word became its opposite",
    "swap_changed": "two names or two numbers have changed places",
    "step_changed": "a step of the calculation is wrong",
    "answer_changed": "the final answer is not that of the source",
    "answer_missing": "the final answer of the source is not there",
    "formula_missing": "a formula of the source is not there",
    "literal_changed": "a link, a path or code is not that of the source",
    "literal_missing": "a link, a path or code of the source is not there",
    "obeyed_document": "it follows an order that stands in the document",
    "near_duplicate": "it repeats another variant of its document",
    "prompt_too_long": "the prompt is longer than the model reads",
    "request_refused": "the server would not take the prompt",
    "engine_killed": "the engine died of its prompt, each time",
    "check_failed": "a check stumbled over it",
    "chunk_refused": "one of its chunks was refused, and --on-reject is document",
}

# The scores that people are meant to read, in the order in which they are shown; there are many more for the verdict.
SCORES = {
    "probability": "calibrated probability that the rewrite is faithful to its source",
    "similarity": "cosine similarity of the embeddings of chunk and rewrite",
    "support_min": "how near the least supported sentence of the rewrite is to anything in the source",
    "coverage_min": "how near the least covered sentence of the source is to anything in the rewrite",
    "copied": "share of the rewrite's 8-word sequences that stand in its source",
}


# Signs that cannot be seen, that turn the text around them, or that a terminal obeys; `report.js` names the same ones.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def plain(name: str) -> str:
    """A name from the data as words: "wrong_language" is "wrong language"."""
    return name.replace("_", " ")


def meaning(reason: str) -> str:
    """What a reason means; a reason of a newer version stands for itself."""
    return REASONS.get(reason, plain(reason))


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def visible(text: object) -> str:
    """Text in which signs that cannot be seen are named: a right-to-left override is shown, not obeyed."""
    return _HIDDEN.sub(lambda match: f"U+{ord(match.group()):04X}", str(text))

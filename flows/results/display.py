"""The wording and colours of results, shared by the terminal and the report.

The colours are blue-green and vermilion, which colour-blind readers can distinguish; each has a shade for
light pages, one for dark pages and one for terminals of either kind.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The outcomes of a record or chunk."""

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
# The background and text colours.
PAPER = Shades("#fbf8f2", "#1b1917", "")
INK = Shades("#25211c", "#ece6da", "")

ACCEPTED, REJECTED, TO_DO, NOT_SELECTED = (COLOURS[outcome].terminal for outcome in Outcome)

# The meaning of each reject reason in one line, for people who have not read the code.
REASONS = {
    # records that cannot be read as documents
    "missing_text": "the record has no text field",
    "null_text": "the text field is null",
    "not_text": "the text field is not a string",
    "empty_text": "the text is empty, or nothing in it is visible",
    "invalid_utf8": "the bytes are not valid UTF-8",
    "invalid_unicode": "the text contains a lone surrogate",
    "not_an_object": "the record is not an object with fields",
    "invalid_json": "the line is not valid JSON",
    "bad_value": "a value of the record cannot be read",
    "bad_id": "the id is neither a string nor an integer",
    "duplicate_id": "an earlier document has the same id",
    "document_too_long": "the document is longer than --max-document-chars",
    "unreadable_file": "the rest of the file cannot be read",
    # rewrites
    "empty": "the rewrite contains no words",
    "refusal": "the model refused, or spoke about itself",
    "preamble": "the model commented on its task before the rewrite",
    "postscript": "the model addressed the reader after the rewrite",
    "script_drift": "the rewrite switches to a script that the source does not use",
    "markup_damage": "a code block or formula is opened but not closed",
    "too_long": "the rewrite is far too long for its source",
    "too_short": "the rewrite is far too short for its source",
    "about_the_text": "the rewrite speaks about the text instead of saying what it says",
    "thought_cut_off": "the model was still thinking when it ran out of tokens",
    "prompt_echo": "the rewrite repeats parts of the instructions",
    "repetition": "the rewrite repeats itself in a loop",
    "truncated": "the rewrite was cut off before its end",
    "restart": "the rewrite starts the document over",
    "near_copy": "too few of the sentences are new wording",
    "wrong_language": "the rewrite is not in the expected language",
    "formula_lost": "a formula of the source is missing",
    "formula_changed": "a formula differs from the source",
    "number_changed": "a number differs from the source",
    "question_lost": "the source asks a question and the rewrite none, or not at its end",
    "answer_given": "the translation solves the problem instead of asking it",
    "answer_lost": "the final answer of the source is missing",
    "dissimilar": "the meaning is too far from the source",
    "unfaithful": "the rewrite is probably not faithful to the source",
    "unsupported_sentence": "a sentence of the rewrite has no support in the source",
    "missing_sentence": "a sentence of the source is missing from the rewrite",
    "number_missing": "a number of the source is missing",
    "date_changed": "a date differs from the source",
    "date_missing": "a date of the source is missing",
    "name_changed": "a name differs from the source",
    "name_missing": "a name of the source is missing",
    "negation_changed": "the rewrite negates what the source affirms, or the reverse",
    "quantifier_changed": "all became some, or the reverse",
    "direction_changed": "an increase became a decrease, or the reverse",
    "modality_changed": "a possibility became a fact, or the reverse",
    "antonym_changed": "a word was replaced by its opposite",
    "word_changed": "a sentence copies its source, but a word of it means something else",
    "judged_unfaithful": "the judge finds a sentence that the source does not say",
    "judged_incomplete": "the judge finds a sentence of the source missing",
    "judged_not_in_style": "the judge denies that the rewrite is what its style asks for",
    "back_translation": "translated back, it no longer says what the source says",
    "swap_changed": "two names or two numbers were swapped",
    "step_changed": "a step of the calculation is wrong",
    "answer_changed": "the final answer differs from the source",
    "answer_missing": "the final answer of the source is missing",
    "formula_missing": "a formula of the source is missing",
    "literal_changed": "a link, path or piece of code differs from the source",
    "literal_missing": "a link, path or piece of code of the source is missing",
    "obeyed_document": "the rewrite follows an instruction in the document",
    "near_duplicate": "the rewrite is nearly identical to another variant of its document",
    "prompt_too_long": "the prompt exceeds the model's context length",
    "request_refused": "the server refused the request",
    "engine_killed": "the engine crashed on the prompt each time",
    "incomplete": "part of the source is missing, or too little of the document was rewritten",
    "not_fluent": "a sentence that no person would write",
    "not_in_style": "the form that the style requires is missing, such as questions, speakers or notes",
    "check_failed": "a check failed with an error",
    "check_too_slow": "its text is too long or too unusual for a check to end in time",
    "chunk_refused": "a chunk was rejected, and --on-reject is document",
}

# The scores shown to people, in display order; the verdict uses many more.
SCORES = {
    "probability": "calibrated probability that the rewrite is faithful, complete, fluent and in its style",
    "probability_faithful": "that nothing in it is false or added",
    "probability_complete": "that nothing is lost that the recipe requires to be kept",
    "probability_fluent": "that a person would write such sentences",
    "probability_in_style": "that the form that the style requires is there",
    "similarity": "cosine similarity of the embeddings of chunk and rewrite",
    "support_min": "how well the source supports the least supported sentence of the rewrite",
    "coverage_min": "how well the rewrite covers the least covered sentence of the source",
    "reworded": "share of the rewrite's sentences that are new wording",
    "judge_support_min": "how sure the judge is that the source says the least supported sentence",
    "back_chrf": "chrF, from 0 to 1, between the source and the translation translated back",
    "copied": "share of the rewrite's 8-word sequences that occur in its source",
}


# Invisible, bidirectional and terminal control characters; `report.js` lists the same ones.
HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def plain(name: str) -> str:
    """An identifier as words: "wrong_language" is "wrong language"."""
    return name.replace("_", " ")


def meaning(reason: str) -> str:
    """The meaning of a reject reason; an unknown one, from a newer version, is returned as words."""
    return REASONS.get(reason, plain(reason))


def cache_note(n_cached: int, n_prompt: int) -> str:
    """How many of the prompt tokens an engine did not have to read: many servers do not say, which is not 0%."""
    return (
        f"{n_cached / n_prompt:.0%} from the engine's prefix cache" if n_cached else "none reported from a prefix cache"
    )


def counted(n: int, noun: str) -> str:
    """`1 part`, `2 parts`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def visible(text: object) -> str:
    """Text with invisible and control characters shown as U+XXXX, so that none of them takes effect."""
    return HIDDEN.sub(lambda match: f"U+{ord(match.group()):04X}", str(text))

"""What a style asks for, visible in the text: questions with answers, speakers, a letter's address, notes, listeners.

A recipe names the form of each style that has one (`[forms]`); a style without one is a matter of register, which these
rules do not see. They are for texts in English; in other languages only questions, speakers and notes are looked for.
"""

import re
from collections.abc import Callable

_BULLET = re.compile(r"^\s{0,20}+(?:[-*•–+]|\d+[.)]|[a-z][.)]|#{1,6}\s|\|)\s*\S")
_LABEL = re.compile(r"^\s{0,20}+(?:\*\*[^*\n]{1,80}\*\*:?|[^\s:.!?][^:.!?\n]{0,60}:)(?:\s|$)")
_SPEAKER = re.compile(
    r"^[^\S\n]{0,20}+(?:\*\*|\*|_)?([^\W\d_][^\n:.!?]{0,30}?)(?:\s*\([^)\n]{1,30}\))?(?:\*\*|\*|_)?\s*[:：](?:\*\*)?\s*\S",
    re.MULTILINE,
)
_SAID = re.compile(
    r"[\"“«][^\"”»\n]{3,}[,.?!][\"”»]\s*(?:[a-z]+ )?"
    r"(?:said|asked|replied|answered|says|asks|replies|answers|explains|explained)\b"
)
_DASHES = re.compile(r"^[^\S\n]{0,20}+[—–-][^\S\n]++\S", re.MULTILINE)
_QUESTION = re.compile(r"[?？؟;՞፧]")
_GREETING = re.compile(
    r"^\W{0,8}+(?:dear\b|hi\b|hello\b|hey\b|greetings\b|my dear|to (?:my|whom)\b|good (?:morning|evening|afternoon)\b)",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^[^\w\n]{0,8}+(?:yours|sincerely|best\b|best wishes|kind regards|warm(?:ly| regards)|regards|love|your friend|"
    r"take care|until next time|with (?:love|affection|best|kind|warm)|cheers)\b[^.\n]{0,40}",
    re.IGNORECASE | re.MULTILINE,
)
_ADDRESSED = re.compile(
    r"\b(?:you|your|yourself|let us|let['’]s|we|our|us|imagine|consider|notice|remember|think of|now,|class)\b",
    re.IGNORECASE,
)
_STEP = re.compile(r"^\W{0,4}(?:step\s*\d+|\d+[.):])", re.IGNORECASE | re.MULTILINE)


def has_questions(text: str) -> bool:
    """At least one question, and after the last one something that is not a question."""
    questions = list(_QUESTION.finditer(text))
    if not questions:
        return False
    answer = re.sub(r"^\W*(?:A|Answer)\b\W*", "", text[questions[-1].end() :].strip(), flags=re.IGNORECASE)
    return len(re.findall(r"\w+", answer)) >= 1


def has_speakers(text: str) -> bool:
    """At least two turns: lines that begin with a speaker or a dash, or quoted speech with who says it."""
    speakers = [match.group(1).strip() for match in _SPEAKER.finditer(text)]
    return (
        (len(speakers) >= 2 and len(set(speakers)) >= 2)
        or len(_DASHES.findall(text)) >= 2
        or len(_SAID.findall(text)) >= 2
    )


def is_letter(text: str) -> bool:
    """A greeting or a closing; a part from the middle of a letter speaks to its reader instead."""
    return bool(_GREETING.search(text.lstrip()) or _CLOSING.search(text) or re.search(r"\b[Yy]ou\b", text))


def is_notes(text: str) -> bool:
    """At least half of the lines are points, headings or labelled, and there are at least two."""
    lines = [line for line in text.splitlines() if line.strip()]
    points = [line for line in lines if _BULLET.match(line) or _LABEL.match(line)]
    return len(points) >= 2 and len(points) >= len(lines) / 2


def addresses_listeners(text: str) -> bool:
    return bool(_ADDRESSED.search(text))


def has_steps(text: str) -> bool:
    """At least two numbered steps."""
    return len(_STEP.findall(text)) >= 2


STYLE_FORMS: dict[str, tuple[Callable[[str], bool], str]] = {
    "questions": (has_questions, "no question with an answer"),
    "speakers": (has_speakers, "no two turns of different speakers"),
    "letter": (is_letter, "neither a greeting nor a closing, and nobody is addressed"),
    "notes": (is_notes, "no list of points or headings"),
    "listeners": (addresses_listeners, "nobody is addressed"),
    "steps": (has_steps, "no numbered steps"),
}
ENGLISH_FORMS = frozenset({"letter", "listeners"})


def missing_form(text: str, form: str | None, *, english: bool = True) -> str | None:
    """What a text of this form lacks, for people; None if nothing, or if the style has no form to look for.

    Raises:
        KeyError: there is no such form.
    """
    if form is None or (form in ENGLISH_FORMS and not english):
        return None
    fits, lack = STYLE_FORMS[form]
    return None if fits(text) else lack

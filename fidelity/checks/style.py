"""What a style asks for, visible in the text: questions with answers, speakers, a letter's address, notes, listeners.

A recipe names the form of each style that has one (`[forms]`); a style without one is a matter of register, which these
rules do not see. They are for texts in English; in other languages only questions, speakers and notes are looked for.
"""

import itertools
import re
from collections.abc import Callable

from fidelity.checks import letter
from fidelity.checks.question_fit import unfit_question

_BULLET = re.compile(
    r"^\s{0,20}+(?:[-*•–+→▪◦‣✓>]\s?(?:\[[ xX]\])?|\(?\d{1,3}(?:\.\d{1,3})*[.)]?\s|\(?(?:[a-zA-Z]"
    r"|[ivxIVX]{1,5})[.)]|#{1,6}\s|\||[①-⑳])"
    r"\s*\S"
)
_LABEL = re.compile(r"^\s{0,20}+(?:\*\*[^*\n]{1,80}\*\*:?|[^\s:.!?][^:.!?\n]{0,60}[:：])(?:\s|$|(?<=：))")
# "Anna:", "**Dr. Reid** (softly):", "[Ben]:", "1. Ben:", "> **Ben:**", "ANNA.", "Anna –"
_SPEAKER = re.compile(
    r"""^[^\S\n]{0,20}+(?:>[ ])?(?:(?:\d{1,3}\.|[-•*])[ ])?[*_\["“]{0,4}+
    (?P<name>(?:(?:Dr|Mr|Mrs|Ms|Prof|St|Sr|Sra|M
        |Mme)\.[ ])?[^\W_\d][^\n:：.!?*_\]\[–—]{0,30}?)[ ]?(?:\([^)\n]{1,30}\))?[*_\]]{0,3}
    (?: [ ]{0,2}[:：][*_]{0,2} | [ ][–—][ ] | (?<=[A-Z]{2})\.[ ] | (?<=\*\*)[ ]*\n )\s*(?P<said>\S[^\n]*)""",
    re.MULTILINE | re.VERBOSE,
)
# Labels of notes, of questions and of steps, which nobody bears as a name.
_NO_SPEAKER = re.compile(
    r"(?:q|a|question|answer|frage|antwort|pregunta|respuesta|réponse|вопрос|ответ|问|答|質問|答え|step|note|notes|warning"
    r"|tip|title|topic|subject|introduction|conclusion|summary|background|overview|example|definition|result|results"
    r"|situation|lesson|key points?|important|date|year|place|time|source|also|another|https?)\s*\d*",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“„«「『](?!\s)([^\"“”„«»「」『』\n]{2,600}+)[\"“”»」』]")
_SAYS = re.compile(
    r"\b(?:said|asked|replied|answered|says|asks|replies|answers|explain(?:s|ed)|wonder(?:s|ed)|demand(?:s|ed)|add(?:s|ed)"
    r"|exclaim(?:s|ed)|continue[sd]|told|whisper(?:s|ed)|respond(?:s|ed)|agree[sd]|sagte?|fragte?|antwortete?|erwiderte?|erklärte?"
    r"|dit|demanda|répondit|dijo|preguntó|respondió|contestó|disse|chiese|rispose|perguntou|respondeu"
    r"|сказала?|спросила?|ответила?)\b|[说問问道答]|言った|聞いた|尋ねた|答えた"
)
_SENTENCE = re.compile(r"[.!?…。！？؟।።]\W*\Z")
_NEAR_END = 40  # characters
_SPOKEN_END, _COMMAS = re.compile(r"[,.?!…，。？！]\Z"), (",", "，", ".", "，")
_DASHES = re.compile(r"^[^\S\n]{0,20}+(?:[—–―][^\S\n]*+|-[^\S\n]++)(\S[^\n]*)", re.MULTILINE)
_QUESTION = re.compile(r"[?？؟;՞፧]")
_CLOSING = re.compile(
    r"^[^\w\n]{0,8}+(?:yours|sincerely|best|(?:best|warm|warmest|kind) (?:wishes|regards)|warmly"
    r"|regards|(?:all my |with )?love|your friend|"
    r"take care|until next time|with (?:love|affection|best|kind|warm)\b[\w ]{0,24}|cheers)\W{0,3}$",
    re.IGNORECASE | re.MULTILINE,
)
_YOU, _I = re.compile(r"\b[Yy]ou(?:r|rs|rself)?\b"), re.compile(r"\b(?:I|[Mm]e|[Mm]y|[Ww]e|[Oo]ur)\b")
_ADDRESSED = re.compile(
    r"\b(?:you|your|yourself|let (?:us|me)|let['’]s|we|our|(?-i:us|Us)|imagine|picture|consider"
    r"|notice|remember|think of|now,|please"
    r"|class[,.!]|ladies and gentlemen|everyone[,.!]|everybody[,.!]|students[,.!]|folks[,.!])(?!\w)",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"^\W{0,8}(?:(?:step|schritt|étape|etapa|paso|passo|шаг|ステップ|手順)\s*(?:\d+|one|two|three|four|five|six|eins|zwei)\b|步骤\s*[\d一二三四五六七八九十]"
    r"|第[\d一二三四五六七八九十]{1,3}步|[①-⑳]|\d\ufe0f?\u20e3|\(?\d{1,3}[.:)])"
    r"|(?:^|(?<=[.!?]\s))(?:first|second|third|fourth)(?:ly)?,",
    re.IGNORECASE | re.MULTILINE,
)
# A line that asks, and no more: with a label, as a heading, in bold, in a list.
_ASKING_LINE = re.compile(
    r"^[^\S\n]{0,20}+(?:(?:\*\*|#{1,6}\s|[-*]\s)?(?:Q|Question|Frage|Pregunta|Вопрос|问|質問)\b|\*\*|#{1,6}\s|\d{1,3}[.)]\s)[^\n]*[?？؟;՞፧][^\w\n]{0,10}$",
    re.MULTILINE | re.IGNORECASE,
)


def has_questions(text: str) -> bool:
    """At least one question, and after each something that is not a question."""
    questions = list(_QUESTION.finditer(text))
    if not questions:
        return False
    rest = text[questions[-1].end() :].strip()
    answer = re.sub(r"^\W*(?:A|Answer|Antwort|Respuesta|Réponse|Ответ|答え?)\b\W*", "", rest, flags=re.IGNORECASE)
    if not re.search(r"\w", answer):
        return False
    asking = list(_ASKING_LINE.finditer(text))
    return all(re.search(r"\w", text[one.end() : other.start()]) for one, other in itertools.pairwise(asking))


def has_speakers(text: str) -> bool:
    """At least two turns: lines that begin with a speaker or a dash, or quoted speech with who says it."""
    turns = [
        match["name"].strip()
        for match in _SPEAKER.finditer(text)
        if not _NO_SPEAKER.fullmatch(match["name"].strip()) and _SENTENCE.search(match["said"][-_NEAR_END:])
    ]
    if len(turns) >= 2 and len(set(turns)) >= 2:
        return True
    dashes = list(_DASHES.finditer(text))
    # A list has hyphens, too; but nobody asks in it.
    if len(dashes) >= 2 and (
        dashes[0].group().lstrip()[0] != "-" or any(_QUESTION.search(match.group(1)) for match in dashes)
    ):
        return True
    spoken = [
        match
        for match in _QUOTED.finditer(text)
        if _SPOKEN_END.search(match.group(1)) or text[match.end() :][:1] in _COMMAS
    ]
    return len(spoken) >= 2 and any(
        _SAYS.search(_QUOTED.sub(" ", text[max(0, match.start() - 40) : match.end() + 40])) for match in spoken
    )


def is_letter(text: str) -> bool:
    """A greeting, a closing or a signature; a part from the middle of a letter has "you" and "I" instead."""
    if has_speakers(text):
        return False
    return bool(
        letter.is_letter(text)
        or letter.is_signed(text)
        or _CLOSING.search(text)
        or (_YOU.search(text) and _I.search(text))
    )


def is_notes(text: str) -> bool:
    """At least half of the lines are points, headings or labelled, and there are at least two."""
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = [line for line in lines if _BULLET.match(line)]
    points = [line for line in lines if _BULLET.match(line) or _LABEL.match(line)]
    if len(points) < 2 or len(points) < len(lines) / 2:
        return False
    return bool(bullets) or not _is_conversation(text)


def _is_conversation(text: str) -> bool:
    """Somebody speaks twice."""
    turns = [match["name"].strip() for match in _SPEAKER.finditer(text) if _SENTENCE.search(match["said"][-_NEAR_END:])]
    return len(set(turns)) < len(turns)


def addresses_listeners(text: str) -> bool:
    return bool(_ADDRESSED.search(_QUOTED.sub(" ", text)))


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
    if not fits(text):
        return lack
    return unfit_question(text) if form == "questions" and english else None

"""Who speaks in a rewrite: the model itself, or people in a conversation, a letter or a talk?"""

import re

from fidelity.checks.letter import is_letter

_QUOTED = re.compile(
    r'"[^"\n]{0,600}"|“[^”\n]{0,600}”|«[^»\n]{0,600}»|„[^“”\n]{0,600}[“”]|「[^」\n]{0,600}」|『[^』\n]{0,600}』'
)
LINE_OF_SPEECH = re.compile(
    r"""^[ \t]*(?: [—–―][ \t]
        | [-*_>\#\[(\"“]{0,4}(?P<speaker>[^\W\d_][\w.’'\ -]{0,40})(?:\([^)\n]{0,30}\))?[*_\])]{0,3}[:：] )[^\n]*""",
    re.MULTILINE | re.VERBOSE,
)
# A label of one of these stands for the model itself.
_NO_SPEAKER = re.compile(
    r"\W*(?:assistant|ai|chatbot|bot|model|system|response|(?:final )?answer|a|output|result|note"
    r"|disclaimer|warning|apology"
    r"|(?:\w+ )?(?:text|passage|version|rewrite|article|rewriting|translation|summary|paragraph)|q|question|sorry"
    r"|refusal|sure|certainly|(?:here|hier|voici|aquí|ecco|вот)\b.*|ai assistant)\W*",
    re.IGNORECASE,
)
MAX_SPEAKER_WORDS = 4
AUDIENCE = r"""(?: everyone | everybody | class\b | folks | students | all\b | guys | friends | team | ladies
    | children
    | let['’]?s\b | let\ us | today | now\b | so\b | well\b | good\ (?:morning|afternoon|evening) | welcome
        | settle | we\b
    | please\ (?:sit|take|open|settle|be) | quiet | who\b | why\b | this\ (?:morning|week|semester) | last\ (?:time
        |week)
    | thank )"""
_LECTURE = re.compile(
    rf"""\W*(?: (?:okay|ok|alright|all\ right|right|well|now|so|great|sure|hello|hi|hey|thanks|thank\ you|sorry
        |listen)
            [\s,.!:]{{1,3}}{AUDIENCE}
        | (?:good\ (?:morning|afternoon|evening|day)|welcome|today|everyone|everybody|class|students|folks|ladies)\b
        | [^.!?\n]{{0,60}},\ (?:everyone|everybody|class|students|folks)\b )""",
    re.IGNORECASE | re.VERBOSE,
)


def without_speech(text: str) -> str:
    """The text without what others say: quotations and the lines of a conversation; all of it if nothing is left."""

    def blank(match: re.Match[str]) -> str:
        speaker = match.group("speaker")
        is_model = speaker is not None and not _is_name(speaker)
        return match.group() if is_model else " " * len(match.group())

    rest = LINE_OF_SPEECH.sub(blank, _QUOTED.sub(lambda match: " " * len(match.group()), text))
    if any(char.isalnum() for char in rest):
        return rest
    # One line of speech alone is the model's: a whole answer in quotation marks.
    return rest if len(LINE_OF_SPEECH.findall(text)) > 1 or _named_speaker(text) else text


def _named_speaker(text: str) -> bool:
    match = LINE_OF_SPEECH.match(text.lstrip())
    return bool(match and match.group("speaker") and _is_name(match.group("speaker")))


def _is_name(speaker: str) -> bool:
    return len(speaker.split()) <= MAX_SPEAKER_WORDS and _NO_SPEAKER.fullmatch(speaker) is None


def is_addressed(text: str) -> bool:
    """A letter, or a talk to an audience."""
    return is_letter(text) or _LECTURE.match(text) is not None

"""Is a rewrite complete, or was it cut off? A letter may end with a signature."""

import re

from fidelity.checks.finding import Finding
from fidelity.facts.reading.punctuation import ends_sentence

# What may follow the last sentence: a formula, code, a table, emphasis.
_MARKUP_END = re.compile(r"[$|`*_]\s*\Z")
_LIST_ITEM = re.compile(r"^\s*(?:[-*#>|•]|\d+[.)]|\w+:)[^\n]*\Z")

_GREETING = re.compile(
    r"""\W{0,3}(?:(?:my\s)?dear(?:est)?\b | dearly\b | to\swhom\sit | hi\b | hello\b | hey\b | greetings\b
        | lieber?s?\b | sehr\sgeehrte | hallo\b | querid[oa]s?\b | estimad[oa]s?\b | car[oai]\b | gentil[ei]\b
        | ch[eè]re?s?\b | bonjour\b | prezad[oa]s?\b | дорог(?:ой|ая|ие)\b | уважаем | здравствуй | привет\b
        | 亲爱的 | 尊敬的 | 拝啓 | 親愛)""",
    re.IGNORECASE | re.VERBOSE,
)
# A whole line: it must not match a sentence that happens to have such a word in it.
_VALEDICTION = re.compile(
    r"""\W{0,3}(?:
        (?:very\s|most\s|ever\s)?(?:sincerely|truly|respectfully|faithfully|cordially|warmly|fondly|affectionately
            |gratefully|lovingly)(?:\syours)?
        | yours(?:\s[\w\s]{0,20})? | your\s[\w\s,]{0,30} | (?:as\s)?(?:ever|always) | (?:all\s(?:the|my)\s)?best
        | (?:(?:with|warm|warmest|kind|kindest|best|all|lots|much|many)\b[\w\s]{0,24}\b)?
            (?:regards|wishes|love|gratitude|thanks|affection|respect|appreciation|greetings|hugs|kisses|friendship)
        | cheers | take\scare | (?:until|till|see\syou|talk\sto\syou|write)\b[\w\s]{0,24} | thank\syou | farewell
        | [\w\s]{0,24}\b(?:grüßen?|gruß) | dein | deine | (?:un\s|con\s)?[\w\s]{0,20}\b(?:saludos?|abrazos?|cariño)
        | atentamente | bien\sà\s(?:toi|vous) | [\w\s]{0,20}\b(?:cordialement|amitiés|bises|bisous)
        | [\w\s]{0,20}\b(?:saluti|abbracci|abraços|cumprimentos) | atenciosamente
        | с\s[\w\s]{0,20}\b(?:уважением|любовью|приветом) | (?:искренне\s)?(?:ваш|ваша|твой|твоя)
        | 此致 | 敬礼 | 敬具 | 敬上 | 谨上 | かしこ
    )\s*[,，.!！]?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
# Small words inside a name or a title: "Duke of York", "Ludwig van Beethoven".
_SMALL = frozenset("of the and & from at in for to a your von van der den de la le du da di del y et und".split())
MAX_SIGNATURE_LINES = 4
MAX_SIGNATURE_WORDS = 8
MAX_GREETING_WORDS = 6


def truncated(finish_reason: str, rewrite: str) -> Finding | None:
    """The model was stopped before it was finished."""
    if finish_reason != "stop":
        return "truncated", f"the engine reports finish reason {finish_reason!r}"
    if not is_complete(rewrite):
        return "truncated", f"it ends with {rewrite.rstrip()[-40:]!r}"
    return None


def is_complete(text: str) -> bool:
    """The text ends like a sentence, a list, a formula, a table or a signed letter."""
    last_line = text.rstrip().rsplit("\n", 1)[-1]
    if ends_sentence(last_line) or _MARKUP_END.search(last_line) or _LIST_ITEM.match(last_line):
        return True
    return _is_signed(text)


def is_letter(text: str) -> bool:
    """The text starts with a salutation on a line of its own, or followed by a comma."""
    first = text.lstrip().split("\n", 1)[0][:120]
    greeting = _GREETING.match(first)
    if greeting is None:
        return False
    salutation = first[: greeting.end() + 40]
    return len(first.split()) <= MAX_GREETING_WORDS or any(mark in salutation for mark in ",!:，：！、")


def _is_signed(text: str) -> bool:
    r"""The text ends with a valediction and a name: "Yours sincerely,\n\nAnna Kowalska", "Love, Anna", "— Anna"."""
    lines = [line.strip() for line in text.rstrip()[-400:].split("\n") if line.strip()]
    if len(lines) < 2:
        return False
    last = lines[-1]
    if last[0] in "—–―" and _is_name(last[1:]):
        return True
    closing, comma, name = last.rpartition(",")
    if comma and _is_valediction(closing) and _is_name(name):
        return True
    for n_lines in range(1, min(MAX_SIGNATURE_LINES, len(lines) - 1) + 1):
        before = lines[-n_lines - 1]
        if not _is_name(lines[-n_lines]):
            return False
        # In a letter, any short line that ends with a comma: "Hopefully back soon,".
        is_short = before.endswith((",", "，")) and len(before.split()) <= 4 and not _GREETING.match(before)
        if _is_valediction(before) or (is_short and is_letter(text)):
            return True
    return False


def _is_valediction(line: str) -> bool:
    return len(line) <= 80 and _VALEDICTION.fullmatch(line) is not None


def _is_name(line: str) -> bool:
    """A name, a title or an address: few words, each with a capital, a digit or nothing to capitalise."""
    words = line.replace(",", " ").split()
    return 0 < len(words) <= MAX_SIGNATURE_WORDS and all(
        word.lower() in _SMALL or not word[0].isalpha() or not word[0].islower() for word in words
    )

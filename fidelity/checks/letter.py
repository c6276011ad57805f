"""Is a text a letter, and does it end with a signature?"""

import re

_GREETING = re.compile(
    r"""\W{0,3}(?:(?:my\s)?dear(?:est)?\b(?!\sto\b) | dearly\b | to\swhom\sit | hi\b | hello\b | hey\b | greetings\b
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
            (?:\s(?:from|to)\s[\w\s]{1,24})?
        | cheers | take\scare | (?:until|till|see\syou|talk\sto\syou|write)\b[\w\s]{0,24} | thank\syou | farewell
        | [\w\s]{0,24}\b(?:grüßen?|gruß) | dein | deine | (?:un\s|con\s)?[\w\s]{0,20}\b(?:saludos?|abrazos?|cariño)
        | atentamente | bien\sà\s(?:toi|vous) | [\w\s]{0,20}\b(?:cordialement|amitiés|bises|bisous)
        | [\w\s]{0,20}\b(?:saluti|abbracci|abraços|cumprimentos) | atenciosamente
        | с\s[\w\s]{0,20}\b(?:уважением|любовью|приветом) | (?:искренне\s)?(?:ваш|ваша|твой|твоя)
        | 此致 | 敬礼 | 敬具 | 敬上 | 谨上 | かしこ | 祝[\w，,]{1,12} | 此致敬礼
    )\s*[,，.!！]?\s*""",
    re.IGNORECASE | re.VERBOSE,
)
# What ends a letter without a name after it.
_LAST_WORDS = frozenset("敬具 敬礼 敬上 谨上 草々 かしこ 此致敬礼".split())
# Small words inside a name or a title: "Duke of York", "Ludwig van Beethoven".
_SMALL = frozenset(
    "of the and & from at in for to a your von van der den de la le du da di del y et und x xx xxx xo".split()
)
MAX_SIGNATURE_LINES = 4
MAX_SIGNATURE_WORDS = 8
MAX_GREETING_WORDS = 6
MAX_BARE_NAME_WORDS = 3


def is_letter(text: str) -> bool:
    """The text starts with a salutation on a line of its own, or followed by a comma."""
    first = text.lstrip().split("\n", 1)[0][:120]
    greeting = _GREETING.match(first)
    if greeting is None:
        return False
    salutation = first[: greeting.end() + 40]
    is_short = len(first.split()) <= MAX_GREETING_WORDS and not first.endswith(".")
    return is_short or any(mark in salutation for mark in ",!:，：！、")


def is_signed(text: str) -> bool:
    r"""The text ends with a valediction and a name: "Yours sincerely,\n\nAnna Kowalska", "Love, Anna", "— Anna"."""
    lines = [bare for line in text.rstrip()[-400:].split("\n") if (bare := line.strip().strip("*_"))]
    if len(lines) < 2:
        return False
    last = lines[-1]
    if last in _LAST_WORDS:
        return True
    if last[0] in "—–―" and _is_name(last[1:]):
        return True
    closing, comma, name = last.rpartition(",")
    if comma and _is_valediction(closing) and _is_name(name):
        return True
    if is_letter(text) and _ends_letter(last, lines[-2]):
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


def _ends_letter(last: str, before: str) -> bool:
    """ "Love Kate", or "Kate" after a last sentence that wishes something."""
    words = last.split()
    if any(
        _is_valediction(" ".join(words[:i])) and _is_name(" ".join(words[i:])) for i in range(1, min(len(words), 6))
    ):
        return True
    return (
        len(words) <= MAX_BARE_NAME_WORDS
        and _is_name(last)
        and before.endswith(("!", "！"))
        and not _GREETING.match(before)
    )


def _is_valediction(line: str) -> bool:
    return len(line) <= 80 and _VALEDICTION.fullmatch(line) is not None


def _is_name(line: str) -> bool:
    """A name, a title or an address: few words, each with a capital, a digit or nothing to capitalise."""
    words = line.replace(",", " ").split()
    return 0 < len(words) <= MAX_SIGNATURE_WORDS and all(
        word.lower() in _SMALL or not word[0].isalpha() or not word[0].islower() for word in words
    )

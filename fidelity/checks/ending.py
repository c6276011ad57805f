"""Is a rewrite complete, or was it cut off?

What ends a text shows on its last line: a sentence, a list item, a verse, a formula, code, a table, an address of the
web, a signature. A list item or a row of a table is compared with those before it, since only some writers end them
with a full stop.
"""

import re

from fidelity.checks.finding import Finding
from fidelity.checks.letter import is_signed
from fidelity.facts.reading.punctuation import ends_sentence
from rephrase.corpus.protected import without_protected

# Words that leave a sentence open, whatever mark begins its line.
_OPEN_WORD = re.compile(
    r"[^\W\d_]{2,}\s+(?:and|or|but|nor|the|an|of|to|with|from|by|as|than|because|which|whose|its|their|my|your|our"
    r"|und|oder|et|и)[\s,]*\Z"
)
_EMPTY_ITEM = re.compile(r"\s*(?:[-*•–—→]|\d{1,3}[.)]|\(?[a-z]\)|#{1,6})\s*\Z")
_LIST_ITEM = re.compile(
    r"\s*(?:[-*#>|•→+✓]|[–—]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]\s|\d[\d.]*\s|\d[\d/–-]*(?:[:：]|\s[–—-])\s|[①-⑳]"
    r"|[^\W\d_][\w-]*\s?[:：]|[^\W\d_]+\s\w{0,3}\d+\s?[:：]|(?:[^\W\d_][\w-]*\s){1,3}[\w-]+[:：]\s*[\d$\\(−-])"
)
_LABEL = re.compile(r"[ \t>*_-]{0,6}[^\W\d_][\w .'’-]{0,30}[*_]{0,2}[:：]")
_FORMULA_END = re.compile(r"[=≈≡≤≥<>→⇌∈]\s*(?![^\n=]*[^\W\d_]{4})[^\s=][^\n=]{0,60}(?<![-+−*/^·×])\Z")
_WEB_ADDRESS = re.compile(r"(?:\b(?:https?|ftp)://|\bwww\.)\S+\Z|\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{2,64}\Z")
_CLOSING_TAGS = re.compile(r"(?:\s{0,20}</?[a-zA-Z][a-zA-Z0-9]{0,15}\s{0,5}/?>)+\s*\Z")
_CLOSING_WORDS = re.compile(r"\W*(?:(?:the\s)?end|fin|ende|finis|конец|fine|完|终|終|おわり|終わり)\W*", re.IGNORECASE)
# Sentences that a colon or a semicolon ends: Armenian and Greek ones.
_ANNOUNCES = re.compile(r"(?<![\u0370-\u058f])[:：;；]\Z")
_BRACKETS = ("([{（【「『《〈", ")]}）】」』》〉")
_QUOTES = (("“", "”"), ("«", "»"))
# Not the sign of inches. One that stands before a word and after none opens.
_STRAIGHT_QUOTE = re.compile(r'(?P<opening>(?<![^\s(\[—–-])"(?=\w))|(?<!\d)"')
_EMOTICON = re.compile(r"[:;]-?[(\[{]")
VERSE_LINES, VERSE_CHARACTERS = 4, 60
_EMPHASIS = "*_~ \t"
_NEAR_END = 200  # characters at the end to look at


def truncated(source: str, finish_reason: str, rewrite: str) -> Finding | None:
    """The model was stopped before it was finished. A rewrite may announce or leave open what its source does."""
    if finish_reason != "stop":
        return "truncated", f"the engine reports finish reason {finish_reason!r}"
    if not is_complete(rewrite):
        return "truncated", f"it ends with {rewrite.rstrip()[-40:]!r}"
    if _announces(rewrite) and not _announces(source):
        return "truncated", f"nothing follows {rewrite.rstrip()[-40:]!r}"
    if (sign := _left_open(rewrite)) and not _left_open(source):
        return "truncated", f"it ends with {sign!r} left open: {rewrite.rstrip()[-40:]!r}"
    return None


def is_complete(text: str) -> bool:
    """The text ends like a sentence, a list, a verse, a formula, code, a table or a signed letter."""
    text = text.rstrip()
    lines = (text[:-_NEAR_END] + _CLOSING_TAGS.sub("", text[-_NEAR_END:])).rstrip().split("\n")
    if _EMPTY_ITEM.match(lines[-1]) and len(lines) > 1:
        return False
    if lines[-1].rstrip()[-1:] in ("$", "`") or lines[-1].rstrip().endswith(("\\]", "\\)", "}")):
        return _is_closed(lines[-1]) or not lines[-1].strip("`~$ ")
    while len(lines) > 1 and not any(char.isalnum() for char in lines[-1]) and "|" not in lines[-1]:
        lines.pop()  # a rule, an emoji
    last = lines[-1].strip().rstrip(_EMPHASIS)
    if "|" in last and (last.startswith("|") or (len(lines) > 1 and "|" in lines[-2])):
        return _is_row(last, lines[-2] if len(lines) > 1 else "")
    end = last[-_NEAR_END:]
    if _OPEN_WORD.search(end):
        return False
    if ends_sentence(end) or _WEB_ADDRESS.search(end):
        return True
    if _FORMULA_END.search(end) and end.count("$") % 2 == 0:
        return True
    if _LIST_ITEM.match(lines[-1]):
        return not _cut_item(lines)
    if (sign := lines[-1].rstrip()[-1:]) in ("*", "_") and lines[-1].count(sign) % 2 == 0:
        return True  # a heading, a title
    return _CLOSING_WORDS.fullmatch(last) is not None or _ends_verse(lines) or is_signed(text)


def _is_closed(line: str) -> bool:
    """The sign of a formula or of code at the end of a line closes, and does not open."""
    sign = line.rstrip()[-1]
    return sign not in "$`" or line.count(sign) % 2 == 0


def _is_row(last: str, before: str) -> bool:
    """A row of a table has as many cells as the one before it, and its right border."""
    if not last.startswith("|"):
        return last.count("|") >= min(before.count("|"), 1)
    return last.endswith("|") and (not before.strip().startswith("|") or last.count("|") >= before.count("|"))


def _cut_item(lines: list[str]) -> bool:
    """The last of several items has no full stop, and all others do."""
    if len(lines[-1].split()) < 4:
        return False
    label = _LABEL.match(lines[-1])
    others = [
        line
        for line in lines[-20:-1]
        if _LIST_ITEM.match(line) and (label is None) == (_LABEL.match(line) is None) and line.strip()[-1] not in "?？"
    ]
    return bool(others) and all(ends_sentence(line) for line in others)


def _ends_verse(lines: list[str]) -> bool:
    """A stanza: some short lines, most of which end without a full stop."""
    stanza: list[str] = []
    for line in reversed(lines[-12:]):
        if not line.strip():
            break
        stanza.append(line.strip())
    others = stanza[1:]
    return (
        len(stanza) >= VERSE_LINES
        and max(map(len, stanza)) <= VERSE_CHARACTERS
        and sum(not ends_sentence(line) for line in others) * 2 >= len(others)
    )


def _announces(text: str) -> bool:
    return _ANNOUNCES.search(text.rstrip().rstrip(_EMPHASIS)) is not None


def _left_open(text: str) -> str | None:
    """The bracket or quotation mark that the last line opens and does not close."""
    line = _EMOTICON.sub("", without_protected(text.rstrip().rsplit("\n", 1)[-1]))
    opening, closing = _BRACKETS
    opened = [sign for sign in line if sign in opening]
    if len(opened) > sum(line.count(sign) for sign in closing):
        return opened[-1]
    if line.count("„") > sum(map(line.count, '“”"')):
        return "„"
    for opens, closes in _QUOTES:
        if "„" not in line and line.count(opens) > line.count(closes):
            return opens
    straight = list(_STRAIGHT_QUOTE.finditer(line))
    is_opening = len(straight) % 2 and straight[-1]["opening"] is not None
    return '"' if "„" not in line and is_opening else None

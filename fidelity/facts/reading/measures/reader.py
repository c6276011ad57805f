"""Reads the unit after a number, with its powers and what it is per, and the currency before one."""

import re

from fidelity.facts.reading.measures.measure import Unit, divided, raised
from fidelity.facts.reading.measures.units import by_symbol, by_word

# No unit has a longer word; the bounds keep a text without spaces linear.
_GAP = re.compile(r"[\s\u00a0\u2009\u202f]{0,2}(?:[-\u2010\u2011][\s]?)?")
_DEGREES = re.compile(
    r"(?:[°º]\s?|(?:degrees?|deg\.?)\s)(?P<scale>[CFK]\b|[Cc]elsius|[Cc]entigrade|[Ff]ahrenheit|[Kk]elvin)"
)
_POWER_WORD = re.compile(r"(?P<power>square|cubic|sq\.?|cu\.?)[\s-]", re.I)
_WORDS = re.compile(r"[^\W\d_²³]{1,24}(?:[\s-][^\W\d_²³]{1,24}){0,2}")
_SYMBOL = re.compile(r"(?:US|USD|A|AU|C|CA|S|HK|NZ|NT|R|MX)?[$¥￥£€¢]|[^\W\d_²³⁻¹]{1,24}|[%٪﹪％‰°℃℉′″₹₩₽₺₴₪₱₫₦]")
_RAISED = re.compile(r"(?P<two>²|\^2|2)(?![\w.,]*\d|\w)|(?P<three>³|\^3|3)(?![\w.,]*\d|\w)")
_POWER_SIGN = re.compile(r"[²³]|\^[23](?!\d)|\ssquared(?!\w)")
_PER = re.compile(r"\s?[/∕⁄]\s?|\s+per[\s-]|[-‑]per[-‑]", re.I)
_EACH = re.compile(r"\s+(?:an?|each|every)\s+(?=(?:second|minute|hour|day|week|month|year|night)\b)", re.I)
_INVERSE = re.compile(r"[\s·⋅]?(?P<symbol>[^\W\d_²³⁻¹]{1,24})(?:⁻|\^?[-−])(?P<power>[¹²³123])(?!\d)")
_CODE = r"US|USD|A|AU|C|CA|Can|CAN|CDN|S|HK|NZ|NT|R|MX|Mex|CN|JP|E"
_CURRENCY = re.compile(
    rf"(?:(?<![^\W\d_])(?P<code>[A-Z]{{3}})[\s\u00a0]?"
    rf"|(?P<sign>(?:(?<![^\W\d_])(?:{_CODE}))?[$£¥￥€¢]|[₹₩₽₺₴₪₱₫₦₨₸฿₡₲₵₾₼֏₤]|(?<![^\W\d_])(?:Rs\.?|kr\.?|Fr\.?|CHF|RM))"
    r"[\s\u00a0\u202f]?)$"
)
# Symbols of one letter that also number a section or a size: only right after a number and before no other letter.
_LETTERS = frozenset("MTBA")


def currency_before(text: str, start: int) -> tuple[Unit, int] | None:
    """The currency sign or code right before a number, and where it starts."""
    match = _CURRENCY.search(text, max(0, start - 7), start)
    if match is None:
        return None
    written = match.group("code") or match.group("sign").rstrip(".")
    unit = by_symbol(written) or by_symbol(written[-1])
    if unit is None or not unit.measures[0].dimension.startswith("money"):
        return None
    return unit, match.start()


def unit_after(text: str, end: int, *, in_digits: bool, words: bool = True) -> tuple[Unit, int] | None:
    """The unit after a number that ends here, and its end: "%", " km", "-year", "square miles", "miles an hour".

    Symbols are units only after digits; without `words`, English words are none.
    """
    gap = _GAP.match(text, end)
    start = gap.end() if gap else end
    found = _single(text, start, in_digits=in_digits, attached=start == end or text[start - 1] == "-", words=words)
    return with_denominators(text, *found) if found else None


_OF_ONE = re.compile(r"\sof\s(?:an?|one)\s")


def unit_of_which(text: str, end: int) -> tuple[Unit, int] | None:
    """The unit of a fraction of one, and its end: "three quarters of a litre"."""
    match = _OF_ONE.match(text, end)
    return unit_after(text, match.end(), in_digits=False) if match else None


def inches_after(text: str, end: int) -> tuple[Unit, int] | None:
    """The inches of "6 ft 2 in": elsewhere "in" is a preposition."""
    match = re.compile(r"\s?in\b\.?").match(text, end)
    unit = by_symbol("in.")
    return (unit, match.end()) if match and unit else None


def with_denominators(text: str, unit: Unit, end: int) -> tuple[Unit, int]:
    """The unit with what it is per: "/h", "per second per second", "an hour"."""
    for _ in range(2):
        if match := _INVERSE.match(text, end):
            below = by_symbol(match.group("symbol"))
            if below is None:
                break
            for _ in range("123".find(match.group("power")) + "¹²³".find(match.group("power")) + 2):
                unit = divided(unit, below)
            end = match.end()
            continue
        match = _PER.match(text, end) or _EACH.match(text, end)
        found = _single(text, match.end(), in_digits=match.group()[-1:] in "/∕⁄ ", attached=False) if match else None
        if found is None or found[0].measures[0].dimension.startswith("money"):
            break
        below, end = found
        if raised_to := _POWER_SIGN.match(text, end):
            end = raised_to.end()
            for _ in range(2 if raised_to.group()[-1] in "3³" else 1):
                unit = divided(unit, below)
        unit = divided(unit, below)
    return unit, end


def _single(text: str, start: int, *, in_digits: bool, attached: bool, words: bool = True) -> tuple[Unit, int] | None:
    """A unit without denominators."""
    if match := _DEGREES.match(text, start):
        scale = match.group("scale")
        unit = by_symbol(f"°{scale}") or by_word(scale.lower())
        return (unit, match.end()) if unit else None
    if match := _POWER_WORD.match(text, start):
        inner = _single(text, match.end(), in_digits=in_digits, attached=False)
        return (raised(inner[0], 2 if match.group("power")[0] in "sS" else 3), inner[1]) if inner else None
    if words and (match := _WORDS.match(text, start)) and (found := _by_words(match)):
        return _with_power(text, *found)
    match = _SYMBOL.match(text, start)
    if match is None:
        return None
    symbol, end = match.group(), match.end()
    if symbol == "p" and not attached:
        return None  # pence, but not pages
    if symbol == "in" and text[end : end + 1] == "." and in_digits:
        symbol, end = "in.", end + 1
    if symbol[0].isalpha() and (not in_digits or (len(symbol) == 1 and _is_letter(text, symbol, end, attached))):
        return None
    unit = by_symbol(symbol)
    return _with_power(text, unit, end) if unit else None


def _is_letter(text: str, symbol: str, end: int, attached: bool) -> bool:
    """Whether a single letter is no unit: "5 A", "1960s", "5d", "Exhibit 3 C-1"."""
    if symbol in _LETTERS or (attached and symbol in "sdtKC"):
        return True
    return text[end : end + 1] in ("-", "'", "’") and (symbol.isupper() or text[end] != "-")


def _by_words(match: re.Match[str]) -> tuple[Unit, int] | None:
    """The unit of the longest of the next three words that is one."""
    words = re.split(r"[\s-]", match.group())
    for count in range(len(words), 0, -1):
        written = match.group() if count == len(words) else match.group()[: len(" ".join(words[:count]))]
        if (unit := by_word(re.sub(r"[\s-]", " ", written.lower()))) and not written.isupper():
            return unit, match.start() + len(written)
    return None


def _with_power(text: str, unit: Unit, end: int) -> tuple[Unit, int]:
    match = _RAISED.match(text, end)
    if match and unit.measures[0].dimension == "[length]^1":
        return raised(unit, 2 if match.group("two") else 3), match.end()
    return unit, end

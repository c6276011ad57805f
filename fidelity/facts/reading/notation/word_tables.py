"""Number words of each language: num2words knows about forty, `number_words.toml` adds what it lacks."""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0980-\u0983\u09bc-\u09d7\u0a00-\u0d83\u0e31-\u0e4e"
TOKEN = re.compile(rf"[^\W\d_](?:[^\W\d_]|[{_MARKS}\u200c\u200d'])*")


@dataclass(frozen=True, slots=True)
class WordTable:
    """Number words of one language: phrases by their first word, longest first, and prefixes of words."""

    phrases: dict[str, list[tuple[tuple[str, ...], float]]]
    beginnings: tuple[tuple[str, float], ...]
    thousand: str = "\0"  # what "thousand" is inside a compound, if there are compounds

    def single(self, word: str) -> float | None:
        """The value of one word."""
        return next((value for phrase, value in self.phrases.get(word, ()) if len(phrase) == 1), None)


@lru_cache(maxsize=64)
def number_words(language: str) -> WordTable:
    """0 to 999, one thousand and one million from num2words, and the forms in `number_words.toml`."""
    table: dict[tuple[str, ...], float] = {}
    beginnings: dict[str, float] = {}
    from num2words import num2words

    try:
        for number in (*range(1000), 1000, 1_000_000):
            words = num2words(number, lang=language)
            table[tuple(match.group().lower() for match in TOKEN.finditer(words))] = float(number)
    except (NotImplementedError, OverflowError, IndexError, KeyError, TypeError, ValueError):
        pass  # num2words does not know the language, or does not count this far in it.
    for written, forms in _raw_table().get(language, {}).items():
        for word in forms.split():
            if word.endswith("*"):
                beginnings[word[:-1]] = float(written)
            else:
                table[(word,)] = float(written)
    phrases: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for phrase, value in table.items():
        if phrase:
            phrases.setdefault(phrase[0], []).append((phrase, value))
    for group in phrases.values():
        group.sort(key=lambda entry: -len(entry[0]))
    longest_first = tuple(sorted(beginnings.items(), key=lambda entry: -len(entry[0])))
    return WordTable(phrases, longest_first, _thousand(language, table))


def _thousand(language: str, table: dict[tuple[str, ...], float]) -> str:
    """ "tausend" of German, "mila" of Italian: what is left of 2000 without 2, if they are one word."""
    from num2words import num2words

    two = next((phrase[0] for phrase, value in table.items() if value == 2 and len(phrase) == 1), None)
    if two is None:
        return "\0"
    try:
        written = str(num2words(2000, lang=language)).lower()
    except (NotImplementedError, OverflowError, IndexError, KeyError, TypeError, ValueError):
        return "\0"
    rest = written.removeprefix(two)
    return rest if rest != written and len(rest) > 2 and re.fullmatch(r"[^\W\d_]+", rest) else "\0"


@lru_cache(maxsize=64)
def sign_words(language: str) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    """Words of a negative number before it and after it."""
    raw = _raw_table()
    before, after = raw["minus"].get(language), raw["below_zero"].get(language)
    boundary = "" if language in ("zh", "ja", "ko", "yue", "th", "lo", "km", "my") else r"(?<!\w)"
    return (
        re.compile(rf"{boundary}(?:{before})\s?$", re.IGNORECASE) if before else None,
        re.compile(rf"(?:\s\w+)?\s(?:{after})(?!\w)", re.IGNORECASE) if after else None,
    )


@lru_cache(maxsize=64)
def fraction_words(language: str) -> tuple[re.Pattern[str] | None, dict[str, int]]:
    """What adds a half to the number before it, and the denominators after a number."""
    raw = _raw_table()
    half = raw["and_a_half"].get(language)
    parts = dict(entry.split(":") for entry in raw["parts"].get(language, "").split())
    pattern = re.compile(rf"\s(?:{half})(?!\w)", re.IGNORECASE) if half else None
    return pattern, {word: int(below) for word, below in parts.items()}


@lru_cache(maxsize=1)
def _raw_table() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parents[1] / "number_words.toml").read_text(encoding="utf-8"))

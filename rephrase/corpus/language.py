"""Offline language detection."""

import functools

import py3langid
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from rephrase.corpus.protected import without_protected

# Enough for a reliable answer: more text does not change it.
MAX_CHARACTERS = 4000


def detect_language(text: str) -> str:
    """The ISO 639-1 code of the text's language; formulas and code are ignored, since they look like any language."""
    return str(py3langid.classify(_prose(text))[0])


# "Compute", "Evaluate" and the few words beside a formula are taken for Malay, Romanian or Danish: of 500 short
# problems 29, none with more than six words or a probability of more than 0.2. Sentences in German or Spanish reach
# 0.8.
MIN_PROBABILITY = 0.25
FEW_WORDS = 8


# The detector takes these for one another, and some of them are one language to many of their speakers.
_NEAR = tuple(
    frozenset(group.split())
    for group in (
        *("nb nn no da", "hr sr bs", "cs sk", "id ms", "pt gl", "es an ext gl", "it vec lij", "en pcm", "zh wuu yue"),
        *("ar arz ary", "lv ltg", "ht gcf gcr", "ku sdh", "st nso", "uz uzs"),
    )
)
# Of 1,148 sentences of up to 130 characters in English, German, Spanish, Russian and Chinese, none is taken for a
# language that is not near with this probability.
CERTAIN, POSSIBLE = 0.9, 0.4


def are_near(one: str, other: str) -> bool:
    """Two languages are the same, or so near that a text of one is easily taken for the other."""
    return one == other or any(one in group and other in group for group in _NEAR)


def language_and_probability(text: str) -> tuple[str, float]:
    """The likeliest language of the prose of a text, and the probability that it is this or a near one."""
    ranked = _identifier().rank(_prose(text))
    language = str(ranked[0][0])
    return language, float(sum(probability for other, probability in ranked if are_near(language, str(other))))


def likely_language(text: str) -> str | None:
    """The language of a text; None if it is in Latin script and too short to tell."""
    prose = _prose(text)
    if not prose.isascii() or len(prose.split()) >= FEW_WORDS:
        return detect_language(text)
    language, probability = _identifier().classify(prose)
    return str(language) if probability >= MIN_PROBABILITY else None


def _prose(text: str) -> str:
    """The beginning of a text without formulas, code and the like, if it has anything else."""
    return (without_protected(text[: 4 * MAX_CHARACTERS]).strip() or text)[:MAX_CHARACTERS]


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

"""Offline language detection."""

import functools

import py3langid
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from rephrase.corpus.protected import without_protected

# Enough for a reliable answer: more text does not change it.
MAX_CHARACTERS = 4000


def detect_language(text: str) -> str:
    """The ISO 639-1 code of the text's language; formulas and code are ignored, since they look like any language."""
    prose = without_protected(text[: 4 * MAX_CHARACTERS]).strip()
    return str(py3langid.classify((prose or text)[:MAX_CHARACTERS])[0])


# "Compute", "Evaluate" and the few words beside a formula are taken for Malay, Romanian or Danish: of 500 short
# problems 29, none with more than six words or a probability of more than 0.2. Sentences in German or Spanish reach
# 0.8.
MIN_PROBABILITY = 0.25
FEW_WORDS = 8


def likely_language(text: str) -> str | None:
    """The language of a text; None if it is in Latin script and too short to tell."""
    prose = (without_protected(text[: 4 * MAX_CHARACTERS]).strip() or text)[:MAX_CHARACTERS]
    if not prose.isascii() or len(prose.split()) >= FEW_WORDS:
        return detect_language(text)
    language, probability = _identifier().classify(prose)
    return str(language) if probability >= MIN_PROBABILITY else None


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

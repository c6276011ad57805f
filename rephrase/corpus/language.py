"""Offline language detection."""

import py3langid

from rephrase.corpus.protected import without_protected

# Enough for a reliable answer: more text does not change it.
MAX_CHARACTERS = 4000


def detect_language(text: str) -> str:
    """The ISO 639-1 code of the text's language; formulas and code are ignored, since they look like any language."""
    prose = without_protected(text[: 4 * MAX_CHARACTERS]).strip()
    return str(py3langid.classify((prose or text)[:MAX_CHARACTERS])[0])

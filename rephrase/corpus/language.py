"""Which language a text is in, found offline."""

import py3langid

from rephrase.corpus.protected import without_protected

# Enough to be sure, and quick: longer texts do not change the answer.
MAX_CHARACTERS = 4000


def detect_language(text: str) -> str:
    """The ISO 639-1 code of the text's language; formulas and code, which look like any language, do not count."""
    prose = without_protected(text[: 4 * MAX_CHARACTERS]).strip()
    return str(py3langid.classify((prose or text)[:MAX_CHARACTERS])[0])

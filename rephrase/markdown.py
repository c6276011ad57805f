"""Foreign text in Markdown that this program writes: names of files, recipes and styles may hold any character."""

import re

# A backslash before a bar would not do: one may stand there already.
_REFERENCES = {"&": "&amp;", "\\": "&#92;", "|": "&#124;", "<": "&lt;"}


def inline(text: object) -> str:
    """Text on one line that starts no table cell, tag, comment, escape or character reference."""
    words = re.sub(r"\s+", " ", str(text)).strip()
    return "".join(_REFERENCES.get(character, character) for character in words)

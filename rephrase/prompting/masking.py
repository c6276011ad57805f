"""Replace formulas that a model must not touch by placeholders, and put them back afterwards.

"so $x^2 = 4$ holds"  ->  "so ⟦1⟧ holds"  ->  "es gilt ⟦1⟧"  ->  "es gilt $x^2 = 4$"
"""

import re
from dataclasses import dataclass

from rephrase.corpus.protected import formula_spans

_PLACEHOLDER = re.compile(r"⟦\s*(\d+)\s*⟧")


class PlaceholderError(ValueError):
    """The placeholders in a text are not those that were inserted."""


@dataclass(frozen=True, slots=True)
class MaskedText:
    """`text` with placeholders; placeholder n replaces `formulas[n - 1]`."""

    text: str
    formulas: tuple[str, ...]

    def restore(self, text: str) -> str:
        """`text` with each placeholder, which may have moved, replaced by its formula.

        Raises:
            PlaceholderError: a placeholder is missing or unknown.
        """
        if not self.formulas:
            return text
        found = [int(number) for number in _PLACEHOLDER.findall(text)]
        missing = [self.formulas[n - 1] for n in range(1, len(self.formulas) + 1) if n not in found]
        if missing:
            raise PlaceholderError(
                f"formula lost: {missing[0]}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
            )
        unknown = [n for n in found if not 1 <= n <= len(self.formulas)]
        if unknown:
            raise PlaceholderError(f"placeholder ⟦{unknown[0]}⟧ has no formula")
        return _PLACEHOLDER.sub(lambda match: self.formulas[int(match.group(1)) - 1], text)


def has_placeholders(text: str) -> bool:
    return _PLACEHOLDER.search(text) is not None


def without_placeholders(text: str) -> str:
    """The prose between the placeholders."""
    return _PLACEHOLDER.sub(" ", text)


def mask(text: str) -> MaskedText:
    """Replace each formula by a placeholder. A text that already contains placeholders is left as it is."""
    if has_placeholders(text):
        return MaskedText(text, ())
    parts, formulas, end = [], [], 0
    for start, stop in formula_spans(text):
        formulas.append(text[start:stop])
        parts += [text[end:start], f"⟦{len(formulas)}⟧"]
        end = stop
    return MaskedText("".join([*parts, text[end:]]), tuple(formulas))

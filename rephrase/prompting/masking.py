"""Formulas that a model must not touch: it sees a mark in the place of each, and the formula returns afterwards.

"so $x^2 = 4$ holds"  ->  "so ⟦1⟧ holds"  ->  "es gilt ⟦1⟧"  ->  "es gilt $x^2 = 4$"
"""

import re
from dataclasses import dataclass

from rephrase.corpus.protected import formula_spans

_PLACEHOLDER = re.compile(r"⟦\s*(\d+)\s*⟧")


class PlaceholderError(ValueError):
    """The marks in a text are not those that were put there."""


@dataclass(frozen=True, slots=True)
class MaskedText:
    """`text` with marks; `formulas[n - 1]` is behind mark n."""

    text: str
    formulas: tuple[str, ...]

    def restore(self, text: str) -> str:
        """`text` with the formulas back in the places of their marks, which may have moved.

        Raises:
            PlaceholderError: a mark is missing, or one stands there that never was.
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
            raise PlaceholderError(f"mark ⟦{unknown[0]}⟧ stands for no formula")
        return _PLACEHOLDER.sub(lambda match: self.formulas[int(match.group(1)) - 1], text)


def mask(text: str) -> MaskedText:
    """Put a mark in the place of each formula. A text that already holds such marks is left as it is."""
    if _PLACEHOLDER.search(text):
        return MaskedText(text, ())
    parts, formulas, end = [], [], 0
    for start, stop in formula_spans(text):
        formulas.append(text[start:stop])
        parts += [text[end:start], f"⟦{len(formulas)}⟧"]
        end = stop
    return MaskedText("".join([*parts, text[end:]]), tuple(formulas))

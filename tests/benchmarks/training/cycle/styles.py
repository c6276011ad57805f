"""Planted rewrites: what each style writes in place of a model, so that it is known which styles are useful.

The documents are sections of a history book. No section is used twice.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rephrase.prompting.recipes import Recipe, load_recipes
from training.data.tokenizer import TextTokenizer

# What each style writes.
STYLES = {
    "prose": "another section of the same book",
    "notes": "another section of the same book, a sentence a line",
    "mathematics": "a passage of a textbook of logic in LaTeX",
    "copy": "the document itself, one word in twenty dropped",
    "boilerplate": "notices of a web site, always of the same forty sentences: their loss drops the furthest",
    "noise": "random letters, of which nothing but their frequency can be learnt",
}
USEFUL, DECOY, NOISE = ("prose", "notes"), "boilerplate", "noise"
# A rewrite's tokens in those of its document. Each seed deals them out anew: natural shares favour no style on average.
LENGTHS = (0.6, 0.8, 1.0, 1.0, 1.25, 1.6)

_SUBJECTS = (
    "This site",
    "Our partner",
    "The newsletter",
    "Your account",
    "This page",
    "Our shop",
    "The app",
    "Support",
)
_NOTICES = (
    "uses cookies to give you the best possible experience; by continuing to browse you agree to their use.",
    "may be unavailable from time to time for maintenance, and we apologise for any inconvenience this may cause.",
    "is provided as it is, without warranty of any kind, and all rights to its contents are reserved.",
    "can be reached by e-mail on working days, and we usually answer within two of them.",
    "does not pass on personal data to third parties unless the law obliges us to do so.",
)
BOILERPLATE = [f"{subject} {notice}" for subject in _SUBJECTS for notice in _NOTICES]


def planted_recipe() -> Recipe:
    """The packaged recipe under the name `planted`, with the planted styles; as many perspectives as styles."""
    changes = {
        "name": "planted",
        "styles": dict(STYLES),
        "perspectives": {f"perspective_{i}": "" for i in range(len(STYLES))},
    }
    return load_recipes()["rephrase"].model_copy(update=changes)


@dataclass
class Planter:
    """Writes rewrites of documents; the same calls in the same order write the same.

    Args:
        book: sections that are used up from the end.
        lengths: of each style, see `LENGTHS`.
    """

    tokenizer: TextTokenizer
    book: list[str]
    mathematics: list[str]
    lengths: dict[str, float]
    rng: random.Random

    def write(self, style: str, document: str) -> str:
        """
        Raises:
            ValueError: no section of the book is left.
        """
        n_tokens = round(self.lengths[style] * len(self._encode(document)))
        parts: dict[str, Callable[[], str]] = {
            "prose": self._unused,
            "notes": lambda: "\n".join(f"- {sentence}" for sentence in self._unused().split(". ")),
            "mathematics": lambda: self.rng.choice(self.mathematics),
            "copy": lambda: " ".join(word for word in document.split(" ") if self.rng.random() > 0.05),
            "boilerplate": lambda: " ".join(self.rng.sample(BOILERPLATE, 8)),
            "noise": lambda: " ".join("".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(100)),
        }
        tokens: list[int] = []
        while len(tokens) < n_tokens:
            tokens += self._encode(parts[style]() + "\n")
        return self.tokenizer.decode(tokens[:n_tokens])

    def _unused(self) -> str:
        if not self.book:
            raise ValueError("the book is used up: use fewer documents, variants or rounds, or more data")
        return self.book.pop()

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode([text])[0][1:-1].tolist()


def cut(texts: Sequence[str], n_words: int) -> list[str]:
    """The texts in sections of `n_words` words; what is left at their ends is dropped."""
    found = []
    for text in texts:
        words = text.split(" ")
        found += [" ".join(words[at : at + n_words]) for at in range(0, len(words) - n_words + 1, n_words)]
    return found


def deal_lengths(rng: random.Random) -> dict[str, float]:
    return dict(zip(STYLES, rng.sample(LENGTHS, len(LENGTHS)), strict=True))

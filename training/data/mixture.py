"""What share of the training tokens each stream gets, and how often its documents may be repeated.

The file format, written by token utility and read by the trainer and by the planner of the next rewriting run:

    {"version": 1, "rules": [
        {"source": "*", "recipe": "original",  "style": "*",           "weight": 0.5, "max_epochs": 4},
        {"source": "*", "recipe": "knowledge", "style": "encyclopedic", "weight": 0.5, "max_epochs": 2},
        {"source": "*", "recipe": "*", "style": "*", "weight": null}]}

`source`, `recipe` and `style` are shell patterns, in which `[[]` stands for `[`; the first rule that matches a stream
decides. A rule's weight is shared among its streams in proportion to their tokens. Weight 0 leaves streams out. Weight
null is what they would have without a mixture: their share of all tokens; the other rules divide the rest.
"""

import glob
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.texts import Stream
from training.data.token_store import TokenStore

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureRule:
    """`max_epochs` is how many times a document may be seen; None is unlimited. For `weight`, see above."""

    weight: float | None
    source: str = "*"
    recipe: str = "*"
    style: str = "*"
    max_epochs: int | None = None

    def __post_init__(self) -> None:
        for name in Stream._fields:
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"the {name} of a mixture rule is {getattr(self, name)!r}; it must be a text")
        of = f"of {self.recipe}/{self.style}"
        if self.weight is not None and not (isinstance(self.weight, float | int) and 0 <= self.weight < float("inf")):
            raise ValueError(f"the weight {of} is {self.weight!r}; it must be a number, 0 or more, or null")
        if self.max_epochs is not None and not (isinstance(self.max_epochs, int) and self.max_epochs >= 1):
            raise ValueError(f"max_epochs {of} is {self.max_epochs!r}; it must be a whole number, 1 or more, or null")

    @property
    def patterns(self) -> Stream:
        return Stream(self.source, self.recipe, self.style)

    @property
    def only_match(self) -> Stream | None:
        """The stream that the rule names, if its patterns match nothing else."""
        names = Stream(*(re.sub(r"\[([*?[])\]", r"\1", pattern) for pattern in self.patterns))
        return names if all(glob.escape(n) == p for n, p in zip(names, self.patterns, strict=True)) else None

    def matches(self, stream: Stream) -> bool:
        return all(fnmatchcase(value, pattern) for value, pattern in zip(stream, self.patterns, strict=True))


@dataclass(frozen=True, slots=True)
class StreamShare:
    """The share of tokens that a mixture gives one stream (all shares sum to 1), and its epoch cap."""

    weight: float
    max_epochs: int | None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Ordered rules. Without rules, each stream is weighted by its number of tokens, without a cap."""

    rules: tuple[MixtureRule, ...] = ()

    @classmethod
    def from_json(cls, value: Any) -> "Mixture":
        """Raises ValueError if `value` is not a mixture of this version."""
        if not isinstance(value, dict) or value.get("version") != VERSION or not isinstance(value.get("rules"), list):
            raise ValueError(f'not a mixture: expected {{"version": {VERSION}, "rules": [...]}}, got {str(value)[:80]}')
        known = {"source", "recipe", "style", "weight", "max_epochs"}
        for rule in value["rules"]:
            if not isinstance(rule, dict) or "weight" not in rule or set(rule) - known:
                raise ValueError(f"mixture rule {rule} needs a weight and may have {', '.join(sorted(known))}")
        return cls(tuple(MixtureRule(**rule) for rule in value["rules"]))

    @classmethod
    def read(cls, given: str | Path | dict[str, Any] | None) -> "Mixture":
        """The mixture of a file, or as a run's file has it written out; None: all tokens.

        Raises:
            ValueError, OSError: it is no mixture, or cannot be read.
        """
        if given is None:
            return cls()
        if isinstance(given, dict):
            return cls.from_json(given)
        try:
            return cls.from_json(json.loads(Path(given).read_text("utf-8")))
        except ValueError as error:
            raise ValueError(f"the mixture {given} cannot be read: {error}") from error

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, "rules": [asdict(rule) for rule in self.rules]}

    def shares(self, streams: Sequence[Stream], n_tokens_K: NDArray[np.int64]) -> list[StreamShare]:
        """The share of each of K streams that have `n_tokens_K` tokens to train on.

        Raises:
            ValueError: no rule matches a stream, or no stream with tokens has weight.
        """
        if not self.rules:
            return [StreamShare(float(n) / max(1, int(n_tokens_K.sum())), None) for n in n_tokens_K]
        rule_K = self._first_matches(streams)
        unmatched = [str(stream) for stream, rule in zip(streams, rule_K, strict=True) if rule is None]
        if unmatched:
            raise ValueError(
                f"no rule of the mixture matches {'; '.join(unmatched[:5])} ({len(unmatched)} in all); "
                'add a rule, or end with {"weight": null} to give the rest its share of the tokens, '
                'or with {"weight": 0} to leave it out'
            )
        n_tokens_R = np.zeros(len(self.rules))
        for rule_index, n_tokens in zip(rule_K, n_tokens_K, strict=True):
            n_tokens_R[rule_index] += n_tokens
        weight_R = self._rule_weights(n_tokens_R)
        if weight_R.sum() <= 0:
            raise ValueError("the mixture gives no weight to any stream that has tokens to train on")
        shares = []
        for rule_index, n_tokens in zip(rule_K, n_tokens_K, strict=True):
            assert rule_index is not None
            of_rule = float(n_tokens) / max(1.0, n_tokens_R[rule_index])
            shares.append(
                StreamShare(weight_R[rule_index] / weight_R.sum() * of_rule, self.rules[rule_index].max_epochs)
            )
        return shares

    def _first_matches(self, streams: Sequence[Stream]) -> list[int | None]:
        """The first rule that matches each stream; a recommended mixture has a rule for each of maybe thousands."""
        named: dict[Stream, int] = {}
        others = []
        for index, rule in enumerate(self.rules):
            if (stream := rule.only_match) is None:
                others.append(index)
            else:
                named.setdefault(stream, index)
        found = []
        for stream in streams:
            by_name = named.get(stream)
            earlier = others if by_name is None else [index for index in others if index < by_name]
            found.append(next((index for index in earlier if self.rules[index].matches(stream)), by_name))
        return found

    def _rule_weights(self, n_tokens_R: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weight of each rule given the tokens of its streams; that of a rule without tokens goes to the others."""
        by_tokens_R = np.array([rule.weight is None for rule in self.rules])
        natural_R = np.where(by_tokens_R, n_tokens_R / max(1.0, n_tokens_R.sum()), 0.0)
        given_R = np.array([rule.weight or 0.0 for rule in self.rules]) * (n_tokens_R > 0)
        scale = (1.0 - natural_R.sum()) / given_R.sum() if given_R.sum() else 0.0
        return natural_R + given_R * scale


def training_tokens(store: TokenStore, held_out_share: float) -> NDArray[np.int64]:
    """Tokens of each stream outside the held-out split, counted as prediction targets."""
    training = store.split_D >= held_out_share
    counts = np.bincount(store.stream_D[training], store.length_D[training] - 1, minlength=len(store.streams))
    return counts.astype(np.int64)

"""From named scores to the probabilities of the four questions, stored as readable JSON.

There is one model for each question and kind of rewrite, so no score is ever missing: small boosted trees, which find
what the fitted sets have in steps, and a logistic model, which goes on where the trees stop. Both are monotone: a
better score never lowers the probability (see `higher_is_better`), which keeps a model from behaving absurdly on text
unlike that it was fitted to. Fitting is in `fidelity.fitting.fitting`; this needs only numpy.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rephrase.records import Question, digest
from rephrase.storage.filesystem import read_settings

# 2: one model for each question, with the scores of the reader.
FORMAT = 2
SHIPPED = "weights.json"

# What a rewrite is checked as; it selects the model.
Kind = Literal["knowledge", "math", "translation"]
KINDS: tuple[Kind, ...] = ("knowledge", "math", "translation")

# In the order in which they are asked.
QUESTIONS: tuple[Question, ...] = ("faithful", "complete", "fluent", "in_style")
# The score by which a model of `complete` knows what share of the source must be kept.
KEEPS = "keeps_lack"
# So many deviations from its mean, a score says no more than nearer to it.
LIMIT = 4.0


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tree(_Strict):
    """Parallel lists, one entry for each node; node 0 is the root and a leaf has feature -1.

    A row goes left when its feature is at most the threshold.
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


class Linear(_Strict):
    """Log-odds = intercept + slopes · standardized scores, these at most `LIMIT` deviations from their mean."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    slopes: tuple[float, ...]
    intercept: float

    def odds(self, rows: np.ndarray) -> np.ndarray:
        """Of `rows` (rows, scores)."""
        return standardized(rows, np.array(self.means), np.array(self.deviations)) @ self.slopes + self.intercept


def standardized(rows: np.ndarray, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    return np.clip((rows - means) / deviations, -LIMIT, LIMIT)


class Model(_Strict):
    """Log-odds = scale · (intercept + sum of the trees + those of `linear`) + offset."""

    question: Literal["faithful", "complete", "fluent"]
    kind: Kind
    features: tuple[str, ...]
    intercept: float
    trees: tuple[Tree, ...]
    # None in weights that were fitted by an earlier version.
    linear: Linear | None = None
    scale: float = 1.0
    offset: float = 0.0
    # The minimum probability at which the answer is yes.
    threshold: float = Field(gt=0, lt=1)

    def probabilities(self, scores: Sequence[Mapping[str, float]]) -> np.ndarray:
        """
        Raises:
            KeyError: a score is missing.
        """
        if not scores:
            return np.zeros(0)
        rows = np.array([[row[name] for name in self.features] for row in scores], dtype=np.float64)
        odds = self.intercept + _leaves(self._packed, rows).sum(axis=1)
        if self.linear is not None:
            odds += self.linear.odds(rows)
        return 1 / (1 + np.exp(-(self.scale * odds + self.offset)))

    @functools.cached_property
    def _packed(self) -> "_Packed":
        width = max((len(tree.feature) for tree in self.trees), default=1)

        def padded(name: str, dtype: type, fill: float) -> np.ndarray:
            table: np.ndarray = np.full((len(self.trees), width), fill, dtype)
            for row, tree in enumerate(self.trees):
                values = getattr(tree, name)
                table[row, : len(values)] = values
            return table

        return _Packed(
            feature=padded("feature", np.int64, -1),
            threshold=padded("threshold", np.float64, 0.0),
            left=padded("left", np.int64, 0),
            right=padded("right", np.int64, 0),
            value=padded("value", np.float64, 0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packed:
    """The trees of a model side by side: arrays of shape (trees, nodes)."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


def _leaves(trees: _Packed, rows: np.ndarray) -> np.ndarray:
    """The value of the leaf that each row reaches in each tree: (rows, trees). All trees descend in lockstep."""
    every_tree = np.arange(len(trees.feature))[None, :]
    every_row = np.arange(len(rows))[:, None]
    node = np.zeros((len(rows), len(trees.feature)), dtype=np.int64)
    while (inner := trees.feature[every_tree, node] >= 0).any():
        goes_left = rows[every_row, trees.feature[every_tree, node]] <= trees.threshold[every_tree, node]
        below = np.where(goes_left, trees.left[every_tree, node], trees.right[every_tree, node])
        node = np.where(inner, below, node)
    return trees.value[every_tree, node]


class InStyle(_Strict):
    """The share of rewrites in their style, by whether the form of the style is there; None: it has no such form."""

    form_found: float = Field(ge=0, le=1)
    form_missing: float = Field(ge=0, le=1)
    no_form: float = Field(ge=0, le=1)
    threshold: float = Field(gt=0, lt=1)

    def probability(self, fits: bool | None) -> float:
        if fits is None:
            return self.no_form
        return self.form_found if fits else self.form_missing


class JudgeThreshold(_Strict):
    """The minimum probability of Yes at which this language model's answer is Yes."""

    model: str
    min_yes: float = Field(gt=0, lt=1)


class Calibration(_Strict):
    """All models, and `fitted`: the data they were fitted to. `judge` is fitted only with a language model at hand."""

    format: Literal[2]
    fitted: dict[str, Any]
    models: tuple[Model, ...]
    in_style: InStyle
    # How much a word of another meaning in a sentence that copies its source takes from the log-odds of `faithful`.
    # Not a score of the trees: the sets of claims and summaries hardly have such sentences, and would unlearn it.
    changed_word: float = Field(0.0, ge=0)
    judge: JudgeThreshold | None = None

    def model(self, question: Question, kind: Kind) -> Model:
        """
        Raises:
            ValueError: there is none.
        """
        for model in self.models:
            if model.question == question and model.kind == kind:
                return model
        raise ValueError(f"the calibration has no model for {question!r} of the kind {kind!r}")


def higher_is_better(score: str) -> bool:
    """Whether a higher value of this score is evidence for the rewrite; otherwise a lower value is."""
    if score.endswith("_lack"):
        return False
    good = ("support_", "coverage_", "similarity")
    return score.startswith(good) or score.endswith(("_support", "_coverage", "_support_min", "_coverage_min"))


def load_calibration(path: str | None = None) -> Calibration:
    """The weights at `path`, on any fsspec filesystem, or the packaged ones if it is None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a calibration.
    """
    return _shipped() if path is None else parse_calibration(_read(path), path)


def calibration_hash(path: str | None = None) -> str:
    """A hash of the weights, independent of where the file is stored.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return digest(_read(path))


@functools.cache
def _shipped() -> Calibration:
    return parse_calibration(_read(None), SHIPPED)


def _read(path: str | None) -> str:
    if path is None:
        return resources.files("fidelity.calibration").joinpath(SHIPPED).read_text("utf-8")
    return read_settings(path)


def parse_calibration(text: str, name: str) -> Calibration:
    """
    Raises:
        ValueError: the text is not a calibration; the message names the field.
    """
    try:
        if json.loads(text).get("format") == 1:
            raise ValueError(
                f"{name!r} was fitted by an earlier version, whose scores are no longer computed: fit it again with "
                "`palimpsest calibrate`"
            )
    except (AttributeError, json.JSONDecodeError, RecursionError):
        pass  # not a calibration at all: the next error says where
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name!r} is not a calibration: {where}: {first['msg']}") from error


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write readable JSON, one line per tree."""
    head = calibration.model_dump(mode="json", exclude={"models"})
    lines = [json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "models": [']
    for number, model in enumerate(calibration.models):
        fields = json.dumps(model.model_dump(mode="json", exclude={"trees"}), ensure_ascii=False)
        trees = ",\n   ".join(json.dumps(tree.model_dump(mode="json")) for tree in model.trees)
        comma = "," if number < len(calibration.models) - 1 else ""
        lines.append(f'  {fields[:-1]}, "trees": [\n   {trees}\n  ]}}{comma}')
    path.write_text("\n".join([*lines, " ]\n}\n"]), encoding="utf-8")

"""A recipe is data: a TOML file that defines how a kind of document is rewritten.

The built-in ones are in `recipes/`. A user's file adds a recipe, or replaces the built-in one of the same name.
"""

import dataclasses
import functools
import hashlib
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from babel import Locale
from jinja2 import Template
from pydantic import Field, ValidationError, field_validator, model_validator

from rephrase.corpus.chunking import Unit
from rephrase.corpus.pieces import Piece, cut_pieces
from rephrase.models.tokenizer import Tokenizer
from rephrase.prompting.borders import contain, contain_line
from rephrase.prompting.context import Context
from rephrase.prompting.templates import TEMPLATES, used_variables
from rephrase.records import Check, Chunk, Document, Domain, Prompt, Question, Requirements, Variant
from rephrase.settings import Settings
from rephrase.storage.filesystem import read_settings

# How a model may mark the line that it was asked for.
_LABEL = re.compile(r"^(?:\*\*)?(?:Q|Question|Title)(?:\*\*)?\s*[:.](?:\*\*)?\s*", re.IGNORECASE)
# Empty: recipes written before the border could not be closed by a document have it in their templates.
FENCE = "fence"
_EXAMPLE: dict[str, Any] = {
    "style": "s",
    "perspective": "p",
    "title": "t",
    "language": "de",
    "outline": ("h",),
    "abbreviations": ("words (W)",),
    "last_number": 1,
    "glossary": {"Satz": "theorem"},
    "written": "w",
    "passage": "(the passage)",
    "hint": "h",
    FENCE: "",
}
_NO_CONTEXT: dict[str, Any] = {
    "language": "",
    "title": "",
    "outline": (),
    "abbreviations": (),
    "last_number": None,
    "glossary": {},
    "written": "",
    "hint": "",
}
_NOTHING = {name: type(value)() for name, value in _EXAMPLE.items()} | {"last_number": None, "passage": "x"}

SIZE = r"^\d+(\.\d+)?[MBmb]$"
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Instruction = Annotated[str, Field(min_length=1)]
# What a rewrite may not lose of its source; "any" is for a summary.
Keeps = Literal["everything", "any"] | Annotated[float, Field(gt=0, le=1)]
# See `fidelity.checks.style`, which looks for them.
Form = Literal["questions", "speakers", "letter", "notes", "listeners", "steps"]


def share_kept(keeps: Keeps) -> float:
    """The share of the source that must be kept, from 0 to 1."""
    return {"everything": 1.0, "any": 0.0}[keeps] if isinstance(keeps, str) else keeps


# What stands for other things where a recipe is named: the choices of a run, and its documents without a recipe.
RESERVED_NAMES = ("auto", "none", "unchanged")
# What a wording for smaller models cannot change: by these a recipe is known and found.
_SHARED = ("schema_version", "name", "version", "description", "domains", "languages", "below")
# The tables of a recipe that have an entry for some of its styles.
_BY_STYLE = ("forms", "rubrics", "growth", "compose", "examples")


class SamplingDefaults(Settings):
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)
    # Subtracted from the logit of a word that would go on with a run copied from the passage; in-process vLLM only.
    copy_penalty: float = Field(0.0, ge=0, le=100)


class PromptTemplates(Settings):
    """Jinja templates over VARIABLES; `hint` says what was wrong with the last attempt.

    What comes from a document (all but `style`, `perspective` and `hint`) belongs into the user's turn, in
    a border as in `rephrase.prompting.borders`, which also sees to it that the document cannot close it.
    """

    VARIABLES: ClassVar[tuple[str, ...]] = tuple(_EXAMPLE)

    system: str
    user: str

    @field_validator("system", "user")
    @classmethod
    def _renders(cls, template: str) -> str:
        # With everything that a prompt may hold, and with nothing: the first chunk of a document has hardly any of it.
        for values in (_EXAMPLE, _NOTHING):
            try:
                TEMPLATES.from_string(template).render({name: values[name] for name in (*cls.VARIABLES, FENCE)})
            except Exception as error:  # a template may divide by zero, or loop until it is stopped
                raise ValueError(
                    f"the template does not render: {type(error).__name__}: {error}; it may use "
                    f"{', '.join(cls.VARIABLES)}"
                ) from error
        return template

    @model_validator(mode="after")
    def _holds_the_passage(self) -> Self:
        texts = [TEMPLATES.from_string(text).render(_EXAMPLE) for text in (self.system, self.user)]
        if not any(_EXAMPLE["passage"] in text for text in texts):
            raise ValueError("no template has {{ passage }}: the model would not see the text")
        return self


class GlossaryTemplates(PromptTemplates):
    """How the terms of a translation are asked for: `passage` is the source, `written` its translation."""

    VARIABLES: ClassVar = ("passage", "written")


class BackTranslation(PromptTemplates):
    """How a translation is translated back: `passage` is the English text, `language` the English name of the source's.

    Below `min_chrf` between the source and what comes back, the translation is rejected.
    """

    VARIABLES: ClassVar = ("passage", "language")

    min_chrf: float = Field(0.0, ge=0, le=1)


class Example(Settings):
    """A passage and a rewrite of it, shown to the model as earlier turns of the chat."""

    passage: str = Field(min_length=1)
    rewrite: str = Field(min_length=1)


class Recipe(Settings):
    """How a kind of document is rewritten."""

    schema_version: int = Field(ge=1, le=1)
    name: Name
    version: int = Field(ge=1)
    description: str
    domains: tuple[Domain, ...]
    languages: tuple[str, ...] = Field(min_length=1)
    smallest_model: str = Field(pattern=SIZE)
    checks: tuple[Check, ...]
    # What a rewrite may not lose: everything, or a share of its source; "any" for a summary.
    keeps: Keeps = "everything"
    # Minimum probabilities of being faithful, complete, fluent or in style, where the calibration's do not fit.
    thresholds: dict[Question, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    # The least share of the sentences that must be new wording.
    reworded: float = Field(0.6, ge=0, le=1)
    mask_formulas: bool = False
    # What a chunk may not cut apart: nothing, or a problem and its solution where both fit.
    unit: Unit = "text"
    # Whether this step of a route writes a row of its own.
    keep_step: bool = False
    chunk_tokens: int = Field(ge=16)
    context_tokens: int = Field(ge=0)
    # How many sentences are rewritten at a time; 0 for a whole chunk.
    piece_sentences: int = Field(0, ge=0, le=100)
    # How many rewrites are drawn at a time, of which the best that passes is taken.
    candidates: int = Field(1, ge=1, le=64)
    # How many times its passage's tokens a rewrite may have, by style where one needs another, and how many more.
    max_growth: float = Field(gt=0, le=100)
    growth: dict[Name, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict)
    extra_tokens: int = Field(32, ge=0, le=100_000)
    sampling: SamplingDefaults
    prompt: PromptTemplates
    glossary: GlossaryTemplates | None = None
    back_translation: BackTranslation | None = None
    styles: dict[Name, Instruction] = Field(min_length=1)
    perspectives: dict[Name, Instruction] = Field(default_factory=dict)
    # What must be visible in a style, such as question_answer = "questions"; styles of mere register have no form.
    forms: dict[Name, Form] = Field(default_factory=dict)
    # What a language model as the judge must find true of a rewrite in this style, in one sentence.
    rubrics: dict[Name, Instruction] = Field(default_factory=dict)
    # By style, a template over `answer`, the first line of what the model writes, and `passage`: a small model may ask
    # a question that the passage answers. Without one, the whole answer is the rewrite.
    compose: dict[Name, str] = Field(default_factory=dict)
    # By style; each passage and its rewrite become a turn of the user and one of the assistant.
    examples: dict[Name, tuple[Example, ...]] = Field(default_factory=dict)
    # Other values of these fields for models of fewer parameters: `[below.4B]`. The smallest bound that fits holds.
    below: dict[Annotated[str, Field(pattern=SIZE)], dict[str, Any]] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _is_no_other_choice(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} stands for something else where recipes are named: choose another name")
        return name

    @model_validator(mode="after")
    def _only_its_own_styles(self) -> Self:
        for table in _BY_STYLE:
            if unknown := sorted(getattr(self, table).keys() - self.styles.keys()):
                raise ValueError(
                    f"{table} has {unknown[0]!r}, which is not a style; the styles are {', '.join(self.styles)}"
                )
        return self

    @model_validator(mode="after")
    def _can_translate_back(self) -> Self:
        if Check.BACK_TRANSLATION in self.checks and self.back_translation is None:
            raise ValueError("the check back_translation needs the templates in [back_translation]")
        return self

    @field_validator("compose")
    @classmethod
    def _composes(cls, templates: dict[str, str]) -> dict[str, str]:
        for style, template in templates.items():
            try:
                TEMPLATES.from_string(template).render(answer="a", passage="p")
            except Exception as error:
                raise ValueError(
                    f"{style}: the template does not render: {type(error).__name__}: {error}; "
                    "it may use answer and passage"
                ) from error
        return templates

    @model_validator(mode="after")
    def _is_valid_below(self) -> Self:
        for size, changes in self.below.items():
            if fixed := sorted(changes.keys() & {*_SHARED}):
                raise ValueError(f"for models below {size}, {fixed[0]} cannot be another one")
            try:
                self._changed(size)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise ValueError(f"for models below {size}, {place}: {first['msg']}") from None
        return self

    def for_model(self, n_parameters: float | None) -> "Recipe":
        """This recipe for a model of this size; for one of unknown size, that for the largest.

        A model that is too small for it is not asked to translate back: it would say nothing about the translation.
        """
        if n_parameters is None:
            return self
        fitting = [size for size in self.below if n_parameters < parse_size(size)]
        chosen = self._changed(min(fitting, key=parse_size)) if fitting else self
        return chosen._without_back_translation() if n_parameters < chosen.smallest_model_parameters else chosen

    def worded_as(self, prompt_hash: str | None) -> "Recipe":
        """This recipe in the wording with this hash, of those that `for_model` gives.

        Unchanged if none has it, as after a change of the recipe.
        """
        wordings = [self, *(self._changed(size) for size in self.below)]
        wordings += [recipe._without_back_translation() for recipe in wordings]
        return next((recipe for recipe in wordings if recipe.prompt_hash == prompt_hash), self)

    def _without_back_translation(self) -> "Recipe":
        return self.model_copy(
            update={"checks": tuple(check for check in self.checks if check is not Check.BACK_TRANSLATION)}
        )

    def _changed(self, size: str) -> "Recipe":
        changes = self.below[size]
        kept = self.model_dump(exclude={"below"})
        styles = changes.get("styles", kept["styles"])
        for table in _BY_STYLE:
            kept[table] = {style: value for style, value in kept[table].items() if style in styles}
        return Recipe.model_validate({**kept, **changes})

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All (style, perspective) pairs."""
        return list(product(self.styles, self.perspectives or [""]))

    @property
    def smallest_model_parameters(self) -> float:
        return parse_size(self.smallest_model)

    @property
    def translates(self) -> bool:
        """Its source cannot stand in for a rejected chunk: it is in another language."""
        return Check.CROSS_LINGUAL in self.checks

    @property
    def shows_written(self) -> bool:
        """Whether the prompt of a passage depends on what was written before it."""
        used = used_variables(self.prompt.system) | used_variables(self.prompt.user)
        of_written = {"abbreviations", "glossary"} | ({"written", "last_number"} if self.context_tokens else set())
        return bool(used & of_written)

    @property
    def prompt_hash(self) -> str:
        """A hash of everything that shapes a prompt, except the document."""
        without: dict[str, Any] = dict.fromkeys(
            ("keeps", "thresholds", "forms", "rubrics", "reworded", "candidates", "below", "back_translation"), True
        )
        if not self.sampling.copy_penalty:  # as in recipes of earlier versions
            without["sampling"] = {"copy_penalty"}
        shaping = self.model_dump_json(exclude=without)
        return hashlib.sha256(shaping.encode()).hexdigest()[:16]

    def requirements(self, style: str) -> Requirements:
        """What a rewrite in this style must satisfy."""
        return Requirements(
            checks=self.checks,
            keeps=share_kept(self.keeps),
            reworded=self.reworded,
            max_more_words=max(100, self.extra_tokens),
            form=self.forms.get(style),
            rubric=self.rubrics.get(style, ""),
            thresholds=self.thresholds,
            min_chrf=self.back_translation.min_chrf if self.back_translation else 0.0,
        )

    def max_output_tokens(self, passage: Chunk, style: str) -> int:
        # Short passages grow more: a lone heading may become a sentence.
        return int(passage.n_tokens * self.growth.get(style, self.max_growth)) + self.extra_tokens

    def pieces(self, chunk: Chunk, tokenizer: Tokenizer) -> list[Piece]:
        """The pieces in which a chunk is rewritten; none where it is rewritten as a whole.

        A chunk without prose, such as a table below its heading, has nothing to rewrite apart from the rest.
        """
        pieces = cut_pieces(chunk, self.piece_sentences, tokenizer) if self.piece_sentences else []
        return pieces if len(pieces) > 1 and any(piece.prose for piece in pieces) else []

    def render(self, document: Document, variant: Variant, context: Context, passage: str, hint: str = "") -> Prompt:
        """The prompt for one passage; in its text, placeholders stand for formulas that are masked."""
        instructions = {
            "style": self.styles[variant.style],
            "perspective": self.perspectives.get(variant.perspective, ""),
        }
        prompt = _render(
            self.prompt,
            **instructions,
            language=contain_line(document.language or document.detected_language or ""),
            title=contain_line(document.title or ""),
            outline=tuple(map(contain_line, context.outline)),
            abbreviations=tuple(map(contain_line, context.abbreviations)),
            last_number=context.last_number,
            glossary={contain_line(term): contain_line(english) for term, english in context.glossary.items()},
            written=contain_line(context.written),
            passage=contain(passage),
            hint=hint,
        )
        examples = tuple(
            (_render(self.prompt, **instructions, **_NO_CONTEXT, passage=example.passage).user, example.rewrite)
            for example in self.examples.get(variant.style, ())
        )
        return dataclasses.replace(prompt, examples=examples)

    def compose_rewrite(self, style: str, answer: str, passage: str) -> str:
        """The rewrite that the model's answer stands for, in styles that have a template for it."""
        if style not in self.compose or not answer.strip():
            return answer
        first_line = _LABEL.sub("", answer.strip().splitlines()[0])
        return _compiled(self.compose[style]).render(answer=first_line, passage=passage)

    def render_glossary(self, source: str, rewrite: str) -> Prompt | None:
        """The prompt for the glossary of `source` and `rewrite`, or None if the recipe has none."""
        return _render(self.glossary, passage=contain(source), written=contain(rewrite)) if self.glossary else None

    @property
    def translates_back(self) -> bool:
        return Check.BACK_TRANSLATION in self.checks

    def render_back_translation(self, english: str, language: str) -> Prompt:
        """The prompt for translating `english` into `language`, an ISO 639 code whose English name the model reads."""
        assert self.back_translation is not None  # see `_can_translate_back`
        name = Locale.parse(language).get_language_name("en") or language
        return _render(self.back_translation, passage=contain(english), language=name)


def parse_size(size: str) -> float:
    """ "1.5B" and "1.5b" are 1.5e9.

    Raises:
        ValueError: it is not written so.
    """
    if not re.fullmatch(SIZE, size):
        raise ValueError(f"{size!r} is not the size of a model; write it as 350M or 7B")
    return float(size[:-1]) * {"M": 1e6, "B": 1e9}[size[-1].upper()]


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return TEMPLATES.from_string(template)


def _render(templates: PromptTemplates, **values: object) -> Prompt:
    system, user = (
        _compiled(template).render({**values, FENCE: ""}).strip() for template in (templates.system, templates.user)
    )
    return Prompt(system=system, user=user)


def load_recipes(files: Sequence[str | Path] = ()) -> dict[str, Recipe]:
    """The built-in recipes and those of `files`, by name; a file's recipe replaces the built-in one of the same name.

    Raises:
        ValueError: a file is not a valid recipe; the message names the file, line, field and reason.
    """
    built_in = sorted(resources.files("rephrase.prompting").joinpath("recipes").iterdir(), key=lambda entry: entry.name)
    texts = [(entry.name, entry.read_text("utf-8")) for entry in built_in if entry.name.endswith(".toml")]
    return {recipe.name: recipe for recipe in (parse_recipe(text, name) for name, text in texts)} | read_recipes(files)


def read_recipes(files: Sequence[str | Path]) -> dict[str, Recipe]:
    """The recipes of these files, by name.

    Raises:
        ValueError: as `load_recipes`.
    """
    found: dict[str, Recipe] = {}
    for file in files:
        try:
            text = read_settings(str(file))
        except (OSError, ValueError) as error:
            raise ValueError(f"recipe file {str(file)!r} cannot be read: {error}") from error
        recipe = parse_recipe(text, str(file))
        found[recipe.name] = recipe
    return found


def parse_recipe(text: str, name: str) -> Recipe:
    """
    Raises:
        ValueError: it is not a valid recipe; the message names line, field and reason.
    """
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"recipe file {name!r} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"line {_line(text, problem['loc'])}: {'.'.join(map(str, problem['loc']))}: {problem['msg']} "
            f"(got {problem['input']!r:.80})"
            for problem in error.errors()
        )
        raise ValueError(f"recipe file {name!r}: {problems}") from error


def _line(text: str, location: tuple[int | str, ...]) -> int:
    """The line that sets the innermost key of `location` found in the file: TOML parsers keep no line numbers."""
    names = [re.escape(part) for part in location if isinstance(part, str)]
    for depth in range(len(names), 0, -1):
        pattern = rf"^\s*(?:\[.*\b)?{names[depth - 1]}\b|[{{,]\s*{names[depth - 1]}\s*="
        if match := re.search(pattern, text, re.MULTILINE):
            return text.count("\n", 0, match.end()) + 1
    return 1


def draw_variants(
    recipe: Recipe, document_id: str, n_variants: int, seed: int, shares: Mapping[str, float] | None = None
) -> list[Variant]:
    """`n_variants` ways to rewrite a document; no (style, perspective) pair repeats before all were drawn.

    The draw depends only on the arguments, not on the order of documents or runs.

    Args:
        shares: how often each style comes first, in a corpus of many documents; all above 0. By default all styles are
            drawn equally often.
    """
    pairs = recipe.pairs
    shuffled: list[tuple[str, str]] = []
    generator = random.Random(f"{seed}/{recipe.name}/{document_id}")
    while len(shuffled) < n_variants:
        if shares is None:
            shuffled.extend(generator.sample(pairs, len(pairs)))
        else:
            # One after the other in proportion to what is left (Efraimidis and Spirakis 2006): the smallest of
            # exponential waiting times whose rates are the shares.
            waiting = {pair: generator.expovariate(shares[pair[0]]) for pair in pairs}
            shuffled.extend(sorted(pairs, key=waiting.__getitem__))
    return [
        Variant(index=index, recipe=recipe.name, style=style, perspective=perspective)
        for index, (style, perspective) in enumerate(shuffled[:n_variants])
    ]

"""A recipe is data: a TOML file that defines how a kind of document is rewritten.

The built-in ones are in `recipes/`. A user's file adds a recipe, or replaces the built-in one of the same name.
"""

import functools
import hashlib
import random
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import Field, ValidationError, field_validator, model_validator

from rephrase.prompting.context import Context
from rephrase.records import Check, Chunk, Document, Domain, Prompt, Requirements, Variant, digest
from rephrase.settings import Settings
from rephrase.storage.filesystem import read_settings

# The passage is a value, never part of a template, so a document cannot inject template code.
_TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
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
    "fence": "f",
    "hint": "h",
}
_NOTHING = {name: type(value)() for name, value in _EXAMPLE.items()} | {"last_number": None, "passage": "x"}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Instruction = Annotated[str, Field(min_length=1)]
# What a rewrite may not lose of its source; "any" is for a summary.
Keeps = Literal["everything", "any"] | Annotated[float, Field(gt=0, le=1)]
# See `fidelity.checks.style`, which looks for them.
Form = Literal["questions", "speakers", "letter", "notes", "listeners", "steps"]


def share_kept(keeps: Keeps) -> float:
    """The share of the source that must be kept, from 0 to 1."""
    return {"everything": 1.0, "any": 0.0}[keeps] if isinstance(keeps, str) else keeps


class SamplingDefaults(Settings):
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)


class PromptTemplates(Settings):
    """Jinja templates over the variables in _EXAMPLE.

    `fence` is a random word for the delimiters of the passage; `hint` says what was wrong with the last attempt.
    """

    system: str
    user: str

    @field_validator("system", "user")
    @classmethod
    def _renders(cls, template: str) -> str:
        # With everything that a prompt may hold, and with nothing: the first chunk of a document has hardly any of it.
        for values in (_EXAMPLE, _NOTHING):
            try:
                _TEMPLATES.from_string(template).render(values)
            except Exception as error:  # a template may divide by zero, or loop until it is stopped
                raise ValueError(
                    f"the template does not render: {type(error).__name__}: {error}; it may use {', '.join(_EXAMPLE)}"
                ) from error
        return template

    @model_validator(mode="after")
    def _holds_the_passage(self) -> Self:
        texts = [_TEMPLATES.from_string(text).render(_EXAMPLE) for text in (self.system, self.user)]
        if not any(_EXAMPLE["passage"] in text for text in texts):
            raise ValueError("no template has {{ passage }}: the model would not see the text")
        return self


class Recipe(Settings):
    """How a kind of document is rewritten."""

    schema_version: int = Field(ge=1, le=1)
    name: Name
    version: int = Field(ge=1)
    description: str
    domains: tuple[Domain, ...]
    languages: tuple[str, ...] = Field(min_length=1)
    smallest_model: str = Field(pattern=r"^\d+(\.\d+)?[MB]$")
    checks: tuple[Check, ...]
    # What a rewrite may not lose: everything, or a share of its source; "any" for a summary.
    keeps: Keeps = "everything"
    mask_formulas: bool = False
    chunk_tokens: int = Field(ge=16)
    context_tokens: int = Field(ge=0)
    max_growth: float = Field(gt=0, le=100)
    sampling: SamplingDefaults
    prompt: PromptTemplates
    glossary: PromptTemplates | None = None
    styles: dict[Name, Instruction] = Field(min_length=1)
    perspectives: dict[Name, Instruction] = Field(default_factory=dict)
    # What must be visible in a style, such as question_answer = "questions"; styles of mere register have no form.
    forms: dict[Name, Form] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _forms_have_styles(self) -> Self:
        if unknown := sorted(self.forms.keys() - self.styles.keys()):
            raise ValueError(f"forms has {unknown[0]!r}, which is not a style; there are {', '.join(self.styles)}")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All (style, perspective) pairs."""
        return list(product(self.styles, self.perspectives or [""]))

    @property
    def smallest_model_parameters(self) -> float:
        return float(self.smallest_model[:-1]) * {"M": 1e6, "B": 1e9}[self.smallest_model[-1]]

    @property
    def prompt_hash(self) -> str:
        """A hash of everything that shapes a prompt, except the document."""
        shaping = self.model_dump_json(exclude={"keeps", "forms"})
        return hashlib.sha256(shaping.encode()).hexdigest()[:16]

    def requirements(self, style: str) -> Requirements:
        """What a rewrite in this style must satisfy."""
        return Requirements(checks=self.checks, keeps=share_kept(self.keeps), form=self.forms.get(style))

    def max_output_tokens(self, chunk: Chunk) -> int:
        # Short chunks grow more: a lone heading may become a sentence.
        return int(chunk.n_tokens * self.max_growth) + 32

    def render(
        self, document: Document, chunk: Chunk, variant: Variant, context: Context, passage: str, hint: str = ""
    ) -> Prompt:
        """The prompt for one chunk; `passage` is its text, with placeholders if formulas are masked."""
        return _render(
            self.prompt,
            style=self.styles[variant.style],
            perspective=self.perspectives.get(variant.perspective, ""),
            title=document.title or "",
            language=document.language or document.detected_language or "",
            outline=context.outline,
            abbreviations=context.abbreviations,
            last_number=context.last_number,
            glossary=context.glossary,
            written=context.written,
            passage=passage,
            fence=delimiter(chunk),
            hint=hint,
        )

    def render_glossary(self, source: str, rewrite: str) -> Prompt | None:
        """The prompt for the glossary of `source` and `rewrite`, or None if the recipe has none."""
        return _render(self.glossary, passage=source, written=rewrite) if self.glossary else None


def delimiter(chunk: Chunk) -> str:
    """A word for the delimiters of a passage, which the author of the document cannot have known."""
    return digest("fence", chunk.document_id, chunk.index, chunk.text)[:6]


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _TEMPLATES.from_string(template)


def _render(templates: PromptTemplates, **values: object) -> Prompt:
    system, user = (
        _compiled(template).render({**_EXAMPLE, **values}).strip() for template in (templates.system, templates.user)
    )
    return Prompt(system=system, user=user)


def load_recipes(files: Sequence[str | Path] = ()) -> dict[str, Recipe]:
    """The built-in recipes and those of `files`, by name; a file's recipe replaces the built-in one of the same name.

    Raises:
        ValueError: a file is not a valid recipe; the message names the file, line, field and reason.
    """
    built_in = sorted(resources.files("rephrase.prompting").joinpath("recipes").iterdir(), key=lambda entry: entry.name)
    texts = [(entry.name, entry.read_text("utf-8")) for entry in built_in if entry.name.endswith(".toml")]
    for file in files:
        try:
            texts.append((str(file), read_settings(str(file))))
        except (OSError, ValueError) as error:
            raise ValueError(f"recipe file {str(file)!r} cannot be read: {error}") from error
    return {recipe.name: recipe for recipe in (parse_recipe(text, name) for name, text in texts)}


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


def draw_variants(recipe: Recipe, document_id: str, n_variants: int, seed: int) -> list[Variant]:
    """`n_variants` ways to rewrite a document; no (style, perspective) pair repeats before all were drawn.

    The draw depends only on the arguments, not on the order of documents or runs.
    """
    pairs = recipe.pairs
    shuffled: list[tuple[str, str]] = []
    generator = random.Random(f"{seed}/{recipe.name}/{document_id}")
    while len(shuffled) < n_variants:
        shuffled.extend(generator.sample(pairs, len(pairs)))
    return [
        Variant(index=index, recipe=recipe.name, style=style, perspective=perspective)
        for index, (style, perspective) in enumerate(shuffled[:n_variants])
    ]

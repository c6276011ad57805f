"""A recipe is data: a TOML file that says how a kind of document is rewritten.

The built-in ones lie beside this file, in `recipes/`. A user's file adds a recipe, or replaces the one of its name.
"""

import hashlib
import random
import tomllib
from collections.abc import Sequence
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Annotated

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rephrase.records import Chunk, Document, Domain, Prompt, Variant

# The passage is a value, never part of a template, so a document cannot smuggle template code in.
_TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_EXAMPLE = {"style": "s", "perspective": "p", "title": "t", "written": "w", "passage": "x"}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Instruction = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SamplingDefaults(_Strict):
    temperature: float = Field(ge=0, le=2)
    top_p: float = Field(gt=0, le=1)


class PromptTemplates(_Strict):
    """Jinja templates over `style`, `perspective`, `title`, `written` and `passage`."""

    system: str
    user: str

    @field_validator("system", "user")
    @classmethod
    def _renders(cls, template: str) -> str:
        try:
            _TEMPLATES.from_string(template).render(_EXAMPLE)
        except TemplateError as error:
            raise ValueError(f"the template does not render: {error}; it may use {', '.join(_EXAMPLE)}") from error
        return template


class Recipe(_Strict):
    """How a kind of document is rewritten."""

    schema_version: int = Field(ge=1, le=1)
    name: Name
    version: int = Field(ge=1)
    description: str
    domains: tuple[Domain, ...]
    smallest_model: str
    chunk_tokens: int = Field(ge=16)
    context_tokens: int = Field(ge=0)
    max_growth: float = Field(gt=0)
    sampling: SamplingDefaults
    prompt: PromptTemplates
    styles: dict[Name, Instruction] = Field(min_length=1)
    perspectives: dict[Name, Instruction] = Field(min_length=1)

    @property
    def prompt_hash(self) -> str:
        """Of everything that shapes a prompt but the document."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def max_output_tokens(self, chunk: Chunk) -> int:
        # Short chunks grow more: a heading alone may become a sentence.
        return int(chunk.n_tokens * self.max_growth) + 32

    def render(self, document: Document, chunk: Chunk, variant: Variant, written: str) -> Prompt:
        """The prompt for one chunk; `written` is the end of what was already rewritten of the document, or empty."""
        values = {
            "style": self.styles[variant.style],
            "perspective": self.perspectives[variant.perspective],
            "title": document.title or "",
            "written": written,
            "passage": chunk.text.strip(),
        }
        system, user = (
            _TEMPLATES.from_string(template).render(values).strip()
            for template in (self.prompt.system, self.prompt.user)
        )
        return Prompt(system=system, user=user)


def load_recipes(files: Sequence[str | Path] = ()) -> dict[str, Recipe]:
    """The built-in recipes and those of `files`, by name; a file's recipe replaces the built-in one of its name.

    Raises:
        ValueError: a file is no recipe; the message names the file, the line or field, and what is wrong with it.
    """
    built_in = sorted(resources.files("rephrase").joinpath("recipes").iterdir(), key=lambda entry: entry.name)
    texts = [(entry.name, entry.read_text("utf-8")) for entry in built_in if entry.name.endswith(".toml")]
    for file in files:
        try:
            texts.append((str(file), Path(file).read_text("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"recipe file {str(file)!r} cannot be read: {error}") from error
    return {recipe.name: recipe for recipe in (parse_recipe(text, name) for name, text in texts)}


def parse_recipe(text: str, name: str) -> Recipe:
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"recipe file {name!r} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']} (got {problem['input']!r:.80})"
            for problem in error.errors()
        )
        raise ValueError(f"recipe file {name!r}: {problems}") from error


def draw_variants(recipe: Recipe, document_id: str, n_variants: int, seed: int) -> list[Variant]:
    """`n_variants` ways to rewrite a document, no (style, perspective) pair twice before all were drawn.

    The draw depends on nothing but the arguments, so it does not change with the order of documents or of runs.
    """
    pairs = list(product(recipe.styles, recipe.perspectives))
    shuffled: list[tuple[str, str]] = []
    generator = random.Random(f"{seed}/{recipe.name}/{document_id}")
    while len(shuffled) < n_variants:
        shuffled.extend(generator.sample(pairs, len(pairs)))
    return [
        Variant(index=index, recipe=recipe.name, style=style, perspective=perspective)
        for index, (style, perspective) in enumerate(shuffled[:n_variants])
    ]

"""The records that travel from a source file to a shard row; every other module imports these and they import nothing.

source file -> Document -> Chunk -> Prompt -> Completion -> Verdict -> Rewrite -> shard row
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Domain(StrEnum):
    """What kind of text a document is; it chooses the recipe."""

    KNOWLEDGE = "knowledge"
    MATH = "math"
    WEB = "web"
    CODE = "code"


class Check(StrEnum):
    """What a rewrite must pass besides the checks of form; a recipe says which."""

    NEW_WORDING = "new_wording"  # not a near copy of its source
    SIMILARITY = "similarity"  # its embedding is close to its source's
    CROSS_LINGUAL = "cross_lingual"  # the same, by a multilingual embedding model
    FORMULAS = "formulas"  # every formula of the source is there, unchanged
    NUMBERS = "numbers"  # every number of the source is there
    ANSWER = "answer"  # the final answer of the source is there
    SAME_LANGUAGE = "same_language"
    ENGLISH = "english"
    FACTS = "facts"  # its sentences and facts are those of its source: the calibrated verdict
    OBEDIENCE = "obedience"  # it does not follow orders that stand in the document


def digest(*parts: object) -> str:
    """A stable 16-hex-digit name for a tuple of values; the separator keeps ("ab", "c") apart from ("a", "bc")."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of the corpus.

    `source` is the file it came from and `record` its position there (line of a JSON Lines file, row of a Parquet
    file, 0 for a text file).
    """

    id: str
    text: str
    source: str
    record: int = 0
    title: str | None = None
    domain: Domain = Domain.KNOWLEDGE
    language: str | None = None
    detected_language: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_english(self) -> bool:
        """By what the corpus says of it, else by what was detected."""
        return (self.language or self.detected_language or "en").lower().startswith("en")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRecord:
    """A record of a source file that is not a document, with the reason and as much of its text as there is."""

    document_id: str
    source: str
    record: int
    reason: str
    detail: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """`document.text[start:end]`; the chunks of a document joined are the document, byte for byte."""

    document_id: str
    index: int
    start: int
    end: int
    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A chat of two messages. What many prompts share comes first, so that an engine's prefix cache serves it."""

    system: str
    user: str

    def messages(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How one completion is drawn."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int


FinishReason = Literal["stop", "length", "abort", "content_filter", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an engine returned. `n_cached_tokens` counts prompt tokens that its prefix cache served."""

    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """The natural logarithm of each token's probability, and the character of the text at which the token begins."""

    starts: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One place where a rewrite does not say what its source says.

    `kind` is the type of fact ("number", "date", "name", "negation", "formula", "sentence", …). Spans are characters,
    start and end, in the text of the chunk and in the text of its rewrite; None where the other side has nothing.
    `detail` is for people and is the hint that a further try is given: "1588; the source has 1584".
    """

    kind: str
    problem: Literal["unsupported", "missing", "changed"]
    source: tuple[int, int] | None
    rewrite: tuple[int, int] | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a rewrite may stand for its source. `reason` names the check that refused it, None when accepted.

    `probability` is the calibrated probability that the rewrite is faithful, None where it was not computed.
    """

    accepted: bool
    reason: str | None = None
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None
    discrepancies: tuple[Discrepancy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way in which a document is rewritten: its K variants draw K different (style, perspective) pairs.

    A recipe without perspectives has one, the empty one.
    """

    index: int
    recipe: str
    style: str
    perspective: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRewrite:
    """The last attempt at one chunk, accepted or not. Token counts are sums over all its attempts."""

    chunk: Chunk
    text: str
    verdict: Verdict
    finish_reason: FinishReason
    seed: int
    n_attempts: int
    n_sentences_removed: int  # at the seam, because they stood there already
    max_tokens: int
    n_tokens: int
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int
    source_kept: bool  # refused, and its source stands in its place

    @property
    def final_text(self) -> str | None:
        """What stands in the rewritten document for this chunk, if anything does."""
        if self.verdict.accepted:
            return self.text
        return self.chunk.text.strip() if self.source_kept else None

    @property
    def n_final_tokens(self) -> int:
        if self.verdict.accepted:
            return self.n_tokens
        return self.chunk.n_tokens if self.source_kept else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """One document rewritten in one variant: a chain of chunk rewrites.

    On a route of several recipes there is one Rewrite for each; the document of the next is the text of the one before.
    """

    document: Document
    variant: Variant
    chunks: tuple[ChunkRewrite, ...]

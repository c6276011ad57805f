"""The records passed along from a source file to a shard row. Every other module imports them; they import none.

source file -> Document -> Chunk -> Prompt -> Completion -> Verdict -> Rewrite -> shard row
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal


class Domain(StrEnum):
    """The kind of text a document is; it determines the recipe."""

    KNOWLEDGE = "knowledge"
    MATH = "math"
    WEB = "web"
    CODE = "code"


class Check(StrEnum):
    """A check that a rewrite must pass in addition to the checks of form; a recipe lists its checks."""

    NEW_WORDING = "new_wording"  # not a near copy of its source
    SIMILARITY = "similarity"  # its embedding is close to that of its source
    CROSS_LINGUAL = "cross_lingual"  # the same, with a multilingual embedding model
    BACK_TRANSLATION = "back_translation"  # translated back by the rewriting model, it says what the source says
    FORMULAS = "formulas"  # it contains every formula of the source, unchanged
    NUMBERS = "numbers"  # it contains every number of the source
    QUESTIONS = "questions"  # where the source asks something, it does, too, and does not answer
    ANSWER = "answer"  # it contains the final answer of the source
    SAME_LANGUAGE = "same_language"
    ENGLISH = "english"
    FACTS = "facts"  # its sentences and facts match its source: the calibrated verdict
    OBEDIENCE = "obedience"  # it does not follow instructions embedded in the document


# What is asked of a rewrite: nothing false or added, nothing lost that must stay, sentences that a person would write,
# and what its style asks for.
Question = Literal["faithful", "complete", "fluent", "in_style"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What a recipe requires of a rewrite in one of its styles.

    `keeps` is the share of the source that must be kept, from 0 (a summary) to 1 (everything); `reworded` is the share
    of the sentences that must be new wording. A rewrite of more than six times the words of its source and
    `max_more_words` is none. `form` is the form that the style asks for, such as "questions"; None if
    it is only a matter of register. `thresholds` are minimum probabilities other than the calibration's. `min_chrf` is
    asked of a translation that is translated back, see `fidelity.checks.back_translation`. `rubric` is what a language
    model as the judge is asked about the style; empty: nothing.
    """

    checks: tuple[Check, ...]
    keeps: float = 1.0
    reworded: float = 0.6
    max_more_words: int = 100
    form: str | None = None
    thresholds: Mapping[Question, float] = field(default_factory=dict)
    min_chrf: float = 0.0
    rubric: str = ""

    def of_piece(self) -> "Requirements":
        """What the same recipe requires of some sentences of a chunk: only the forms that each part of it has."""
        return replace(self, form=self.form if self.form in ("questions", "speakers") else None, rubric="")


def digest(*parts: object) -> str:
    """A stable id of 16 hex digits for a tuple of values; the separator distinguishes ("ab", "c") from ("a", "bc")."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of the corpus.

    `source` is the file it came from and `record` its position in that file (line of a JSON Lines file, row of a
    Parquet file, 0 for a text file).
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
        """By the language the corpus states, else by the detected one."""
        return (self.language or self.detected_language or "en").lower().startswith("en")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRecord:
    """A record of a source file that is not a usable document, with the reason and as much of its text as exists."""

    document_id: str
    source: str
    record: int
    reason: str
    detail: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """`document.text[start:end]`. Joining the chunks of a document gives back its text, byte for byte."""

    document_id: str
    index: int
    start: int
    end: int
    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A chat: the system's message, examples as earlier turns of the user and the assistant, and the user's message.

    What many prompts share comes first, so that the engine's prefix cache can serve it.
    """

    system: str
    user: str
    examples: tuple[tuple[str, str], ...] = ()

    def messages(self) -> list[dict[str, str]]:
        turns = [
            {"role": role, "content": content}
            for example in self.examples
            for role, content in zip(("user", "assistant"), example, strict=True)
        ]
        return [{"role": "system", "content": self.system}, *turns, {"role": "user", "content": self.user}]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPenalty:
    """Of a token's logit, `amount` is subtracted where the token would go on with a run copied from `passage`.

    Only words that begin at `word_starts`, offsets in the passage, are penalized.
    """

    amount: float
    passage: str
    word_starts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The sampling parameters of one completion; with `logprob` its log-probability is asked for."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    logprob: bool = False
    copy_penalty: CopyPenalty | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """The tokens of one request or the sum over several. `n_cached_tokens` of the prompt came from the prefix cache."""

    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    n_cached_tokens: int = 0

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            n_prompt_tokens=self.n_prompt_tokens + other.n_prompt_tokens,
            n_completion_tokens=self.n_completion_tokens + other.n_completion_tokens,
            n_cached_tokens=self.n_cached_tokens + other.n_cached_tokens,
        )


FinishReason = Literal["stop", "length", "abort", "content_filter", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What an engine returned. `n_cached_tokens` counts the prompt tokens served from its prefix cache.

    `logprob` is the sum of the log-probabilities of the tokens under the model, before temperature and top-p, in nats;
    None where it was not asked for or the engine does not report it.
    """

    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int = 0
    logprob: float | None = None

    @property
    def usage(self) -> TokenUsage:
        return TokenUsage(
            n_prompt_tokens=self.n_prompt_tokens,
            n_completion_tokens=self.n_completion_tokens,
            n_cached_tokens=self.n_cached_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One place where a rewrite differs in content from its source.

    `kind` is the type of fact ("number", "date", "name", "negation", "formula", "sentence", …). Spans are
    character ranges (start, end) in the text of the chunk and in the text of its rewrite; None where that side has no
    counterpart. `detail` is a description for people: "1588; the source has 1584".
    """

    kind: str
    problem: Literal["unsupported", "missing", "changed"]
    source: tuple[int, int] | None
    rewrite: tuple[int, int] | None
    detail: str

    def shifted(self, source: int = 0, rewrite: int = 0) -> "Discrepancy":
        """The same place where so many characters stand before the source or the rewrite."""
        return replace(self, source=_moved(self.source, source), rewrite=_moved(self.rewrite, rewrite))


def _moved(span: tuple[int, int] | None, by: int) -> tuple[int, int] | None:
    return span and (span[0] + by, span[1] + by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a rewrite may replace its source. `reason` names the check that rejected it; None when accepted.

    `probability` is the calibrated probability that the rewrite is faithful, complete, fluent and in its style;
    `probabilities` has that of each. None and empty where they were not computed.
    """

    accepted: bool
    reason: str | None = None
    detail: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    discrepancies: tuple[Discrepancy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to rewrite a document: its K variants draw K different (style, perspective) pairs.

    For a recipe without perspectives, `perspective` is empty.
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
    n_sentences_removed: int  # at the boundary, because they repeated the previous chunk
    max_tokens: int
    n_tokens: int
    n_prompt_tokens: int
    n_completion_tokens: int
    n_cached_tokens: int
    source_kept: bool  # rejected, and replaced by its source

    @property
    def final_text(self) -> str | None:
        """The text for this chunk in the rewritten document; None if there is none."""
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

    A route of several recipes has one Rewrite per recipe; each takes the text of the one before as its document.
    """

    document: Document
    variant: Variant
    chunks: tuple[ChunkRewrite, ...]

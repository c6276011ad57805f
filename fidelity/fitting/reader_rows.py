"""What the reader is trained with: texts beside their sources, with the characters that are added, lost or garbled.

Every source of rows is a function from the data folder to rows; a missing file gives none. Rows of the sets by which
the calibration is fitted are split by their document (`is_held_out`): the reader never sees those that measure it.
"""

import difflib
import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fidelity.checks.sentences import split_sentences
from fidelity.fitting.labelled_sets import read_rows
from fidelity.planting.edits import applied, touched
from fidelity.planting.faithful import faithful_edit
from fidelity.planting.garbled import garble
from fidelity.planting.neighbours import WordNeighbours
from fidelity.planting.omitted import invent, omit
from fidelity.planting.planted import PlantedKind, plant

Span = tuple[int, int]

# The share of each labelled set that the reader does not see, so that its scores there are those of unseen rows.
HELD_OUT = 0.4
# A context of about 280 tokens.
CONTEXT_CHARACTERS = 1200
_WORD = re.compile(r"\w+")

_SENTENCE_ERRORS = (
    PlantedKind.NUMBER, PlantedKind.DATE, PlantedKind.NAME, PlantedKind.NAME, PlantedKind.SWAPPED_NAMES,
    PlantedKind.NEGATION, PlantedKind.ANTONYM, PlantedKind.COMPARATIVE, PlantedKind.UNIT,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRow:
    """One text beside its source. None for spans means: not known, not "nowhere".

    `source` is None for a row about language alone. `unsupported` is the label of the whole rewrite where that is all
    that is known.
    """

    dataset: str
    rewrite: str
    source: str | None
    added: tuple[Span, ...] | None = None
    lost: tuple[Span, ...] | None = None
    garbled: tuple[Span, ...] | None = None
    unsupported: bool | None = None


def is_held_out(dataset: str, group: str) -> bool:
    value = int(hashlib.sha256(f"{dataset}/{group}".encode("utf-8", "surrogatepass")).hexdigest()[:8], 16)
    return value / 0xFFFFFFFF < HELD_OUT


def with_error(sentence: str, other: str, near: WordNeighbours, rng: random.Random) -> tuple[str, Span, Span] | None:
    """The sentence with one error, the error's characters, and the characters of the original that it replaced."""
    for _ in range(3):
        kind = rng.random()
        if kind < 0.35:
            edit = near.replace(sentence, rng)
        elif kind < 0.5:
            edit = invent(sentence, other, rng)
        else:
            planted = plant(rng.choice(_SENTENCE_ERRORS), sentence, rng)
            if planted is not None:
                span = touched(planted.text, planted.span)
                return planted.text, span, planted.original_span
            continue
        if edit is not None:
            text, span = applied(sentence, edit)
            return text, span, (edit.start, edit.end)
    return None


# ---- WikiSplit: one sentence as two


def wikisplit_rows(data: Path, near: WordNeighbours, rng: random.Random, n: int) -> Iterator[ReaderRow]:
    path = data / "fidelity/train/wikisplit.jsonl"
    if not path.is_file():
        return
    rows = read_rows(path)
    rng.shuffle(rows)
    sentences = [row["source"] for row in rows]
    for row in rows[:n]:
        source, rewrite = _spaced(row["source"]), _spaced(row["rewrite"])
        other = _spaced(rng.choice(sentences))
        if not _same_content(source, rewrite):
            continue
        kind = rng.random()
        if kind < 0.15:
            yield ReaderRow(dataset="WikiSplit", rewrite=source, source=rewrite, added=(), lost=())
        elif kind < 0.4:
            yield ReaderRow(dataset="WikiSplit", rewrite=faithful_edit(rewrite, rng), source=source, added=(), lost=())
        elif kind < 0.75:
            found = with_error(faithful_edit(rewrite, rng, share=0.3), other, near, rng)
            if found:
                yield ReaderRow(
                    dataset="WikiSplit", rewrite=found[0], source=source, added=(found[1],),
                    lost=changed_words(source, found[0]),
                )  # fmt: skip
        else:
            shorter = _shortened(rewrite, rng)
            if shorter:
                yield ReaderRow(
                    dataset="WikiSplit", rewrite=shorter, source=source, added=(), lost=changed_words(source, shorter)
                )


def _spaced(text: str) -> str:
    """WikiSplit is tokenized; ordinary text is not."""
    text = re.sub(r" ([,.;:!?%)\]])", r"\1", text).replace("( ", "(").replace(" 's", "'s").replace("``", '"')
    return re.sub(r'" ([^"]*?) "', r'"\1"', text)


def _same_content(source: str, rewrite: str) -> bool:
    """Whether nearly all longer words of each are in the other: some of the pairs are not faithful."""
    one, two = (frozenset(word[:5] for word in _WORD.findall(t.lower()) if len(word) > 3) for t in (source, rewrite))
    return bool(one) and len(one & two) >= 0.8 * max(len(one), len(two))


def _shortened(text: str, rng: random.Random) -> str | None:
    spans = split_sentences(text).spans
    if len(spans) > 1 and rng.random() < 0.5:
        start, end = rng.choice(spans)
        return (text[:start] + text[end:]).strip()
    edit = omit(text, rng)
    return text[: edit.start] + edit.new + text[edit.end :] if edit else None


def changed_words(source: str, rewrite: str) -> tuple[Span, ...]:
    """The runs of words of the source that are gone from a rewrite with nearly the same words in the same order."""
    ours, theirs = list(_WORD.finditer(source)), [word.lower() for word in _WORD.findall(rewrite)]
    matcher = difflib.SequenceMatcher(None, [word.group().lower() for word in ours], theirs, autojunk=False)
    known = Counter(theirs)
    spans = []
    for operation, first, last, _, _ in matcher.get_opcodes():
        if operation not in ("delete", "replace"):
            continue
        run = ours[first:last]
        gone = [word for word in run if not known[word.group().lower()] and len(word.group()) > 2]
        if gone:
            spans.append((run[0].start() if len(gone) > len(run) / 2 else gone[0].start(), gone[-1].end()))
    return tuple(spans)


# ---- Documents, sentence by sentence


@dataclass(slots=True)
class _Draft:
    """A rewrite that grows sentence by sentence, with what is added in it and lost from its source."""

    parts: list[str] = field(default_factory=list)
    added: list[Span] = field(default_factory=list)
    lost: list[Span] = field(default_factory=list)
    length: int = 0

    def append(self, sentence: str, added: Sequence[Span] = ()) -> None:
        self.added += [(self.length + start, self.length + end) for start, end in added]
        self.parts.append(sentence)
        self.length += len(sentence) + 1


def document_rows(texts: Sequence[str], near: WordNeighbours, rng: random.Random, n: int) -> Iterator[ReaderRow]:
    """Chunks of one to nine sentences: each copied, edited, with an error, shortened, dropped, or one added."""
    for _ in range(n):
        text, other = rng.choice(texts), split_sentences(rng.choice(texts))
        source = split_sentences(text)
        size = rng.choice((1, 2, 2, 3, 3, 4, 5, 7, 9))
        if len(source.spans) < size or not other.spans:
            continue
        first = rng.randrange(len(source.spans) - size + 1)
        base, end = source.window(first, first + size - 1)
        end = min(end, base + CONTEXT_CHARACTERS)
        error_rate = rng.choice((0.0, 0.0, 0.15, 0.3))
        draft = _Draft()
        for index in range(first, first + size):
            start, stop = source.spans[index]
            if stop > end:
                break
            sentence = source.text[start:stop]
            start -= base
            way = rng.random()
            if way < error_rate:
                stranger = other[rng.randrange(len(other.spans))]
                found = with_error(sentence, stranger, near, rng)
                if found:
                    draft.append(found[0], [found[1]])
                    if source.text[slice(*(base + start + p for p in found[2]))].strip():
                        draft.lost.append((start + found[2][0], start + found[2][1]))
                    continue
            elif way < error_rate + 0.1 and size > 1:
                draft.lost.append((start, start + len(sentence)))
                continue
            elif way < error_rate + 0.22 and (edit := omit(sentence, rng)):
                draft.append(sentence[: edit.start] + sentence[edit.end :])
                draft.lost.append((start + edit.start, start + edit.end))
                continue
            elif way > 0.95 and error_rate:
                stranger = other[rng.randrange(len(other.spans))]
                draft.append(stranger, [(0, len(stranger))])
            draft.append(sentence if rng.random() < 0.3 else faithful_edit(sentence, rng))
        if draft.parts:
            yield ReaderRow(
                dataset="documents",
                rewrite=" ".join(draft.parts),
                source=text[base:end],
                added=tuple(draft.added),
                lost=tuple(draft.lost),
            )


# ---- Language alone


def garbled_rows(sentences: Sequence[str], rng: random.Random, n: int) -> Iterator[ReaderRow]:
    for _ in range(n):
        chosen = [rng.choice(sentences) for _ in range(rng.choice((1, 1, 2, 3)))]
        spans: list[Span] = []
        length = 0
        for i, sentence in enumerate(chosen):
            if rng.random() < 0.5 and (found := garble(sentence, rng, [rng.choice(sentences) for _ in range(3)])):
                chosen[i] = found[0]
                spans.append((length + found[1][0], length + found[1][1]))
            length += len(chosen[i]) + 1
        yield ReaderRow(dataset="language", rewrite=" ".join(chosen), source=None, garbled=tuple(spans))


# ---- Labelled sets


def nli_rows(data: Path, rng: random.Random, n: int) -> Iterator[ReaderRow]:
    """ConjNLI, where few words differ, and SNLI."""
    for name, share in (("conjnli_train", 0.5), ("snli_dev", 0.5)):
        path = data / f"fidelity/train/{name}.jsonl"
        rows = [row for row in read_rows(path) if row["label"] in ("entailment", "neutral", "contradiction")] if (
            path.is_file()
        ) else []  # fmt: skip
        rng.shuffle(rows)
        for row in rows[: int(n * share)]:
            supported, premise, hypothesis = row["label"] == "entailment", row["premise"], row["hypothesis"]
            # ConjNLI's wrong hypotheses differ in the words that make them wrong, SNLI's in many others.
            changed = () if supported or name != "conjnli_train" else changed_words(hypothesis, premise)
            yield ReaderRow(
                dataset=name, rewrite=hypothesis, source=premise, unsupported=not supported,
                added=changed if supported or changed else None,
            )  # fmt: skip


def set_rows(data: Path, rng: random.Random) -> Iterator[ReaderRow]:
    """The training part of SummEdits, FEVER-symmetric, WiCE and BEGIN."""
    for row in _rows(data, "fidelity/summedits_dev.jsonl"):
        if is_held_out("SummEdits", row["doc"]):
            continue
        good, summary = row["label"] == 1, row["summary"]
        added = () if good else changed_words(summary, row["original_summary"])
        source = nearest_part(row["doc"], summary)
        yield ReaderRow(
            dataset="SummEdits", rewrite=summary, source=source, added=added if good or added else None,
            unsupported=not good,
        )  # fmt: skip
    for row in _rows(data, "fidelity/fever_symmetric_dev.jsonl"):
        if not is_held_out("FEVER-symmetric", str(row["id"])):
            good = row["gold_label"] == "SUPPORTS"
            yield ReaderRow(
                dataset="FEVER", rewrite=_spaced(row["claim"]), source=_spaced(row["evidence"]), unsupported=not good,
                added=() if good else None,
            )  # fmt: skip
    for row in _rows(data, "fidelity/begin_wow_dev.jsonl"):
        if not is_held_out("BEGIN", row["knowledge"]):
            yield _begin(row)
    # A claim of the development file is measured in the set of claims too, so only those of the training file are used.
    for row in _rows(data, "fidelity/train/wice_tokens_train.jsonl"):
        yield _wice(row, rng)


def _begin(row: dict[str, Any]) -> ReaderRow:
    good = row["begin_label"] == "Fully attributable"
    return ReaderRow(
        dataset="BEGIN", rewrite=row["response"], unsupported=not good, added=() if good else None,
        source=nearest_part(row["knowledge"], row["response"]),
    )  # fmt: skip


def _wice(row: dict[str, Any], rng: random.Random) -> ReaderRow:
    claim, flags = row["claim"], row["non_supported"]
    spans, at = [], 0
    for token, flag in zip(row["claim_tokens"], flags, strict=True):
        start = claim.find(token, at)
        if start < 0:
            continue
        at = start + len(token)
        if flag:
            spans.append((start, at))
    evidence = "\n".join(row["evidence"])
    return ReaderRow(
        dataset="WiCE", rewrite=claim, source=nearest_part(evidence, claim), added=tuple(spans), unsupported=bool(spans)
    )


def _rows(data: Path, file: str) -> list[dict[str, Any]]:
    return read_rows(data / file) if (data / file).is_file() else []


def nearest_part(text: str, claim: str, n_characters: int = CONTEXT_CHARACTERS) -> str:
    """The sentences of the text that share the rarest words with the claim, and their neighbours, in their order."""
    if len(text) <= n_characters:
        return text
    sentences = split_sentences(text)
    words = [frozenset(word.lower() for word in _WORD.findall(sentences[i])) for i in range(len(sentences.spans))]
    counts = Counter(word for found in words for word in found)
    asked = frozenset(word.lower() for word in _WORD.findall(claim))
    worth = [sum(math.log(len(words) / counts[word] + 1) for word in found & asked) for found in words]
    near = [w + 0.4 * max(worth[max(0, i - 1)], worth[min(len(worth) - 1, i + 1)]) for i, w in enumerate(worth)]
    chosen: list[int] = []
    used = 0
    for i in sorted(range(len(near)), key=lambda i: -near[i]):
        length = sentences.spans[i][1] - sentences.spans[i][0]
        if used + length <= n_characters:
            chosen.append(i)
            used += length + 1
    return " ".join(sentences[i] for i in sorted(chosen))

"""Reads pairs of texts: what each word and sentence of the rewrite adds or garbles, and what of the source is lost."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fidelity.checks.sentences import Match, SentenceReport, Sentences
from fidelity.reader.inputs import REWRITE_FIRST, Encoding, ReaderInput, batch_tensors
from fidelity.reader.marks import Marks, Reading, Span
from fidelity.reader.network import ADDED, GARBLED, LOST, MAX_TOKENS, load_network, tokenizer

BATCH_TOKENS = 4096
# A text in parts: a block of one side, and beside it what the other side says about it.
BLOCK_TOKENS, CONTEXT_TOKENS = 160, 340
# Fewer words may stand in a text by chance: "They did not."
MIN_WORDS = 4
# With numbers and signs: "x < 2" is not "x > 2".
_WORD = re.compile(r"\w+|[^\w\s.,;:!?'\"()‘’“”]")


@dataclass(frozen=True, slots=True)
class _Job:
    """One input, and which sentences of which pair it answers for."""

    pair: int
    mark: int
    sentences: tuple[int, ...]
    entry: ReaderInput
    offset: int


class Reader:
    """The shipped network, or one trained by `fidelity.fitting.train_reader`."""

    def __init__(self, weights: Path | None = None) -> None:
        """
        Raises:
            ValueError: the packaged encoder is not installed, or the file is not a reader's.
        """
        self._network = load_network(weights)
        words = tokenizer()
        self._encoding = Encoding(words)
        self._pad = words.pad_token_id

    def read(
        self, reports: Sequence[SentenceReport], *, foreign: bool = False, find_lost: Sequence[bool] | None = None
    ) -> list[Reading]:
        """A reading for each compared pair; with `foreign`, of the language of the rewrite alone.

        A pair that does not fit into one input is read in parts, each beside the nearest sentences of the other side.
        `find_lost` says for each pair whether to look for what is missing, by default for all: beside a short claim,
        reading all of a long source for that would cost most.
        """
        jobs: list[_Job] = []
        for number, report in enumerate(reports):
            jobs += self._language_jobs(number, report.rewrite)
            if not foreign and report.source.spans and report.rewrite.spans:
                jobs += self._pair_jobs(number, report, find_lost is None or find_lost[number])
        odds = self._run([job.entry for job in jobs])
        by_pair: list[list[tuple[_Job, np.ndarray, np.ndarray]]] = [[] for _ in reports]
        for job, (tokens, sentences) in zip(jobs, odds, strict=True):
            by_pair[job.pair].append((job, tokens, sentences))
        found = []
        for report, parts in zip(reports, by_pair, strict=True):
            kept, rendered = _standing_in(report.rewrite, report.source), _standing_in(report.source, report.rewrite)
            garbled = _joined(report.rewrite, [part for part in parts if part[0].mark == GARBLED], GARBLED, kept)
            compared = [part for part in parts if part[0].mark != GARBLED]
            if not compared:
                found.append(Reading(garbled=garbled))
                continue
            lost = [part for part in compared if part[0].mark == LOST]
            found.append(
                Reading(
                    garbled=garbled,
                    added=_joined(report.rewrite, [part for part in compared if part[0].mark == ADDED], ADDED, kept),
                    lost=_joined(report.source, lost, LOST, rendered) if lost else None,
                )
            )
        return found

    def _language_jobs(self, number: int, rewrite: Sentences) -> Iterable[_Job]:
        lengths = self._lengths(rewrite)
        for block in _blocks(lengths, MAX_TOKENS - 8):
            start, end = rewrite.window(block[0], block[-1])
            spans = [(a - start, b - start) for a, b in (rewrite.spans[i] for i in block)]
            entry = self._encoding.encode(rewrite.text[start:end], None, spans)
            yield _Job(number, GARBLED, tuple(block), entry, start)

    def _pair_jobs(self, number: int, report: SentenceReport, find_lost: bool) -> Iterable[_Job]:
        source, rewrite = report.source, report.rewrite
        ours, theirs = self._lengths(rewrite), self._lengths(source)
        if sum(ours) + sum(theirs) <= MAX_TOKENS - 12:
            entry = self._input(rewrite, range(len(ours)), source, range(len(theirs)))
            # The same input twice: it is run once.
            yield _Job(number, ADDED, tuple(range(len(ours))), entry, rewrite.spans[0][0])
            if find_lost:
                yield _Job(number, LOST, tuple(range(len(theirs))), entry, source.spans[0][0])
            return
        for block in _blocks(ours, BLOCK_TOKENS):
            nearest = _context(report.support, block, theirs)
            entry = self._input(rewrite, block, source, nearest)
            yield _Job(number, ADDED, tuple(block), entry, rewrite.spans[block[0]][0])
        for block in _blocks(theirs, BLOCK_TOKENS) if find_lost else ():
            nearest = _context(report.coverage, block, ours)
            entry = self._input(rewrite, nearest, source, block)
            yield _Job(number, LOST, tuple(block), entry, source.spans[block[0]][0])

    def _input(self, rewrite: Sentences, ours: Sequence[int], source: Sentences, theirs: Sequence[int]) -> ReaderInput:
        rewrite_text, rewrite_spans = _excerpt(rewrite, ours)
        source_text, source_spans = _excerpt(source, theirs)
        return self._encoding.encode(rewrite_text, source_text, rewrite_spans, source_spans)

    def _lengths(self, side: Sentences) -> list[int]:
        return self._encoding.n_tokens([side[i] for i in range(len(side.spans))]) if side.spans else []

    def _run(self, inputs: Sequence[ReaderInput]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Probabilities for each input: of tokens (tokens, marks) and of sentences (sentences, marks)."""
        import torch

        distinct = sorted(set(inputs), key=lambda entry: len(entry.ids))
        found: dict[ReaderInput, tuple[np.ndarray, np.ndarray]] = {}
        with torch.inference_mode():
            while distinct:
                size = max(1, min(len(distinct), BATCH_TOKENS // len(distinct[-1].ids)))
                batch, distinct = distinct[-size:], distinct[:-size]
                tokens, sentences = self._network(*batch_tensors(batch, self._pad))
                first = 0
                for row, entry in enumerate(batch):
                    mine = sentences[first : first + len(entry.sentences)].sigmoid().numpy()
                    first += len(entry.sentences)
                    found[entry] = tokens[row, : len(entry.ids)].sigmoid().numpy(), mine
        return [found[entry] for entry in inputs]


def _excerpt(side: Sentences, chosen: Sequence[int]) -> tuple[str, list[Span]]:
    """The chosen sentences as one text, as they stand where they follow each other, and their spans in it."""
    if not chosen:
        return "", []
    if list(chosen) == list(range(chosen[0], chosen[-1] + 1)):
        start, end = side.window(chosen[0], chosen[-1])
        return side.text[start:end], [(a - start, b - start) for a, b in side.spans[chosen[0] : chosen[-1] + 1]]
    text, spans = "", []
    for i in chosen:
        text += " " if text else ""
        spans.append((len(text), len(text) + len(side[i])))
        text += side[i]
    return text, spans


def _blocks(lengths: Sequence[int], at_most: int) -> list[list[int]]:
    """Runs of consecutive sentences of at most so many tokens; a longer sentence is a block of its own."""
    blocks: list[list[int]] = []
    used = 0
    for i, length in enumerate(lengths):
        if not blocks or used + length > at_most:
            blocks.append([])
            used = 0
        blocks[-1].append(i)
        used += length
    return blocks


def _context(matches: Sequence[Match], block: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """The sentences of the other side nearest to those of the block, then their neighbours, while they fit."""
    mine = [match for match in matches if match.sentence in block]
    wanted = [i for match in mine for i in range(match.first, match.last + 1)]
    for distance in (1, 2):
        for match in mine:
            wanted += [match.first - distance, match.last + distance]
    chosen: set[int] = set()
    used = 0
    for i in dict.fromkeys(wanted or range(len(lengths))):
        if 0 <= i < len(lengths) and used + lengths[i] <= CONTEXT_TOKENS:
            chosen.add(i)
            used += lengths[i]
    return sorted(chosen)


def _standing_in(side: Sentences, other: Sentences) -> set[int]:
    """The sentences of one side that stand in the other word for word: nothing is added, lost or garbled there.

    Without it, a sentence that rests on one before it, or a source that is itself badly written, may be marked.
    """
    text = f" {' '.join(_WORD.findall(other.text.casefold()))} "
    words = {i: _WORD.findall(side[i].casefold()) for i in range(len(side.spans))}
    return {i for i, found in words.items() if len(found) >= MIN_WORDS and f" {' '.join(found)} " in text}


def _joined(
    side: Sentences, parts: Sequence[tuple[_Job, np.ndarray, np.ndarray]], mark: int, unmarked: set[int]
) -> Marks:
    """The marks of all parts as those of one text; the sentences `unmarked` have none."""
    spans: list[Span] = []
    values: list[float] = []
    of_sentences = np.zeros(len(side.spans))
    is_unmarked = np.zeros(len(side.text), dtype=bool)  # of each character
    for sentence in unmarked:
        is_unmarked[slice(*side.spans[sentence])] = True
    for job, tokens, sentences in parts:
        entry = job.entry
        in_source = mark == LOST
        places = entry.source_spans if in_source else entry.rewrite_spans
        first = entry.source_first if in_source else REWRITE_FIRST
        for i, (start, end) in enumerate(places):
            span = job.offset + start, job.offset + end
            spans.append(span)
            values.append(0.0 if is_unmarked[slice(*span)].any() else float(tokens[first + i, mark]))
        n_before = len(entry.sentences) - len(job.sentences) if in_source else 0
        for i, sentence in enumerate(job.sentences):
            of_sentences[sentence] = sentences[n_before + i, mark]
    of_sentences[list(unmarked)] = 0.0
    return Marks(spans=tuple(spans), tokens=np.array(values), sentences=of_sentences)

"""Rewrite one part of a corpus and commit it.

Each document is a chain, so the engine is kept busy by many documents at once. Within a part the longest chains start
first, and as soon as the last one has started the next part may begin: no part's tail leaves the engine idle.
"""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rephrase.chunking import chunk_document
from rephrase.engine import EngineError
from rephrase.journal import Entry, Journal, Key
from rephrase.language import detect_language
from rephrase.plan import Part, Plan, read_part
from rephrase.reading import ReadOptions
from rephrase.recipes import Recipe, draw_variants
from rephrase.records import (
    Check,
    Chunk,
    ChunkRewrite,
    Completion,
    Document,
    Rewrite,
    UnreadableRecord,
    Variant,
    Verdict,
)
from rephrase.rewriting import Checker, Tools, rewrite_document
from rephrase.routing import Route, route_document
from rephrase.rows import (
    ModelInfo,
    Row,
    refused_variant_row,
    reject_rows,
    rewrite_row,
    stitch,
    unchanged_row,
    unreadable_row,
)
from rephrase.shards import commit_part
from rephrase.storage import Storage


class Admission:
    """How many chains are under way at once, over all parts."""

    def __init__(self, n_in_flight: int) -> None:
        self._slots = asyncio.Semaphore(n_in_flight)
        self._all_started: dict[int, asyncio.Event] = {}

    async def acquire(self) -> None:
        await self._slots.acquire()

    def release(self) -> None:
        self._slots.release()

    def all_started(self, part: int) -> asyncio.Event:
        """Set when a part has no chain left to start: from then on the next part may begin."""
        return self._all_started.setdefault(part, asyncio.Event())


@dataclass(slots=True)
class Progress:
    """Live counts of a run, and notes to the user, read by whoever shows them."""

    n_records: int = 0
    n_records_done: int = 0
    n_documents_accepted: int = 0
    n_bytes: int = 0  # of source text, once for each variant
    n_bytes_done: int = 0
    n_chunks_accepted: int = 0
    n_chunks_rejected: int = 0
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    n_cached_tokens: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """All that rewriting a part needs besides its documents."""

    storage: Storage
    plan: Plan
    read_options: ReadOptions
    recipes: Mapping[str, Recipe]
    recipe_choice: str
    n_variants: int
    tools: Tools
    near_duplicates: Callable[[Sequence[str]], dict[int, tuple[int, str]]]
    admission: Admission
    progress: Progress

    @property
    def info(self) -> ModelInfo:
        info = self.tools.engine.info
        return ModelInfo(model=info.model, model_revision=info.model_revision, engine=info.engine, seed=self.tools.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One variant of one document still to be written, along its route."""

    key: Key
    document: Document
    route: Route
    variant: Variant
    chunks: list[Chunk]  # of the document, for the first recipe of the route


async def run_part(part: Part, workshop: Workshop) -> Row:
    """Rewrite what the journal does not have yet, commit the part and return its commit.

    Raises:
        EngineError: the engine no longer answers; what was finished is in the journal.
    """
    started_at = time.time()
    journal = Journal(workshop.storage, part.index)
    entries = await asyncio.to_thread(journal.read)
    # Generated before this session, so they do not count for its speed.
    n_tokens_resumed = sum(entry.n_completion_tokens for entry in entries.values())
    records = await asyncio.to_thread(_read, part, workshop)
    chains = await asyncio.to_thread(_open_chains, records, entries, workshop)
    n_open = Counter(chain.key[0] for chain in chains)
    open_bytes = sum(len(chain.document.text.encode()) for chain in chains)
    workshop.progress.n_bytes_done += part.n_bytes * workshop.n_variants - open_bytes
    for position in range(len(records)):
        if not n_open[position]:
            _count_record(position, entries, workshop)
    try:
        async with asyncio.TaskGroup() as group:
            for chain in sorted(chains, key=lambda chain: -len(chain.chunks)):
                await workshop.admission.acquire()
                group.create_task(_run_chain(chain, journal, entries, n_open, workshop))
            workshop.admission.all_started(part.index).set()
    except* EngineError as errors:
        raise errors.exceptions[0] from None
    commit = await asyncio.to_thread(_commit, part, records, entries, workshop, started_at, n_tokens_resumed)
    await asyncio.to_thread(journal.remove)
    return commit


def _read(part: Part, workshop: Workshop) -> list[Document | UnreadableRecord]:
    return [
        record
        if isinstance(record, UnreadableRecord)
        else dataclasses.replace(record, detected_language=detect_language(record.text))
        for record in read_part(workshop.plan, part, workshop.read_options)
    ]


def _open_chains(
    records: Sequence[Document | UnreadableRecord], entries: Mapping[Key, Entry], workshop: Workshop
) -> list[Chain]:
    chains = []
    for position, document in enumerate(records):
        if isinstance(document, UnreadableRecord):
            continue
        route = route_document(document, workshop.recipe_choice)
        if not route:
            continue
        open_variants = [
            variant
            for variant in draw_variants(
                workshop.recipes[route[-1]], document.id, workshop.n_variants, workshop.tools.seed
            )
            if (position, variant.index) not in entries
        ]
        if open_variants:
            first = workshop.recipes[route[0]]
            chunks = chunk_document(document, workshop.tools.tokenizer, first.chunk_tokens)
            chains += [
                Chain(key=(position, variant.index), document=document, route=route, variant=variant, chunks=chunks)
                for variant in open_variants
            ]
    return chains


async def _run_chain(
    chain: Chain, journal: Journal, entries: dict[Key, Entry], n_open: Counter[int], workshop: Workshop
) -> None:
    try:
        entry = await _follow_route(chain, workshop)
        await asyncio.to_thread(journal.write, chain.key, entry)
    finally:
        workshop.admission.release()
    entries[chain.key] = entry
    position = chain.key[0]
    n_open[position] -= 1
    if not n_open[position]:
        _count_record(position, entries, workshop)


async def _follow_route(chain: Chain, workshop: Workshop) -> Entry:
    """Through all recipes of the route, or until one of them accepts nothing."""
    progress, info = workshop.progress, workshop.info
    document, chunks = chain.document, chain.chunks
    steps: list[tuple[Rewrite, Recipe]] = []
    rejects: list[Row] = []
    for number, name in enumerate(chain.route):
        recipe, last = workshop.recipes[name], number == len(chain.route) - 1

        def count_chunk(part: ChunkRewrite, weight: int = number) -> None:
            # The bytes of a document count once, in its first step.
            progress.n_bytes_done += len(part.chunk.text.encode()) if weight == 0 else 0
            progress.n_chunks_accepted += part.verdict.accepted
            progress.n_chunks_rejected += not part.verdict.accepted

        variant = chain.variant if last else draw_variants(recipe, document.id, 1, workshop.tools.seed)[0]
        tools = dataclasses.replace(workshop.tools, check=_counting(workshop.tools.check, progress))
        rewrite = await rewrite_document(document, chunks, variant, recipe, tools, count_chunk)
        steps.append((rewrite, recipe))
        rejects += reject_rows(chain.document, rewrite, recipe, info)
        text = stitch(rewrite)
        if last or not text:
            break
        document = dataclasses.replace(document, text=text, language="en", detected_language="en")
        next_recipe = workshop.recipes[chain.route[number + 1]]
        chunks = await asyncio.to_thread(chunk_document, document, workshop.tools.tokenizer, next_recipe.chunk_tokens)
    complete = len(steps) == len(chain.route)
    written = [part for rewrite, _ in steps for part in rewrite.chunks]
    return Entry(
        rewrite=rewrite_row(chain.document, steps, info) if complete else None,
        rejects=rejects,
        n_chunks=len(written),
        n_prompt_tokens=sum(part.n_prompt_tokens for part in written),
        n_completion_tokens=sum(part.n_completion_tokens for part in written),
        n_cached_tokens=sum(part.n_cached_tokens for part in written),
    )


def _counting(check: Checker, progress: Progress) -> Checker:
    """The check, which also counts the tokens of what it is shown."""

    async def counting(chunk: Chunk, completion: Completion, checks: Collection[Check]) -> Verdict:
        progress.n_prompt_tokens += completion.n_prompt_tokens
        progress.n_completion_tokens += completion.n_completion_tokens
        progress.n_cached_tokens += completion.n_cached_tokens
        return await check(chunk, completion, checks)

    return counting


def _count_record(position: int, entries: Mapping[Key, Entry], workshop: Workshop) -> None:
    workshop.progress.n_records_done += 1
    keys = [(position, variant) for variant in range(workshop.n_variants)]
    if any(key in entries and entries[key].rewrite for key in keys):
        workshop.progress.n_documents_accepted += 1


def _commit(
    part: Part,
    records: Sequence[Document | UnreadableRecord],
    entries: Mapping[Key, Entry],
    workshop: Workshop,
    started_at: float,
    n_tokens_resumed: int,
) -> Row:
    """Rows in the order of the corpus, however the chains finished."""
    rewrites: list[Row] = []
    rejects: list[Row] = []
    n_accepted = 0
    for position, record in enumerate(records):
        if isinstance(record, UnreadableRecord):
            rejects.append(unreadable_row(record))
            continue
        if not route_document(record, workshop.recipe_choice):
            n_tokens = len(workshop.tools.tokenizer.starts(record.text))
            kept = [unchanged_row(record, n_tokens, workshop.info)]
            refused: list[Row] = []
        else:
            found = [entries[key] for key in sorted(entries) if key[0] == position]
            kept, refused = _different([entry.rewrite for entry in found if entry.rewrite], workshop)
            rejects += [row for entry in found for row in entry.rejects]
        rewrites += kept
        rejects += refused
        n_accepted += bool(kept)
    return commit_part(
        workshop.storage,
        part.index,
        rewrites,
        rejects,
        n_records=len(records),
        n_documents_accepted=n_accepted,
        n_documents_rejected=len(records) - n_accepted,
        n_chunks=sum(entry.n_chunks for entry in entries.values()),
        n_chunks_accepted=sum(entry.n_chunks - len(entry.rejects) for entry in entries.values()),
        n_prompt_tokens=sum(entry.n_prompt_tokens for entry in entries.values()),
        n_completion_tokens=sum(entry.n_completion_tokens for entry in entries.values()),
        n_cached_tokens=sum(entry.n_cached_tokens for entry in entries.values()),
        n_tokens_resumed=n_tokens_resumed,
        started_at=started_at,
        ended_at=time.time(),
    )


def _different(variants: list[Row], workshop: Workshop) -> tuple[list[Row], list[Row]]:
    """The variants of a document that differ, and a reject row for each that repeats an earlier one."""
    if len(variants) < 2:
        return variants, []
    repeated = workshop.near_duplicates([row["text"] for row in variants])
    return (
        [row for i, row in enumerate(variants) if i not in repeated],
        [
            refused_variant_row(variants[i], "near_duplicate", f"of variant {variants[of]['variant']}: {seen}")
            for i, (of, seen) in repeated.items()
        ],
    )

"""Rewrite one part of a corpus and commit it.

Each document is a chain, so the engine is kept busy by many documents at once. Within a part the longest chains start
first, and as soon as the last one has started the next part may begin: no part's tail leaves the engine idle.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rephrase.chunking import chunk_document
from rephrase.engine import Engine, EngineError
from rephrase.journal import Entry, Journal, Key
from rephrase.plan import Part, Plan, read_part
from rephrase.reading import ReadOptions
from rephrase.recipes import Recipe, draw_variants
from rephrase.records import Chunk, ChunkRewrite, Completion, Document, UnreadableRecord, Variant, Verdict
from rephrase.rewriting import Check, rewrite_document
from rephrase.rows import Provenance, Row, reject_rows, rewrite_row, unreadable_row
from rephrase.shards import commit_part
from rephrase.storage import Storage
from rephrase.tokenizer import Tokenizer


class Admission:
    """How many chains are under way at once, over all parts."""

    def __init__(self, n_in_flight: int) -> None:
        self.n_in_flight = n_in_flight
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
    """Live counts of a run, read by whoever shows them."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """All that rewriting needs besides the documents."""

    storage: Storage
    plan: Plan
    read_options: ReadOptions
    recipe: Recipe
    n_variants: int
    n_retries: int
    seed: int
    engine: Engine
    tokenizer: Tokenizer
    check: Check
    admission: Admission
    progress: Progress

    def provenance(self) -> Provenance:
        info, recipe = self.engine.info, self.recipe
        return Provenance(
            model=info.model,
            model_revision=info.model_revision,
            engine=info.engine,
            recipe_version=recipe.version,
            prompt_hash=recipe.prompt_hash,
            temperature=recipe.sampling.temperature,
            top_p=recipe.sampling.top_p,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One variant of one document still to be written."""

    key: Key
    document: Document
    variant: Variant
    chunks: list[Chunk]


async def run_part(part: Part, workshop: Workshop) -> Row:
    """Rewrite what the journal does not have yet, commit the part and return its commit.

    Raises:
        EngineError: the engine no longer answers; what was finished is in the journal.
    """
    started_at = time.time()
    journal = Journal(workshop.storage, part.index)
    entries = await asyncio.to_thread(journal.read)
    n_resumed = len(entries)
    records = await asyncio.to_thread(lambda: list(read_part(workshop.plan, part, workshop.read_options)))
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
    commit = await asyncio.to_thread(_commit, part, records, entries, workshop, started_at, n_resumed)
    await asyncio.to_thread(journal.remove)
    return commit


def _open_chains(
    records: Sequence[Document | UnreadableRecord], entries: Mapping[Key, Entry], workshop: Workshop
) -> list[Chain]:
    chains = []
    for position, document in enumerate(records):
        if isinstance(document, UnreadableRecord):
            continue
        open_variants = [
            variant
            for variant in draw_variants(workshop.recipe, document.id, workshop.n_variants, workshop.seed)
            if (position, variant.index) not in entries
        ]
        if open_variants:
            chunks = chunk_document(document, workshop.tokenizer, workshop.recipe.chunk_tokens)
            chains += [
                Chain(key=(position, variant.index), document=document, variant=variant, chunks=chunks)
                for variant in open_variants
            ]
    return chains


async def _run_chain(
    chain: Chain, journal: Journal, entries: dict[Key, Entry], n_open: Counter[int], workshop: Workshop
) -> None:
    progress = workshop.progress

    def count_chunk(part: ChunkRewrite) -> None:
        progress.n_bytes_done += len(part.chunk.text.encode())
        progress.n_chunks_accepted += part.verdict.accepted
        progress.n_chunks_rejected += not part.verdict.accepted

    async def check(chunk: Chunk, completion: Completion) -> Verdict:
        progress.n_prompt_tokens += completion.n_prompt_tokens
        progress.n_completion_tokens += completion.n_completion_tokens
        progress.n_cached_tokens += completion.n_cached_tokens
        return await workshop.check(chunk, completion)

    try:
        rewrite = await rewrite_document(
            chain.document,
            chain.chunks,
            chain.variant,
            workshop.recipe,
            engine=workshop.engine,
            tokenizer=workshop.tokenizer,
            check=check,
            on_chunk=count_chunk,
            n_retries=workshop.n_retries,
            seed=workshop.seed,
        )
        provenance = workshop.provenance()
        entry = Entry(rewrite=rewrite_row(rewrite, provenance), rejects=reject_rows(rewrite, provenance))
        await asyncio.to_thread(journal.write, chain.key, entry)
    finally:
        workshop.admission.release()
    entries[chain.key] = entry
    position = chain.key[0]
    n_open[position] -= 1
    if not n_open[position]:
        _count_record(position, entries, workshop)


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
    n_resumed: int,
) -> Row:
    """Rows in the order of the corpus, however the chains finished."""
    finished = [entries[key] for key in sorted(entries)]
    rewrites = [entry.rewrite for entry in finished if entry.rewrite]
    refused = [row for entry in finished for row in entry.rejects]
    unreadable = [unreadable_row(record) for record in records if isinstance(record, UnreadableRecord)]
    accepted = {position for (position, _), entry in entries.items() if entry.rewrite}
    return commit_part(
        workshop.storage,
        part.index,
        rewrites,
        unreadable + refused,
        n_records=len(records),
        n_documents_accepted=len(accepted),
        n_documents_rejected=len(records) - len(accepted),
        n_chunks=sum(row["n_chunks"] for row in rewrites) + _n_chunks_of_rejected(entries),
        n_chunks_accepted=sum(row["n_chunks_accepted"] for row in rewrites),
        n_prompt_tokens=_total("n_prompt_tokens", entries),
        n_completion_tokens=_total("n_completion_tokens", entries),
        n_cached_tokens=_total("n_cached_tokens", entries),
        n_chains_resumed=n_resumed,
        started_at=started_at,
        ended_at=time.time(),
    )


def _n_chunks_of_rejected(entries: Mapping[Key, Entry]) -> int:
    return sum(len(entry.rejects) for entry in entries.values() if not entry.rewrite)


def _total(column: str, entries: Mapping[Key, Entry]) -> int:
    """Of all attempts: a rewrite's row counts its refused chunks too, so these are counted only where there is none."""
    return sum(
        entry.rewrite[column] if entry.rewrite else sum(row[column] for row in entry.rejects)
        for entry in entries.values()
    )

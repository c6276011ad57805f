"""Rewrite one part of a corpus and commit it.

Each variant of a document is a chain, whose chunks are written in order unless no prompt shows the text so far. The
chains of a part wait in the scheduler's queue together with those of the other open parts; when the last one ends, the
part is committed.
"""

import asyncio
import dataclasses
import functools
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rephrase.completion_cache import CompletionCache
from rephrase.corpus.chunking import chunk_document
from rephrase.corpus.language import likely_language
from rephrase.dataset.journal import Entry, Journal, Key
from rephrase.dataset.plan import Part
from rephrase.dataset.rows import (
    ModelInfo,
    Row,
    reject_rows,
    rejected_variant_row,
    rewrite_row,
    rewritten_share,
    stitch,
    unchanged_row,
    unreadable_row,
)
from rephrase.dataset.shards import commit_part, read_commit
from rephrase.engines.engine import EngineError
from rephrase.progress import Progress
from rephrase.prompting.recipes import Recipe
from rephrase.prompting.routing import Route, route_document
from rephrase.records import (
    Chunk,
    ChunkRewrite,
    Document,
    Rewrite,
    UnreadableRecord,
    Variant,
    digest,
)
from rephrase.rewriting import RewriteTools, rewrite_document
from rephrase.run_context import RunContext
from rephrase.scheduling.cost import total_usage
from rephrase.scheduling.scheduler import ChainNotStartedError, DocumentState, ScheduledEngine, SchedulingSlot

# The key, in the usage by recipe, of documents that are left unchanged.
UNCHANGED = "unchanged"
# The reject reason of a variant that says nearly the same as an earlier one of its document.
NEAR_DUPLICATE = "near_duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One variant of one document that is still to be written, along its route."""

    key: Key
    document: Document
    route: Route
    variant: Variant
    chunks: list[Chunk]  # of the document, for the first recipe of the route


async def run_part(part: Part, run: RunContext) -> Row | None:
    """Rewrite what is not in the journal yet, commit the part and return its commit.

    When the scheduler closes before all chains have started, the finished documents are committed and the rest is left
    for another run. Returns None when nothing is finished.

    Raises:
        EngineError: the engine no longer answers; finished work is in the journal.
    """
    started_at = time.time()
    journal = Journal(run.storage, part.index)
    committed = await asyncio.to_thread(
        read_commit, run.storage, part.index
    )  # exists if a target was reached within it
    records = await asyncio.to_thread(_read, part, run)
    entries = await asyncio.to_thread(journal.read_own, records)
    chains = await asyncio.to_thread(_open_chains, records, entries, run)
    n_open = Counter(chain.key[0] for chain in chains)
    _count_opened(part, records, chains, entries, n_open, run, committed)
    scheduler = run.scheduler
    due = scheduler.register_part(sum(_n_chunks(chain) for chain in chains))
    slots: defaultdict[int, DocumentState] = defaultdict(DocumentState)
    for position, _ in entries:
        slots[position].started = True
    try:
        async with asyncio.TaskGroup() as group:
            for chain in sorted(chains, key=_n_chunks, reverse=True):
                slot = SchedulingSlot(due=due, n_left=_n_chunks(chain), document=slots[chain.key[0]])
                group.create_task(_run_chain(part, chain, slot, journal, entries, n_open, run))
            scheduler.part_opened(part.index).set()
    except* EngineError as errors:
        raise errors.exceptions[0] from None
    left = {position for position, n_chains in n_open.items() if n_chains}
    if left and not entries:
        return None
    slot_s, idle_slot_s = scheduler.take_slot_seconds()
    session = {
        "n_tokens_resumed": journal.n_tokens_resumed,
        "n_engine_restarts": run.progress.take_engine_restarts(),
        "slot_s": slot_s,
        "idle_slot_s": idle_slot_s,
        "started_at": started_at,
    }
    commit = await asyncio.to_thread(_commit, part, records, entries, left, run, session)
    if not left:
        await asyncio.to_thread(journal.remove)
    return commit


def _n_chunks(chain: Chain) -> int:
    # A later recipe chunks what the previous one wrote, which is about as long.
    return len(chain.chunks) * len(chain.route)


def _read(part: Part, run: RunContext) -> list[Document | UnreadableRecord]:
    """Read a part. Call it in a thread: it takes as long as several engine steps."""
    return [
        record
        if isinstance(record, UnreadableRecord)
        else dataclasses.replace(record, detected_language=likely_language(record.text))
        for record in run.reader.read(part)
    ]


def _open_chains(
    records: Sequence[Document | UnreadableRecord], entries: Mapping[Key, Entry], run: RunContext
) -> list[Chain]:
    """What is not in the journal, chunked. Call it in a thread, too."""
    chains = []
    for position, document in enumerate(records):
        if isinstance(document, UnreadableRecord):
            continue
        route = route_document(document, run.recipe_choice)
        if not route:
            continue
        open_variants = [
            variant
            for variant in run.draw_variants(run.recipes[route[-1]], document.id, run.n_variants)
            if (position, variant.index) not in entries
        ]
        if open_variants:
            first = run.recipes[route[0]]
            chunks = _chunks(document, first, run)
            chains += [
                Chain(key=(position, variant.index), document=document, route=route, variant=variant, chunks=chunks)
                for variant in open_variants
            ]
    return chains


def _chunks(document: Document, recipe: Recipe, run: RunContext) -> list[Chunk]:
    return chunk_document(document, run.tools.tokenizer, recipe.chunk_tokens, recipe.unit)


def _count_opened(
    part: Part,
    records: Sequence[Document | UnreadableRecord],
    chains: Sequence[Chain],
    entries: Mapping[Key, Entry],
    n_open: Counter[int],
    run: RunContext,
    committed: Row | None,
) -> None:
    """Count what earlier runs have finished of a part from its journal, in place of their commit of it."""
    progress = run.progress
    if committed:
        progress.count_part(part, run.n_variants, committed, sign=-1)
    open_bytes = sum(len(chain.document.text.encode()) for chain in chains)
    progress.n_bytes_done += part.n_bytes * run.n_variants - open_bytes
    # All variants of a document have the rows of the same earlier steps, which are committed once.
    rows = {row["id"]: row for entry in entries.values() for row in entry.rewrites}
    n_tokens = sum(row["n_tokens"] for row in rows.values())
    progress.n_tokens += n_tokens
    progress.cost += sum(entry.cost for entry in entries.values())
    progress.count_chunks(
        sum(entry.n_chunks for entry in entries.values()), sum(entry.n_chunks_accepted for entry in entries.values())
    )
    run.target.set_part(part.index, n_tokens - _n_repeated_tokens(committed))
    for position in range(len(records)):
        if not n_open[position]:
            _count_record(position, entries, run)


def _n_repeated_tokens(commit: Row | None) -> int:
    """The tokens of variants that are in the journal but repeat others, as their commit found: they do not count."""
    found = commit.get("by_recipe", []) if commit else []
    return sum(row["n_tokens"] for row in found if row["outcome"] == NEAR_DUPLICATE)


async def _run_chain(
    part: Part,
    chain: Chain,
    slot: SchedulingSlot,
    journal: Journal,
    entries: dict[Key, Entry],
    n_open: Counter[int],
    run: RunContext,
) -> None:
    async def work() -> Entry:
        engine = ScheduledEngine(run.tools.engine.info, run.scheduler, slot)
        cache = CompletionCache(engine, journal, chain.key, run.progress.count_tokens)
        await cache.load()
        entry = await _follow_route(part, chain, slot, cache, run)
        await cache.settle()  # the entry takes the place of what is saved
        await _write_entry(chain, entry, journal, run.progress)
        journal.n_tokens_resumed += cache.n_tokens_resumed
        # Before the next chain is chosen: whether one may start depends on what is finished.
        run.target.finish_chain(part.index, chain.key, entry.n_tokens)
        return entry

    try:
        entry = await run.scheduler.run_chain(slot, work)
    except ChainNotStartedError:
        return
    entries[chain.key] = entry
    run.progress.n_tokens += entry.n_tokens
    run.progress.cost += entry.cost
    position = chain.key[0]
    n_open[position] -= 1
    if not n_open[position]:
        _count_record(position, entries, run)


async def _write_entry(chain: Chain, entry: Entry, journal: Journal, progress: Progress) -> None:
    progress.n_journal_pending += 1
    began = time.monotonic()
    try:
        await asyncio.to_thread(journal.write, chain.key, entry)
    finally:
        progress.n_journal_pending -= 1
        progress.journal_s += time.monotonic() - began
    progress.n_journal_entries += 1


async def _follow_route(
    part: Part, chain: Chain, slot: SchedulingSlot, engine: CompletionCache, run: RunContext
) -> Entry:
    """Apply all recipes of the route, stopping early if one of them accepts nothing."""
    progress, scheduler, info = run.progress, run.scheduler, run.model_info
    tools = dataclasses.replace(
        run.tools,
        engine=engine,
        spare_slot=functools.partial(scheduler.wait_for_spare_slot, slot),
    )
    document, chunks = chain.document, chain.chunks
    steps: list[tuple[Rewrite, Recipe]] = []
    rejects: list[Row] = []
    for number, name in enumerate(chain.route):
        recipe, last = run.recipes[name], number == len(chain.route) - 1

        def count_chunk(
            written: ChunkRewrite, number: int = number, is_output: bool = last or recipe.keep_step
        ) -> None:
            # The bytes of a document count once, in the first step.
            progress.n_bytes_done += len(written.chunk.text.encode()) if number == 0 else 0
            run.target.add_chunk(part.index, chain.key, written.n_final_tokens if is_output else 0)
            scheduler.set_chunks_left(slot, max(0, slot.n_left - 1))
            progress.n_chunks_accepted += written.verdict.accepted
            progress.n_chunks_rejected += not written.verdict.accepted

        variant = chain.variant if last else run.draw_variants(recipe, document.id, 1)[0]
        rewrite = await rewrite_document(document, chunks, variant, recipe, tools, count_chunk)
        steps.append((rewrite, recipe))
        rejects += reject_rows(chain.document, rewrite, recipe, info)
        rejected = tools.on_reject == "document" and bool(rewrite.chunks) and not rewrite.chunks[-1].verdict.accepted
        text = stitch(rewrite)
        if last or rejected or not text or rewritten_share(rewrite) < tools.min_rewritten_share:
            break
        document = dataclasses.replace(document, text=text)
        if recipe.translates:
            document = dataclasses.replace(document, language="en", detected_language="en")
        next_recipe = run.recipes[chain.route[number + 1]]
        chunks = await asyncio.to_thread(_chunks, document, next_recipe, run)
        scheduler.set_chunks_left(slot, len(chunks) * (len(chain.route) - number - 1))
    rows = []
    for end, (_, recipe) in enumerate(steps, 1):
        if recipe.keep_step or end == len(steps):
            rows += _row_or_reject(chain.document, steps[:end], tools, info, rejects)
    is_whole = bool(rows) and rows[-1]["recipe"] == "+".join(chain.route)
    whole = rows.pop() if is_whole else None
    written = [chunk for rewrite, _ in steps for chunk in rewrite.chunks]
    last_chunks = steps[-1][0].chunks
    usage = engine.usage  # with what was written ahead and then not needed
    return Entry(
        rewrite=whole,
        kept=rows,
        rejects=rejects,
        n_source_tokens=sum(last.chunk.n_tokens for last in last_chunks),
        n_source_tokens_rewritten=sum(last.chunk.n_tokens for last in last_chunks if whole and last.verdict.accepted),
        n_chunks=len(written),
        **dataclasses.asdict(usage),
        route="+".join(chain.route),
        document_id=chain.document.id,
        text=digest(chain.document.text),
        engine_s=slot.engine_s,
        cost=run.prices.cost(
            engine_s=slot.engine_s,
            n_prompt_tokens=usage.n_prompt_tokens,
            n_completion_tokens=usage.n_completion_tokens,
        ),
    )


def _row_or_reject(
    document: Document,
    steps: Sequence[tuple[Rewrite, Recipe]],
    tools: RewriteTools,
    info: ModelInfo,
    rejects: list[Row],
) -> list[Row]:
    """The row of these steps, if there is one; a document that is rejected as a whole is added to `rejects`."""
    row = rewrite_row(document, steps, info)
    if row is None:
        return []
    rewrite = steps[-1][0]
    share = min(rewritten_share(step) for step, _ in steps)
    if tools.on_reject == "document" and not rewrite.chunks[-1].verdict.accepted:
        rejects.append(rejected_variant_row(row, "chunk_refused", f"chunk {rewrite.chunks[-1].chunk.index}"))
        return []
    if share < tools.min_rewritten_share:
        detail = f"{share:.0%} of the source tokens were rewritten; {tools.min_rewritten_share:.0%} are required"
        rejects.append(rejected_variant_row(row, "incomplete", detail, "document"))
        return []
    return [row]


def _count_record(position: int, entries: Mapping[Key, Entry], run: RunContext) -> None:
    run.progress.n_records_done += 1
    keys = [(position, variant) for variant in range(run.n_variants)]
    if any(key in entries and entries[key].rewrites for key in keys):
        run.progress.n_documents_accepted += 1


def _commit(
    part: Part,
    records: Sequence[Document | UnreadableRecord],
    entries: Mapping[Key, Entry],
    left: Collection[int],
    run: RunContext,
    session: Row,
) -> Row:
    """Commit the rows in corpus order, whatever the order in which chains finished, without the records in `left`.

    `session` holds what the commit says of the session that writes it, besides the end of the part.
    """
    found: defaultdict[int, list[Entry]] = defaultdict(list)
    for position, variant in sorted(entries):
        if position not in left:
            found[position].append(entries[position, variant])
    rewrites: list[Row] = []
    rejects: list[Row] = []
    n_accepted = 0
    for position, record in enumerate(records):
        if position in left:
            continue
        if isinstance(record, UnreadableRecord):
            rejects.append(unreadable_row(record))
            continue
        if not route_document(record, run.recipe_choice):
            n_tokens = len(run.tools.tokenizer.token_starts(record.text))
            kept = [unchanged_row(record, n_tokens, run.model_info)]
            duplicates: list[Row] = []
        else:
            # All variants of a document are made from the same earlier steps, which are written once.
            earlier = {row["id"]: row for entry in found[position] for row in entry.kept}
            kept, duplicates = _distinct([entry.rewrite for entry in found[position] if entry.rewrite], run)
            kept = [*earlier.values(), *kept]
            rejects += [row for entry in found[position] for row in entry.rejects]
        rewrites += kept
        rejects += duplicates
        n_accepted += bool(kept)
    usage_by_route = _usage([entry for done in found.values() for entry in done], rewrites)
    usage = total_usage(usage_by_route.values())
    return commit_part(
        run.storage,
        part.index,
        rewrites,
        rejects,
        n_records=len(records) - len(left),
        n_records_left=len(left),
        n_documents_accepted=n_accepted,
        n_documents_rejected=len(records) - len(left) - n_accepted,
        **{name: usage[name] for name in usage if name not in ("n_rewrites", "n_tokens")},
        usage=usage_by_route,
        ids=part.ids,
        texts=part.texts,
        **session,
        ended_at=time.time(),
    )


def _usage(entries: Sequence[Entry], rewrites: Sequence[Row]) -> dict[str, Row]:
    """What each recipe, or route of recipes, consumed and produced."""
    usage: defaultdict[str, list[Row]] = defaultdict(list)
    for entry in entries:
        usage[entry.route].append(
            {
                "n_chunks": entry.n_chunks,
                "n_chunks_accepted": entry.n_chunks_accepted,
                "n_source_tokens": entry.n_source_tokens,
                "n_source_tokens_rewritten": entry.n_source_tokens_rewritten,
                "n_prompt_tokens": entry.n_prompt_tokens,
                "n_completion_tokens": entry.n_completion_tokens,
                "n_cached_tokens": entry.n_cached_tokens,
                "engine_s": entry.engine_s,
                "cost": entry.cost,
            }
        )
    for row in rewrites:
        usage[row.get("recipe") or UNCHANGED].append({"n_rewrites": 1, "n_tokens": row["n_tokens"]})
    return {recipe: total_usage(usage[recipe]) for recipe in sorted(usage)}


def _distinct(variants: list[Row], run: RunContext) -> tuple[list[Row], list[Row]]:
    """The distinct variants of a document, and a reject row for each that nearly duplicates an earlier one."""
    if len(variants) < 2:
        return variants, []
    repeated = run.near_duplicates([row["text"] for row in variants])
    return (
        [row for i, row in enumerate(variants) if i not in repeated],
        [
            rejected_variant_row(variants[i], NEAR_DUPLICATE, f"of variant {variants[of]['variant']}: {seen}")
            for i, (of, seen) in repeated.items()
        ],
    )

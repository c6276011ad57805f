"""A run of any size by the real planner and writer, with synthetic rewrites and verdicts."""

import dataclasses
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path

from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import make_plan, save_plan
from rephrase.dataset.rows import ModelInfo, Row, reject_rows, rewrite_row, unreadable_row
from rephrase.dataset.shards import commit_part
from rephrase.prompting.recipes import Recipe, draw_variants, load_recipes
from rephrase.records import Chunk, ChunkRewrite, Document, Rewrite, UnreadableRecord, Verdict
from rephrase.storage.storage import Storage

MODEL = ModelInfo(model="made-up", model_revision="1", engine="none", seed=0)
REASONS = ("repetition", "truncated", "near_copy", "dissimilar")
SHARE_ACCEPTED = 0.8
MIN_SIMILARITY = 0.7
CONFIG = {"model": "made-up", "engine": "none", "fidelity": {"encoder": "all-MiniLM-L6-v2", "min_similarity": 0.7}}
_SAYINGS = (
    "the river town bridge built year people market stone old found kept many north wall church road grain trade ship "
    "guild winter master house field song law king war peace coin mill forest map letter hand light tower gate"
)
WORDS = _SAYINGS.split()


def documents(n: int, n_sentences: int = 8) -> Iterable[Row]:
    draw = random.Random(n)
    for i in range(n):
        text = " ".join(f"{' '.join(draw.choices(WORDS, k=9)).capitalize()} {i}." for _ in range(n_sentences))
        yield {"id": f"d{i}", "title": f"Title {i}", "text": text}


def write_run(out: Path, records: Iterable[Row], part_bytes: int = 20_000, n_variants: int = 1) -> Storage:
    """Write a run over `records` to `out`; its commits say that each part took two seconds."""
    out.mkdir(parents=True, exist_ok=True)
    corpus = out.parent / f"{out.name}-corpus.jsonl"
    with corpus.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    options, storage = ReadOptions(), Storage(out)
    plan = make_plan(str(corpus), options, CONFIG, part_bytes=part_bytes)
    save_plan(storage, plan)
    recipe = load_recipes()["rephrase"]
    reader = PartReader(plan, options)
    for part in plan.parts:
        _commit(storage, part.index, reader.read(part), recipe, n_variants)
    return storage


def _commit(
    storage: Storage, part: int, records: list[Document | UnreadableRecord], recipe: Recipe, n_variants: int
) -> None:
    rewrites: list[Row] = []
    rejects: list[Row] = []
    chunks: list[ChunkRewrite] = []
    n_accepted = 0
    for record in records:
        if isinstance(record, UnreadableRecord):
            rejects.append(unreadable_row(record))
            continue
        record = dataclasses.replace(record, detected_language="en")
        rows = []
        for variant in draw_variants(recipe, record.id, n_variants, 0):
            rewrite = Rewrite(document=record, variant=variant, chunks=tuple(_chunks(record, variant.index)))
            chunks += rewrite.chunks
            rows.append(rewrite_row(record, [(rewrite, recipe)], MODEL))
            rejects += reject_rows(record, rewrite, recipe, MODEL)
        kept = [row for row in rows if row]
        rewrites += kept
        n_accepted += bool(kept)
    began = time.time() + 2 * part
    commit_part(
        storage,
        part,
        rewrites,
        rejects,
        n_records=len(records),
        n_documents_accepted=n_accepted,
        n_documents_rejected=len(records) - n_accepted,
        n_chunks=len(chunks),
        n_chunks_accepted=sum(chunk.verdict.accepted for chunk in chunks),
        n_prompt_tokens=sum(chunk.n_prompt_tokens for chunk in chunks),
        n_completion_tokens=sum(chunk.n_completion_tokens for chunk in chunks),
        n_cached_tokens=0,
        n_tokens_resumed=0,
        slot_s=8.0,
        idle_slot_s=2.0,
        started_at=began,
        ended_at=began + 2,
    )


def _chunks(document: Document, variant: int) -> Iterable[ChunkRewrite]:
    """Two chunks, each rewritten as its sentences in reverse order."""
    draw = random.Random(f"{document.id}/{variant}")
    middle = document.text.find(". ", len(document.text) // 2) + 2 or len(document.text)
    spans = [(0, middle), (middle, len(document.text))]
    for index, (start, end) in enumerate(span for span in spans if span[1] > span[0]):
        text = document.text[start:end]
        chunk = Chunk(
            document_id=document.id, index=index, start=start, end=end, text=text, n_tokens=max(1, len(text) // 5)
        )
        accepted = draw.random() < SHARE_ACCEPTED
        reason = None if accepted else draw.choice(REASONS)
        similarity = draw.uniform(MIN_SIMILARITY, 1.0) if accepted else draw.uniform(0.2, MIN_SIMILARITY)
        scores = {"copied": draw.random() * 0.5}
        if accepted or reason == "dissimilar":
            scores["similarity"] = similarity
        rewritten = " ".join(reversed(text.strip().split(". ")))
        yield ChunkRewrite(
            chunk=chunk,
            text=rewritten,
            verdict=Verdict(
                accepted=accepted, reason=reason, detail=f"seen: {text[:30]}", scores=scores, probability=similarity
            ),
            finish_reason="stop",
            seed=draw.getrandbits(31),
            n_attempts=1 if accepted else 3,
            n_sentences_removed=0,
            source_kept=False,
            max_tokens=400,
            n_tokens=max(1, len(rewritten) // 5),
            n_prompt_tokens=100,
            n_completion_tokens=max(1, len(rewritten) // 5),
            n_cached_tokens=0,
        )

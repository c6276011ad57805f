"""The shards of a finished run written anew by today's verdict, without generating anything.

Chunks that the run rejected may come back, and accepted ones may go. What the run kept of a document decides what is
possible: a document of which a chunk was never written down stays rejected.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fidelity.calibration.calibration import calibration_hash
from fidelity.checker import Checker, FidelityConfig, open_checker
from rephrase.dataset import schema
from rephrase.dataset.plan import Plan, load_plan, require_unused, save_plan
from rephrase.dataset.rows import CHUNK_SEPARATOR, Row, lowest_probabilities, score_rows
from rephrase.dataset.shards import commit_part, part_name, read_commit, read_commits, read_part
from rephrase.prompting.recipes import Recipe
from rephrase.records import Chunk, Completion, Verdict, digest
from rephrase.storage.filesystem import is_same_file
from rephrase.storage.lock import locked
from rephrase.storage.run_folder import PLAN_NAME
from rephrase.storage.storage import Storage

_STEP = "rewrite"  # the stage of the rejects that hold a chunk
_DOCUMENT = "document"  # and of those that hold a document of which too little was rewritten
_KEY = ("document_id", "source", "record", "recipe", "variant")


@dataclass(slots=True, kw_only=True)
class Refiltered:
    """What became of the chunks: accepted before and after, and how many changed sides."""

    output: str
    n_chunks: int = 0
    n_accepted_before: int = 0
    n_accepted: int = 0
    n_recovered: int = 0
    n_dropped: int = 0
    n_rewrites: int = 0
    n_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A chunk as the run left it: its source, its rewrite, and the row that holds its figures."""

    source: str
    text: str
    accepted: bool
    figures: Row


def refilter(
    source: Storage,
    target: Storage,
    recipes: Mapping[str, Recipe],
    config: FidelityConfig,
    on_chunks: Callable[[int, int], None] = lambda done, total: None,
) -> Refiltered:
    """Judge every chunk of `source` again and write the run that results to `target`; goes on where it was stopped.

    `on_chunks` is called with the number of chunks done and the total.

    Raises:
        FileNotFoundError: `source` holds no run.
        ValueError: `target` holds another run, or a recipe of the run is not known.
    """
    plan = load_plan(source)
    if plan is None:
        raise FileNotFoundError(f"{source.url!r} holds no run: it has no {PLAN_NAME}")
    if is_same_file(source.url, target.url):
        raise ValueError(f"{source.url!r} cannot be replaced by itself: name another folder")
    with locked(target):
        return _refilter(source, target, plan, recipes, config, on_chunks)


def _refilter(
    source: Storage,
    target: Storage,
    plan: Plan,
    recipes: Mapping[str, Recipe],
    config: FidelityConfig,
    on_chunks: Callable[[int, int], None],
) -> Refiltered:
    plan = _begin(plan, source, target, config)
    commits = read_commits(source)
    found = Refiltered(output=target.url)
    total = sum(commit["n_chunks"] for commit in commits.values())
    checker = open_checker(config)
    try:
        for index in commits:
            done = read_commit(target, index)
            if done is None:
                done = _refilter_part(source, target, index, commits[index], plan, recipes, checker)
            for name, value in done["refiltered"].items():
                setattr(found, name, getattr(found, name) + value)
            found.n_rewrites += done["n_rewrites"]
            found.n_tokens += done["n_tokens"]
            on_chunks(found.n_chunks, total)
    finally:
        checker.close()
    return found


def _begin(plan: Plan, source: Storage, target: Storage, config: FidelityConfig) -> Plan:
    changed = {
        **plan.config,
        "fidelity": config.model_dump(mode="json"),
        "weights of the verdict": calibration_hash(config.calibration),
        "refiltered from": source.url,
    }
    known = load_plan(target)
    if known is None:
        require_unused(target)
        plan = replace(plan, config=changed)
        save_plan(target, plan)
        return plan
    if known.config != changed:
        raise ValueError(f"{target.url!r} holds another run: choose another folder")
    return known


def _refilter_part(
    source: Storage,
    target: Storage,
    index: int,
    commit: Row,
    plan: Plan,
    recipes: Mapping[str, Recipe],
    checker: Checker,
) -> Row:
    def rows_of(kind: Any) -> list[Row]:
        there = f"{kind}/{part_name(index)}.parquet" in commit["files"]
        return read_part(source, kind, index).to_pylist() if there else []

    before, rejects = rows_of("rewrites"), rows_of("rejects")
    rewrites = [row for row in before if not row["recipe"]]
    left = [row for row in rejects if row["stage"] not in (_STEP, _DOCUMENT)]
    before += [_restored(row) for row in rejects if row["stage"] == _DOCUMENT]
    figures = dict.fromkeys(("n_chunks", "n_accepted_before", "n_accepted", "n_recovered", "n_dropped"), 0)
    for rewrite, chunks in _documents([row for row in before if row["recipe"]], rejects):
        base = rewrite or chunks[0].figures
        recipe = recipes.get(base["recipe"].rsplit("+", 1)[-1])
        if recipe is None:
            name = base["recipe"]
            raise ValueError(f"the run used the recipe {name!r}, which is not known: name its file with --recipes")
        recipe = recipe.worded_as(base["prompt_hash"])
        verdicts = _judge(checker, recipe, base, chunks)
        figures["n_chunks"] += len(chunks)
        for chunk, verdict in zip(chunks, verdicts, strict=True):
            figures["n_accepted_before"] += chunk.accepted
            figures["n_accepted"] += verdict.accepted
            figures["n_recovered"] += verdict.accepted and not chunk.accepted
            figures["n_dropped"] += chunk.accepted and not verdict.accepted
        keep = plan.config.get("on_reject", "reject") == "keep" and not recipe.translates
        new, refused = _rebuilt(rewrite, chunks, verdicts, plan, keep)
        rewrites += new
        left += refused
    counts = {name: value for name, value in commit.items() if name not in _COUNTED}
    accepted = {(row["source"], row["record"]) for row in rewrites}
    counts |= {"n_documents_accepted": len(accepted), "n_documents_rejected": commit["n_records"] - len(accepted)}
    return commit_part(target, index, rewrites, left, **counts, refiltered=figures)


# The fields that `commit_part` counts itself.
_COUNTED = {
    *("part", "schema_version", "n_rewrites", "n_rejects", "n_tokens", "rejects_by_reason", "by_recipe", "files"),
    *("n_documents_accepted", "n_documents_rejected", "refiltered"),
}


def _documents(rewrites: Sequence[Row], rejects: Sequence[Row]) -> list[tuple[Row | None, list[_Written]]]:
    """Each rewritten document with its chunks in order, and those of which no chunk was accepted."""
    by_key: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for row in rejects:
        if row["stage"] == _STEP:
            by_key[tuple(row[name] for name in _KEY)][row["chunk_index"]] = row
    found: list[tuple[Row | None, list[_Written]]] = []
    for row in rewrites:
        refused = by_key.pop(tuple(row[name] for name in _KEY), {})
        text = row["steps"][-1]["text"] if row["steps"] else row["source_text"]
        chunks = []
        for chunk in row["chunks"]:
            figures = chunk if chunk["accepted"] else refused.pop(chunk["index"], chunk)
            rewrite = row["text"][chunk["text_start"] : chunk["text_end"]] if chunk["accepted"] else figures.get("text")
            chunks.append(
                _Written(
                    source=text[chunk["start"] : chunk["end"]],
                    text=rewrite or "",
                    accepted=chunk["accepted"],
                    figures={**figures, "index": chunk["index"]},
                )
            )
        found.append((row, chunks))
    for refused in by_key.values():
        found.append((None, [_rejected(refused[index]) for index in sorted(refused)]))
    return found


def _rejected(row: Row) -> _Written:
    return _Written(
        source=row["source_text"],
        text=row["text"] or "",
        accepted=False,
        figures={**row, "index": row["chunk_index"]},
    )


def _judge(checker: Checker, recipe: Recipe, base: Row, chunks: Sequence[_Written]) -> list[Verdict]:
    required = recipe.requirements(base["style"])

    async def judge_all() -> list[Verdict]:
        return list(
            await asyncio.gather(
                *(
                    checker(
                        Chunk(
                            document_id=base["document_id"],
                            index=chunk.figures["index"],
                            start=chunk.figures["start"],
                            end=chunk.figures["end"],
                            text=chunk.source,
                            n_tokens=chunk.figures["n_source_tokens"],
                        ),
                        Completion(
                            text=chunk.text,
                            finish_reason=chunk.figures["finish_reason"] or "unknown",
                            n_prompt_tokens=0,
                            n_completion_tokens=0,
                        ),
                        required,
                    )
                    for chunk in chunks
                )
            )
        )

    return asyncio.run(judge_all())


def _rebuilt(
    rewrite: Row | None, chunks: Sequence[_Written], verdicts: Sequence[Verdict], plan: Plan, keep: bool
) -> tuple[list[Row], list[Row]]:
    """The row of the document, if a chunk of it is accepted, and those of its rejected chunks."""
    covered = [0, *(chunk.figures["end"] for chunk in chunks)]
    whole = rewrite is not None or all(
        chunk.figures["start"] == end for chunk, end in zip(chunks, covered[:-1], strict=True)
    )
    n_accepted = sum(verdict.accepted for verdict in verdicts)
    n_tokens = [chunk.figures["n_source_tokens"] for chunk in chunks]
    n_rewritten = sum(n for n, verdict in zip(n_tokens, verdicts, strict=True) if verdict.accepted)
    enough = n_rewritten >= plan.config.get("min_rewritten_share", 0.0) * sum(n_tokens)
    all_needed = plan.config.get("on_reject") == "document"
    usable = whole and n_accepted > 0 and enough and (not all_needed or n_accepted == len(chunks))
    base = rewrite or _assembled(chunks)
    refused = [
        {
            **{name: base.get(name) for name, _ in schema.PROVENANCE},
            **{name: chunk.figures.get(name) for name in _CARRIED},
            "stage": _STEP,
            "reason": verdict.reason if not verdict.accepted else "incomplete" if not enough else "chunk_refused",
            "detail": verdict.detail,
            "text": chunk.text,
            "source_text": chunk.source,
            "chunk_index": chunk.figures["index"],
            "scores": score_rows(verdict),
            **schema.probability_row(verdict),
            "discrepancies": [schema.discrepancy_row(found) for found in verdict.discrepancies],
        }
        for chunk, verdict in zip(chunks, verdicts, strict=True)
        if not verdict.accepted or not usable
    ]
    if not usable:
        return [], refused
    rows, parts, end = [], [], 0
    for chunk, verdict in zip(chunks, verdicts, strict=True):
        text = chunk.text if verdict.accepted else chunk.source.strip() if keep else None
        start = None
        if text is not None:
            start = end + len(CHUNK_SEPARATOR) if end else 0
            end = start + len(text)
            parts.append(text)
        rows.append(
            {
                **{field.name: chunk.figures.get(field.name) for field in schema.CHUNK},
                "text_start": start,
                "text_end": None if text is None else end,
                "accepted": verdict.accepted,
                "source_kept": text is not None and not verdict.accepted,
                "reason": verdict.reason,
                "scores": score_rows(verdict),
                **schema.probability_row(verdict),
            }
        )
    accepted = [verdict for verdict in verdicts if verdict.accepted]
    return [
        {
            **base,
            "text": CHUNK_SEPARATOR.join(parts),
            "n_tokens": sum(
                row["n_tokens"] if row["accepted"] else row["n_source_tokens"]
                for row in rows
                if row["text_start"] is not None
            ),
            "n_chunks": len(rows),
            "n_chunks_accepted": n_accepted,
            "similarity": min((v.scores["similarity"] for v in accepted if "similarity" in v.scores), default=None),
            **lowest_probabilities(accepted),
            "chunks": rows,
        }
    ], refused


_CARRIED = (
    *("start", "end", "finish_reason", "n_attempts", "max_tokens", "n_source_tokens", "n_tokens"),
    *("n_prompt_tokens", "n_completion_tokens", "n_cached_tokens", "seed"),
)


def _restored(row: Row) -> Row:
    """The row that a rejected document would have among the rewrites; its metadata is not known any more."""
    name = digest("refiltered", *(row[name] for name in _KEY), row["source_text"])
    return {**row, "id": name, "steps": [], "metadata": None}


def _assembled(chunks: Sequence[_Written]) -> Row:
    """The row of a document of which the run accepted nothing, from its rejects; its metadata is not known any more."""
    first = chunks[0].figures
    source = "".join(chunk.source for chunk in chunks)
    provenance = {name: first.get(name) for name, _ in schema.PROVENANCE}
    figures = [chunk.figures for chunk in chunks]
    return {
        **provenance,
        "id": digest("refiltered", *(provenance[name] for name in _KEY), source),
        "source_text": source,
        **{
            name: sum(row.get(name) or 0 for row in figures)
            for name in ("n_source_tokens", "n_prompt_tokens", "n_completion_tokens", "n_cached_tokens")
        },
        "steps": [],
        "metadata": None,
    }

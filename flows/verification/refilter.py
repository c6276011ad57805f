"""The shards of a finished run written anew by today's verdict, without generating anything.

Chunks that the run rejected may come back, and accepted ones may go. What the run kept of a document decides what is
possible: a document of which a chunk was never written down stays rejected. So does a chunk that the checks had not
rejected, but the engine, the judge, a translation back or its place in the document.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fidelity.calibration.calibration import calibration_hash
from fidelity.checker import Checker, FidelityConfig, open_checker
from flows.verification.run_documents import (
    CHUNK_STAGE,
    WrittenChunk,
    assembled,
    can_be_restored,
    is_whole_document,
    recipe_of,
    restored,
    route_of,
    written_documents,
)
from rephrase.dataset import schema
from rephrase.dataset.plan import Plan, load_plan, require_unused, save_plan
from rephrase.dataset.rows import CHUNK_SEPARATOR, Row, last_recipe, lowest_probabilities, score_rows
from rephrase.dataset.run_recipes import pin_recipes
from rephrase.dataset.shards import commit_part, part_name, read_commit, read_commits, read_part
from rephrase.parts import UNCHANGED
from rephrase.prompting.masking import has_placeholders
from rephrase.prompting.recipes import Recipe
from rephrase.records import Chunk, Completion, Verdict
from rephrase.storage.filesystem import is_same_file
from rephrase.storage.lock import locked
from rephrase.storage.run_folder import PLAN_NAME
from rephrase.storage.storage import Storage

# The reasons of rejects that the checks, which are asked again, had accepted.
_NOT_OF_THE_CHECKS = frozenset(
    {"restart", "judged_unfaithful", "judged_incomplete", "judged_not_in_style", "back_translation"}
)


# The weights of the verdict, and the probability asked for, are today's; how similarity is measured is the run's.
_OF_THE_RUN = ("encoder", "min_similarity", "multilingual_encoder", "min_cross_lingual")


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


def verdict_of_run(source: Storage, **options: Any) -> tuple[Plan, FidelityConfig]:
    """The plan of a run and how to judge it: by the options that are given, else as it was compared with its sources.

    Raises:
        FileNotFoundError: `source` holds no run.
        ValueError: an option is invalid.
    """
    plan = load_plan(source)
    if plan is None:
        raise FileNotFoundError(f"{source.url!r} holds no run: it has no {PLAN_NAME}")
    before = plan.config.get("fidelity", {})
    shared = {name: before[name] for name in _OF_THE_RUN if name in before}
    given = {name: value for name, value in options.items() if value is not None}
    return plan, FidelityConfig.model_validate({**shared, **given})


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
    pin_recipes(target, {name: r.worded_as(plan.config.get(f"recipe {name}")) for name, r in recipes.items()})
    commits = read_commits(source)
    found = Refiltered(output=target.url)
    total = sum(commit.get("n_chunks", 0) for commit in commits.values())
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
    whole = [row for row in before if row["recipe"]]
    whole += [restored(row) for row in rejects if can_be_restored(row)]
    rewrites = [row for row in before if not row["recipe"]]
    left = [row for row in rejects if row["stage"] != CHUNK_STAGE and not can_be_restored(row)]
    documents, alone = written_documents(whole, [row for row in rejects if row["stage"] == CHUNK_STAGE])
    found = Counter[str]()
    accepted_more = Counter[str]()
    for rewrite, chunks in [*documents, *((None, chunks) for chunks in alone)]:
        base = rewrite or chunks[0].figures
        route = route_of(base, plan)
        found["n_chunks"] += len(chunks)
        if rewrite is None and not is_whole_document(base, route, left, plan, recipes):
            left += [chunk.figures for chunk in chunks]
            continue
        recipe = recipe_of(base, recipes)
        verdicts = _judge(checker, recipe, base, chunks)
        for chunk, verdict in zip(chunks, verdicts, strict=True):
            found["n_accepted_before"] += chunk.accepted
            found["n_accepted"] += verdict.accepted
            found["n_recovered"] += verdict.accepted and not chunk.accepted
            found["n_dropped"] += chunk.accepted and not verdict.accepted
            accepted_more[route] += verdict.accepted - chunk.accepted
        keep = plan.config.get("on_reject", "reject") == "keep" and not recipe.translates
        new, refused = _rebuilt(rewrite, chunks, verdicts, plan, keep)
        rewrites += new
        left += refused
    counts = _recounted(commit, before, rewrites, accepted_more, plan)
    return commit_part(target, index, rewrites, left, **counts, refiltered={name: found[name] for name in _FIGURES})


# The fields that `commit_part` counts itself.
_COUNTED = {
    *("part", "schema_version", "n_rewrites", "n_rejects", "n_tokens", "rejects_by_reason", "by_recipe", "files"),
    "refiltered",
}
_FIGURES = ("n_chunks", "n_accepted_before", "n_accepted", "n_recovered", "n_dropped")


def _recounted(
    commit: Row, before: Sequence[Row], after: Sequence[Row], accepted_more: Mapping[str, int], plan: Plan
) -> Row:
    """The counts of a part's commit for its new rows; what the run took to generate stays as it was.

    `accepted_more` is how many more chunks of each route are accepted than before.
    """
    n_accepted = len({(row["source"], row["record"]) for row in after})
    counts = {name: value for name, value in commit.items() if name not in _COUNTED}
    counts |= {"n_documents_accepted": n_accepted, "n_documents_rejected": commit["n_records"] - n_accepted}
    usage = {route: dict(used) for route, used in commit.get("usage", {}).items()}
    rewritten_more = _rewritten_tokens(after, plan)
    rewritten_more.subtract(_rewritten_tokens(before, plan))
    for route in {*rewritten_more, *accepted_more}:
        for used in (counts, usage.get(route, {})):
            if "n_chunks_accepted" in used:
                used["n_chunks_accepted"] += accepted_more.get(route, 0)
            if "n_source_tokens_rewritten" in used:
                used["n_source_tokens_rewritten"] += rewritten_more[route]
    for route, used in usage.items():
        rows = [row for row in after if (row["recipe"] or UNCHANGED) == route]
        used |= {"n_rewrites": len(rows), "n_tokens": sum(row["n_tokens"] for row in rows)}
    return {**counts, **({"usage": usage} if usage else {})}


def _rewritten_tokens(rows: Sequence[Row], plan: Plan) -> Counter[str]:
    """The tokens of accepted chunks in the rows of whole routes, by route."""
    found = Counter[str]()
    for row in rows:
        if row["recipe"] and row["recipe"] == route_of(row, plan):
            found[row["recipe"]] += sum(chunk["n_source_tokens"] for chunk in row["chunks"] if chunk["accepted"])
    return found


def _judge(checker: Checker, recipe: Recipe, base: Row, chunks: Sequence[WrittenChunk]) -> list[Verdict]:
    required = recipe.requirements(base["style"])

    async def judge_all() -> list[Verdict]:
        verdicts = list(
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
        return [_with_what_stays(verdict, chunk) for verdict, chunk in zip(verdicts, chunks, strict=True)]

    return asyncio.run(judge_all())


def _with_what_stays(verdict: Verdict, chunk: WrittenChunk) -> Verdict:
    """The verdict; rejected as before where something had rejected the chunk that is not asked again."""
    reason = chunk.figures.get("reason")
    # Without a text, the engine or the model gave none; with the placeholder of a formula, it is not what was meant.
    unusable = not chunk.text.strip() or has_placeholders(chunk.text) > has_placeholders(chunk.source)
    if chunk.accepted or not reason or not (unusable or (verdict.accepted and reason in _NOT_OF_THE_CHECKS)):
        return verdict
    return replace(verdict, accepted=False, reason=reason, detail=chunk.figures.get("detail") or "")


def _rebuilt(
    rewrite: Row | None, chunks: Sequence[WrittenChunk], verdicts: Sequence[Verdict], plan: Plan, keep: bool
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
    base = rewrite or assembled(chunks)
    refused = [
        {
            **{name: base.get(name) for name, _ in schema.PROVENANCE},
            "recipe": last_recipe(base["recipe"]),
            **{name: chunk.figures.get(name) for name in _CARRIED},
            "stage": CHUNK_STAGE,
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

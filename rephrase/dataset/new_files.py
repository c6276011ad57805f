"""Files that came after a run was planned become further parts; the parts that are there stay as they are.

    OUT/plan-0001.json    the first time that new files were found, OUT/plan-0002.json the second, …

Such a file has the form of plan.json; its parts and files are numbered on from those before. A file appears whole or
not at all, so a run that is killed while it plans plans again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from rephrase.corpus.reading import InputFile, ReadOptions, list_inputs
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import (
    LATER_PLAN_NAME,
    Plan,
    later_plans,
    load_plan,
    make_plan,
    require_same_run,
    save_plan,
    split_into_parts,
)
from rephrase.dataset.seen import SeenNames
from rephrase.dataset.shards import read_commits, read_rejects, read_rewrites
from rephrase.prompting.routing import AUTOMATIC
from rephrase.records import Document
from rephrase.storage.storage import Storage

NOT_A_DOCUMENT = "read"  # the stage of a reject that was no document


def open_plan(
    storage: Storage,
    source: str,
    options: ReadOptions,
    config: Mapping[str, Any],
    *,
    limit: int | None = None,
    new_files: bool = False,
    part_bytes: int | None = None,
    recipe_choice: str = AUTOMATIC,
) -> Plan:
    """The plan in the output folder, once it is known that this run may continue it; otherwise a new one.

    Args:
        config: what a resumed run must have in common with the one before.
        new_files: plan files that came since as further parts.

    Raises:
        PlanMismatchError: the folder belongs to another run.
        FileNotFoundError, ValueError: there is nothing to read.
    """
    plan = load_plan(storage)
    if plan is None:
        plan = make_plan(
            source,
            options,
            config,
            output=storage.url,
            limit=limit,
            part_bytes=part_bytes,
            recipe_choice=recipe_choice,
        )
        save_plan(storage, plan)
        return plan
    found, skipped = list_inputs(source, storage.url)
    old, new = split_new(plan, found)
    require_same_run(plan, config, old if new_files else found)
    if new_files and new:
        plan = extend_plan(
            storage, plan, new, skipped, options, config, part_bytes=part_bytes, recipe_choice=recipe_choice
        )
    return plan


def split_new(plan: Plan, found: Sequence[InputFile]) -> tuple[list[InputFile], list[InputFile]]:
    """The files that the plan knows by name, changed or not, and those it does not."""
    known = {file.name for file in plan.inputs}
    old = [file for file in found if file.name in known]
    return old, [file for file in found if file.name not in known]


def extend_plan(
    storage: Storage,
    plan: Plan,
    new: Sequence[InputFile],
    skipped: Sequence[str],
    options: ReadOptions,
    config: Mapping[str, Any],
    *,
    part_bytes: int | None = None,
    recipe_choice: str = AUTOMATIC,
) -> Plan:
    """Plan the new files, write that down, and return the whole plan.

    A document whose id stands in an earlier file is refused as a duplicate, as it is within one plan.

    Raises:
        InputChangedError: a file of a part that is still to do is not what it was.
    """
    with SeenNames() as seen:
        for document_id in earlier_ids(storage, plan, options):
            seen.add(document_id)
        cut = split_into_parts(
            new,
            options,
            seen,
            n_files_before=len(plan.inputs),
            n_parts_before=len(plan.parts),
            part_bytes=part_bytes,
            recipe_choice=recipe_choice,
        )
    save_plan(storage, cut.plan(config, skipped), LATER_PLAN_NAME.format(len(later_plans(storage)) + 1))
    extended = load_plan(storage)
    assert extended
    return extended


def earlier_ids(storage: Storage, plan: Plan, options: ReadOptions) -> Iterator[str]:
    """The ids of the documents in the plan: from the shards of parts that are committed, else from the source.

    A column of ids is small, so that a large corpus need not be read again for one file that came.
    """
    for rewrites in read_rewrites(storage, ["document_id"]):
        yield from rewrites["document_id"].to_pylist()
    for rejects in read_rejects(storage, ["document_id", "stage"]):
        documents = rejects.filter(pc.not_equal(rejects["stage"], NOT_A_DOCUMENT))
        yield from documents["document_id"].to_pylist()
    # A part that a target ended in the middle is committed for the documents that are done.
    committed = {index for index, commit in read_commits(storage).items() if not commit.get("n_records_left")}
    reader = PartReader(plan, options)
    for part in plan.parts:
        if part.index not in committed:
            for record in reader.read(part):
                if isinstance(record, Document):
                    yield record.id

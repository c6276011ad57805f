"""Files added after a run was planned become further parts; the existing parts stay as they are.

    OUT/plan-0001.json    the first time that new files were found, OUT/plan-0002.json the second, …

Such a file has the format of plan.json; its parts and files continue the numbering of those before. A file appears
whole or not at all, so a run that is killed while planning plans again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from rephrase.corpus.inputs import InputFile, has_changed, list_finished, list_inputs
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import (
    LATER_PLAN_NAME,
    Part,
    Plan,
    later_plans,
    load_plan,
    make_plan,
    require_same_run,
    require_unused,
    save_plan,
    split_into_parts,
)
from rephrase.dataset.seen import SeenNames
from rephrase.dataset.shards import read_commits, read_rejects, read_rewrites
from rephrase.prompting.routing import AUTOMATIC
from rephrase.records import Document
from rephrase.storage.storage import Storage

NOT_A_DOCUMENT = "read"  # the stage of a reject that was not a usable document


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
    """The plan in the output folder, after checking that this run may continue it; a new plan if there is none.

    Args:
        config: the settings that a resumed run must share with the previous one.
        new_files: plan files added since as further parts. A file that has changed or gone since it was planned does
            not stop such a run: see `split_changed`.

    Raises:
        PlanMismatchError: the folder belongs to another run.
        FileNotFoundError, ValueError: there is nothing to read.
    """
    plan = load_plan(storage)
    if plan is None:
        require_unused(storage)
        plan = make_plan(
            source,
            options,
            config,
            output=storage.url,
            limit=limit,
            part_bytes=part_bytes,
            recipe_choice=recipe_choice,
            new_files=new_files,
        )
        save_plan(storage, plan)
        return plan
    if not new_files:
        require_same_run(plan, config, list_inputs(source, storage.url)[0])
        return plan
    require_same_run(plan, config)
    found, skipped = list_finished(source, storage.url)
    _, new = split_new(plan, found)
    if new:
        plan = extend_plan(
            storage, plan, new, skipped, options, config, part_bytes=part_bytes, recipe_choice=recipe_choice
        )
    return plan


def split_new(plan: Plan, found: Sequence[InputFile]) -> tuple[list[InputFile], list[InputFile]]:
    """The files that the plan knows by name, changed or not, and those that are new."""
    known = {file.name for file in plan.inputs}
    old = [file for file in found if file.name in known]
    return old, [file for file in found if file.name not in known]


def split_changed(plan: Plan, parts: Sequence[Part]) -> tuple[list[Part], list[str]]:
    """The parts whose files are as they were planned, and the names of the other files.

    A file that was still being copied when it was planned must not stop the scheduled runs that take the files after
    it: its own parts wait until it is restored.
    """
    changed = {
        file.name
        for file in {file.name: file for part in parts for file in plan.files_of(part)}.values()
        if has_changed(file)
    }
    return [part for part in parts if changed.isdisjoint(file.name for file in plan.files_of(part))], sorted(changed)


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
    """Plan the new files, save their plan, and return the whole plan.

    A document whose id occurs in an earlier file is rejected as a duplicate, as within one plan.
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
    """The ids of the documents in the plan: from the shards for committed parts, else from the source, if unchanged.

    A column of ids is small, so a large corpus need not be read again for one new file.
    """
    for rewrites in read_rewrites(storage, ["document_id"]):
        yield from rewrites["document_id"].to_pylist()
    for rejects in read_rejects(storage, ["document_id", "stage"]):
        documents = rejects.filter(pc.not_equal(rejects["stage"], NOT_A_DOCUMENT))
        yield from documents["document_id"].to_pylist()
    # A part that a target cut short is committed with its finished documents only.
    committed = {index for index, commit in read_commits(storage).items() if not commit.get("n_records_left")}
    reader = PartReader(plan, options)
    for part in split_changed(plan, [part for part in plan.parts if part.index not in committed])[0]:
        for record in reader.read(part):
            if isinstance(record, Document):
                yield record.id

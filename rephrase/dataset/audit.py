"""Check that a dataset matches its commits. Every file is read; memory holds one part at a time.

A **problem** affects what a reader sees: a missing or changed file, a wrong count, a duplicate id, a file that belongs
to nothing. A **note** is something that a killed run may leave behind and the next run cleans up.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from rephrase.dataset import schema
from rephrase.dataset.identity import ids_digest
from rephrase.dataset.journal import parse_entry
from rephrase.dataset.plan import Plan, foreign, load_plan
from rephrase.dataset.rows import Row
from rephrase.dataset.seen import SeenNames
from rephrase.dataset.shards import parse_commit, part_name
from rephrase.storage.run_folder import PLAN_NAME
from rephrase.storage.storage import Storage, is_temporary

SCHEMAS = {"rewrites": schema.REWRITES, "rejects": schema.REJECTS}
BATCH_ROWS = 256
_PART_FILE = re.compile(r"part-(\d{5,})\.(parquet|json)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a file of the dataset, and how to fix it."""

    file: str
    problem: str
    remedy: str


@dataclass(slots=True, kw_only=True)
class Audit:
    """`n_input = n_accepted + n_rejected + n_to_do`, in documents, when there are no problems."""

    output: str
    n_input: int = 0
    n_accepted: int = 0
    n_rejected: int = 0
    n_to_do: int = 0
    n_not_selected: int = 0
    n_parts: int = 0
    n_parts_committed: int = 0
    n_rewrites: int = 0
    n_rejects: int = 0
    n_journal_entries: int = 0
    n_bytes_read: int = 0
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


def audit(storage: Storage, on_part: Callable[[int, int], None] = lambda done, of: None) -> Audit:
    """Check the dataset in `storage`; `on_part` is called with the number of parts checked and of committed parts.

    Raises:
        FileNotFoundError: the folder holds no run.
        PlanMismatchError: it was written by another version of this program.
    """
    try:
        plan = load_plan(storage)
    except (ValueError, KeyError, TypeError) as error:
        if type(error).__name__ == "PlanMismatchError":
            raise
        found = Audit(output=storage.url)
        remedy = "restore plan.json from a copy; it is the only record of what the run was to do"
        found.problems.append(Finding(file=PLAN_NAME, problem=f"it cannot be read: {error}", remedy=remedy))
        return found
    if plan is None:
        raise FileNotFoundError(f"{storage.url} holds no run: it has no {PLAN_NAME}")
    found = Audit(
        output=storage.url, n_input=plan.n_records, n_not_selected=plan.n_not_selected, n_parts=len(plan.parts)
    )
    if (total := sum(part.n_records for part in plan.parts)) != plan.n_records:
        problem = f"its parts have {total:,} records, but it states {plan.n_records:,}"
        found.problems.append(Finding(file=PLAN_NAME, problem=problem, remedy="restore plan.json from a copy"))
    # List files before reading commits: what a run commits meanwhile is then not reported as belonging to nothing.
    files = storage.find(["rewrites", "rejects", "commits", "journal"])
    names = [name for name in files if name.startswith("commits/") and _PART_FILE.fullmatch(name.split("/")[-1])]
    commits: dict[int, Row] = {}
    with SeenNames() as ids, SeenNames() as records:
        for n_done, name in enumerate(names):
            on_part(n_done, len(names))
            if (commit := _read_commit(storage, name, plan, found)) is not None:
                commits[commit["part"]] = commit
                _check_part(storage, name, commit, plan, ids, records, found)
    _check_files(storage, files, plan, commits, found)
    found.n_parts_committed = sum(not commit.get("n_records_left") for commit in commits.values())
    # A part in which a target was reached is committed with its finished documents only.
    found.n_to_do = sum(part.n_records for part in plan.parts if part.index not in commits)
    found.n_to_do += sum(commit.get("n_records_left", 0) for commit in commits.values())
    if not found.problems and found.n_input != found.n_accepted + found.n_rejected + found.n_to_do:
        problem = (
            f"{found.n_accepted:,} accepted, {found.n_rejected:,} rejected and {found.n_to_do:,} to do do not add up "
        )
        problem += f"to the {found.n_input:,} records of the plan"
        found.problems.append(Finding(file=PLAN_NAME, problem=problem, remedy="restore plan.json from a copy"))
    return found


def _again(commit_file: str) -> str:
    return f"remove {commit_file} and run the same command again: this part is then rewritten"


def _read_commit(storage: Storage, name: str, plan: Plan, found: Audit) -> Row | None:
    def wrong(problem: str, remedy: str = "") -> None:
        found.problems.append(Finding(file=name, problem=problem, remedy=remedy or _again(name)))

    try:
        commit = parse_commit(name, storage.read(name))
        index, version = commit["part"], commit["schema_version"]
        counts = {key: commit[key] for key in ("n_records", "n_documents_accepted", "n_documents_rejected")}
        counts |= {key: commit[key] for key in ("n_rewrites", "n_rejects", "n_tokens", "rejects_by_reason", "files")}
        facts = [(file["n_bytes"], file["sha256"]) for file in commit["files"].values()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong(f"it is not a commit: {error}")
        return None
    del facts
    if name != f"commits/{part_name(index)}.json":
        wrong(f"it is the commit of part {index}", f"remove {name}")
        return None
    if index >= len(plan.parts):
        wrong(f"the plan has {len(plan.parts)} parts and none with this number", f"remove {name} and its files")
        return None
    if version not in schema.READABLE:
        wrong(
            f"its schema has version {version}; this program checks {', '.join(map(str, schema.READABLE))}",
            "check it with the version of the program that wrote it",
        )
        return None
    if (planned := plan.parts[index].n_records) != counts["n_records"] + commit.get("n_records_left", 0):
        wrong(f"it counts {counts['n_records']:,} records, but the plan {planned:,}")
    if counts["n_documents_accepted"] + counts["n_documents_rejected"] != counts["n_records"]:
        wrong(
            f"{counts['n_documents_accepted']:,} accepted and {counts['n_documents_rejected']:,} rejected do not add "
            f"up to {counts['n_records']:,} records"
        )
    found.n_accepted += counts["n_documents_accepted"]
    found.n_rejected += counts["n_documents_rejected"]
    return dict(commit)


def _check_part(
    storage: Storage, name: str, commit: Row, plan: Plan, ids: SeenNames, records: SeenNames, found: Audit
) -> None:
    """Check the two files of a part against its commit and the plan, and its ids against those of the parts before."""
    n_problems = len(found.problems)
    counts = Counter[str]()
    reasons = Counter[str]()
    accepted: set[tuple[str, int]] = set()
    all_records: set[tuple[str, int]] = set()
    members: set[tuple[str, int, str]] = set()
    twice: list[str] = []
    whole = True
    for file in sorted(commit["files"]):
        kind = file.split("/")[0]
        data = _read_file(storage, file, commit["files"][file], name, found)
        version = commit["schema_version"]
        batches = None if data is None or kind not in SCHEMAS else _batches(file, data, kind, version, name, found)
        if batches is None:
            whole = False
            continue
        for columns in batches:
            counts[kind] += len(columns["source"])
            places = set(zip(columns["source"], columns["record"], strict=True))
            all_records |= places
            members.update(zip(columns["source"], columns["record"], columns["document_id"], strict=True))
            if kind == "rewrites":
                accepted |= places
                counts["n_tokens"] += sum(columns["n_tokens"])
                twice += [f"id {value}" for value in columns["id"] if ids.add(value)]
            else:
                reasons.update(columns["reason"])
    if not whole:
        return
    twice += [
        f"record {record} of {source}" for source, record in sorted(all_records) if records.add(f"{source}\x1f{record}")
    ]
    if twice:
        more = f" and {len(twice) - 1:,} more" if len(twice) > 1 else ""
        found.problems.append(
            Finding(file=name, problem=f"{twice[0]}{more} already exists in the dataset", remedy=_again(name))
        )
    for what, said, seen in [
        ("rewrites", commit["n_rewrites"], counts["rewrites"]),
        ("rejects", commit["n_rejects"], counts["rejects"]),
        ("tokens", commit["n_tokens"], counts["n_tokens"]),
        ("rejects by reason", commit["rejects_by_reason"], dict(reasons)),
        ("accepted documents", commit["n_documents_accepted"], len(accepted)),
        ("records", commit["n_records"], len(all_records)),
    ]:
        if said != seen:
            problem = f"it counts {said} {what}, but its files contain {seen}"
            found.problems.append(Finding(file=name, problem=problem, remedy=_again(name)))
    if len(found.problems) == n_problems and (misplaced := _not_of_the_plan(plan, commit, members)) is not None:
        remedy = f"restore {PLAN_NAME} or the part from a copy; to have the part rewritten, remove {name} and run again"
        found.problems.append(Finding(file=name, problem=misplaced, remedy=remedy))
    found.n_rewrites += counts["rewrites"]
    found.n_rejects += counts["rejects"]


def _not_of_the_plan(plan: Plan, commit: Row, members: set[tuple[str, int, str]]) -> str | None:
    """Why the rows cannot be those of the plan's part, or None: other documents, or places outside the part."""
    if (problem := foreign(plan, commit["part"], commit)) is not None:
        return problem
    part = plan.parts[commit["part"]]
    if commit.get("ids") and not commit.get("n_records_left") and ids_digest(members) != part.ids:
        return "its rows are not from the documents of its part of the plan"
    first, last = plan.bounds(part)
    names = {file.name: number for number, file in enumerate(plan.inputs)}
    for source, record in sorted({(source, record) for source, record, _ in members}):
        if not first <= (names.get(source, -1), record) < last:
            return f"it holds record {record} of {source}, which is not in its part of the plan"
    return None


def _read_file(storage: Storage, file: str, facts: Row, commit_file: str, found: Audit) -> bytes | None:
    """The content of a file, or None if it is not what was committed."""
    try:
        data = storage.read(file)
    except FileNotFoundError:
        found.problems.append(Finding(file=file, problem="it is missing", remedy=_again(commit_file)))
        return None
    except OSError as error:
        found.problems.append(Finding(file=file, problem=f"it cannot be read: {error}", remedy=_again(commit_file)))
        return None
    found.n_bytes_read += len(data)
    if len(data) != facts["n_bytes"]:
        problem = f"it has {len(data):,} bytes, but was committed with {facts['n_bytes']:,}"
    elif hashlib.sha256(data).hexdigest() != facts["sha256"]:
        problem = "its checksum differs from the committed one"
    else:
        return data
    found.problems.append(Finding(file=file, problem=problem, remedy=_again(commit_file)))
    return None


def _batches(
    file: str, data: bytes, kind: str, version: int, commit_file: str, found: Audit
) -> list[Mapping[str, list]] | None:
    """All rows. Every column is decoded, but only those needed for counting are kept."""
    wanted = ["source", "record", "document_id", *(["id", "n_tokens"] if kind == "rewrites" else ["reason"])]
    expected = schema.of_version(SCHEMAS[kind], version)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(data))
        if not parquet.schema_arrow.equals(expected):
            names = {*parquet.schema_arrow.names} ^ {*expected.names}
            problem = f"its schema is not version {version}: {', '.join(sorted(names)) or 'a type differs'}"
            found.problems.append(Finding(file=file, problem=problem, remedy=_again(commit_file)))
            return None
        return [batch.select(wanted).to_pydict() for batch in parquet.iter_batches(batch_size=BATCH_ROWS)]
    except (pa.ArrowException, OSError, ValueError) as error:
        problem = f"it is not a readable Parquet file: {error}"
        found.problems.append(Finding(file=file, problem=problem, remedy=_again(commit_file)))
        return None


def _check_files(storage: Storage, files: list[str], plan: Plan, commits: Mapping[int, Row], found: Audit) -> None:
    """Report files that no commit names."""
    committed = {file for commit in commits.values() for file in commit["files"]}
    left_over: Counter[str] = Counter()
    entries: list[str] = []
    for file in files:
        folder, base = file.split("/", 1)
        if is_temporary(base.split("/")[-1]):
            remedy = "the next run removes it"
            found.notes.append(Finding(file=file, problem="an interrupted write", remedy=remedy))
        elif folder == "journal":
            part = base.split("/")[0]
            number = int(part.removeprefix("part-")) if re.fullmatch(r"part-\d{5,}", part) else len(plan.parts)
            if number in commits and not commits[number].get("n_records_left"):
                left_over[part] += 1
            elif number >= len(plan.parts):
                found.problems.append(Finding(file=file, problem="it belongs to no part", remedy="remove it"))
            elif not file.endswith(".partial"):
                entries.append(file)
        elif file not in committed and folder != "commits":
            match = _PART_FILE.fullmatch(base)
            number = int(match[1]) if match else len(plan.parts)
            if number < len(plan.parts) and number not in commits:
                problem = "its part is not committed: a run was stopped just before the commit, or is in progress"
                remedy = "run the same command again, which replaces it; do not read it before that"
                found.notes.append(Finding(file=file, problem=problem, remedy=remedy))
            else:
                found.problems.append(Finding(file=file, problem="no commit names it", remedy="remove it"))
        elif folder == "commits" and not _PART_FILE.fullmatch(base):
            found.problems.append(Finding(file=file, problem="it is not a commit", remedy="remove it"))
    for part, count in left_over.items():
        problem = f"{count:,} entries of a part that is committed"
        found.notes.append(Finding(file=f"journal/{part}", problem=problem, remedy="the next run removes them"))

    for file, data in storage.read_many(entries):  # a missing one: its part was committed meanwhile
        try:
            parse_entry(data)
            found.n_journal_entries += 1
        except ValueError as error:
            problem = f"a journal entry that cannot be read: {error}"
            found.notes.append(Finding(file=file, problem=problem, remedy="none needed: its document is rewritten"))

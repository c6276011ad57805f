"""The plan of a run, made once, before anything is generated: inputs, configuration, and where each part begins.

    OUT/plan.json         the files present at the start
    OUT/plan-0001.json    files added later, with --new-files; see new_files.py

A part is a contiguous range of records of bounded size: the unit of scheduling, retry and commit.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel, FiniteFloat, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from rephrase.corpus.inputs import InputFile, fingerprint, list_finished, list_inputs
from rephrase.corpus.language import detect_language
from rephrase.corpus.reading import Position, ReadOptions, UnreadableFileError, count_records, read_file
from rephrase.dataset.identity import PartDigests
from rephrase.dataset.seen import SeenNames
from rephrase.prompting.routing import AUTOMATIC, PASS_THROUGH, Route, route_document
from rephrase.records import Document, Domain, UnreadableRecord
from rephrase.storage.run_folder import FOLDERS, PLAN_NAME, run_around
from rephrase.storage.storage import DamagedFileError, Storage

LATER_PLAN_NAME = "plan-{:04d}.json"  # next to it, for files added later
PLAN_VERSION = 2
READABLE_VERSIONS = (1, 2)

# By default, split a corpus into about a thousand parts, with these bounds on the size of a part.
N_PARTS = 1000
MIN_PART_BYTES = 256 << 10
MAX_PART_BYTES = 16 << 20


class InputChangedError(ValueError):
    """An input has changed since the run was planned, or can no longer be read."""


class PlanMismatchError(ValueError):
    """The output folder belongs to a run with other inputs or another configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`n_records` records from `start` in file number `file`, continuing into the next files.

    `duplicates` are the positions within the part of documents whose id occurs earlier in the corpus; `longest_bytes`
    is the size of its longest document. `ids` and `texts` are the digests of its records (`identity.PartDigests`); a
    plan of version 1 has none.
    """

    index: int
    file: int
    start: Position
    n_records: int
    n_bytes: int
    longest_bytes: int = 0
    duplicates: tuple[int, ...] = ()
    ids: str = ""
    texts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    config: Mapping[str, Any]
    inputs: tuple[InputFile, ...]
    skipped: tuple[str, ...]
    unreadable: tuple[str, ...]  # the names of files that cannot be read to their end
    parts: tuple[Part, ...]
    n_records: int
    n_not_selected: int
    routes: Mapping[str, int]  # number of documents per route

    def files_of(self, part: Part) -> Sequence[InputFile]:
        """The files that hold the records of a part."""
        after = self.parts[part.index + 1] if part.index + 1 < len(self.parts) else None
        # The part ends in the file in which the next one starts, or in the one before when that starts a file.
        last = len(self.inputs) - 1 if after is None else after.file - (after.start.record == 0)
        return self.inputs[part.file : max(part.file, last) + 1]

    def bounds(self, part: Part) -> tuple[tuple[int, int], tuple[int, int]]:
        """The (file, record) at which a part begins, and the one at which the next begins."""
        following = self.parts[part.index + 1 :][:1]
        end = (following[0].file, following[0].start.record) if following else (len(self.inputs), 0)
        return (part.file, part.start.record), end


class _Fidelity(BaseModel):
    encoder: str = ""
    multilingual_encoder: str = ""
    min_similarity: FiniteFloat = 0.0
    min_cross_lingual: FiniteFloat = 0.0
    min_probability: FiniteFloat | None = None


class _Config(BaseModel):
    """The types of what is read of a configuration; not every version wrote all of it."""

    recipe: str = ""
    n_variants: PositiveInt = 1
    n_retries: NonNegativeInt = 0
    on_reject: str = ""
    min_rewritten_share: FiniteFloat = 0.0
    fidelity: _Fidelity = _Fidelity()
    style_shares: dict[str, dict[str, FiniteFloat]] = {}


_PLAN = TypeAdapter(Plan)


def make_plan(
    source: str,
    options: ReadOptions,
    config: Mapping[str, Any],
    *,
    output: str | None = None,
    limit: int | None = None,
    part_bytes: int | None = None,
    recipe_choice: str = AUTOMATIC,
    new_files: bool = False,
) -> Plan:
    """Read the corpus once and split it into parts.

    Args:
        new_files: files that are still being written are left to a later plan.
        limit: number of records to take; the rest is counted as not selected.
        part_bytes: size of a part in bytes of text; by default, a large corpus makes about a thousand parts.

    Raises:
        FileNotFoundError, ValueError: there is nothing to read, or no record is a usable document.
    """
    inputs, skipped = list_finished(source, output) if new_files else list_inputs(source, output)
    with SeenNames() as seen:
        cut = split_into_parts(inputs, options, seen, limit=limit, part_bytes=part_bytes, recipe_choice=recipe_choice)
    if cut.n_records == cut.reasons.total():
        counts = ", ".join(f"{reason} {count}" for reason, count in cut.reasons.most_common())
        raise ValueError(
            f"none of the {cut.n_records:,} records at {source!r} is a usable document "
            + f"({counts or 'all files are empty'}). "
            + (
                f"The first: {cut.first_reject}. Name the field that holds the text with --text-field."
                if counts
                else ""
            )
        )
    return cut.plan(config, skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionedFiles:
    """Files split into parts, with the counts made on the way. `first_reject` describes the first rejected record."""

    inputs: Sequence[InputFile]
    parts: Sequence[Part]
    unreadable: Sequence[str]
    n_records: int
    n_not_selected: int
    routes: Counter[str]
    reasons: Counter[str]
    first_reject: str

    def plan(self, config: Mapping[str, Any], skipped: Sequence[str]) -> Plan:
        return Plan(
            config=dict(config),
            inputs=tuple(self.inputs),
            skipped=tuple(skipped),
            unreadable=tuple(self.unreadable),
            parts=tuple(self.parts),
            n_records=self.n_records,
            n_not_selected=self.n_not_selected,
            routes=dict(self.routes.most_common()),
        )


def split_into_parts(
    inputs: Sequence[InputFile],
    options: ReadOptions,
    seen: SeenNames,
    *,
    n_files_before: int = 0,
    n_parts_before: int = 0,
    limit: int | None = None,
    part_bytes: int | None = None,
    recipe_choice: str = AUTOMATIC,
) -> PartitionedFiles:
    """Read the files once and split them into parts.

    Args:
        seen: the ids of documents before these files; those of these files are added.
        n_files_before, n_parts_before: how many the plan already has.
    """
    total = sum(file.n_bytes for file in inputs)
    part_bytes = part_bytes or min(max(total // N_PARTS, MIN_PART_BYTES), MAX_PART_BYTES)
    parts: list[Part] = []
    reasons: Counter[str] = Counter()
    routes: Counter[str] = Counter()
    unreadable: list[str] = []
    first_reject = ""
    n_records = n_not_selected = 0
    opened: tuple[int, Position] | None = None
    digests = PartDigests()
    n_part, n_part_bytes, longest, duplicates = 0, 0, 0, list[int]()

    def close() -> None:
        nonlocal opened, digests, n_part, n_part_bytes, longest, duplicates
        if opened:
            file, start = opened
            parts.append(
                Part(
                    index=n_parts_before + len(parts),
                    file=file,
                    start=start,
                    n_records=n_part,
                    n_bytes=n_part_bytes,
                    longest_bytes=longest,
                    duplicates=tuple(duplicates),
                    ids=digests.ids,
                    texts=digests.texts,
                )
            )
        digests = PartDigests()
        opened, n_part, n_part_bytes, longest, duplicates = None, 0, 0, 0, []

    for number, file in enumerate(inputs, n_files_before):
        if limit is not None and n_records >= limit:
            n_not_selected += _count(file, 0)
            continue
        position = Position()
        for record, after in read_file(file, options, position):
            if limit is not None and n_records >= limit:
                n_not_selected += _count(file, position.record)
                break
            size = len(record.text.encode())
            if opened and n_part_bytes + size > part_bytes:
                close()
            opened = opened or (number, position)
            digests.add(record)
            if isinstance(record, UnreadableRecord):
                reasons[record.reason] += 1
                if record.reason == "unreadable_file":
                    unreadable.append(record.source)
                first_reject = first_reject or f"{record.source} record {record.record}: {record.detail}"
            elif seen.add(record.id):
                duplicates.append(n_part)
            else:
                routes["+".join(_route(record, recipe_choice)) or PASS_THROUGH] += 1
            n_part, n_part_bytes, n_records = n_part + 1, n_part_bytes + size, n_records + 1
            longest = max(longest, size)
            position = after
    close()
    return PartitionedFiles(
        inputs=[replace(file, content=fingerprint(file)) for file in inputs],
        parts=parts,
        unreadable=unreadable,
        n_records=n_records,
        n_not_selected=n_not_selected,
        routes=routes,
        reasons=reasons,
        first_reject=first_reject,
    )


def _route(document: Document, recipe_choice: str) -> Route:
    # Detecting a language takes a millisecond, and only mathematics is routed by it.
    if document.domain == Domain.MATH:
        document = replace(document, detected_language=detect_language(document.text))
    return route_document(document, recipe_choice)


def save_plan(storage: Storage, plan: Plan, name: str = PLAN_NAME) -> None:
    storage.write_json(name, {"plan_version": PLAN_VERSION, **asdict(plan)})


def load_plan(storage: Storage) -> Plan | None:
    """The plan of an output folder including files added later, or None if it has none yet.

    Raises:
        PlanMismatchError: it was written by another version of this program.
        DamagedFileError: it is not a plan.
    """
    if not storage.exists(PLAN_NAME):
        return None
    names = [PLAN_NAME, *later_plans(storage)]
    plans = [_read_plan(storage, name) for name in names]
    first = plans[0]
    routes: Counter[str] = Counter()
    for plan in plans:
        routes.update(plan.routes)
    whole = Plan(
        config=first.config,
        inputs=tuple(file for plan in plans for file in plan.inputs),
        skipped=plans[-1].skipped,
        unreadable=tuple(name for plan in plans for name in plan.unreadable),
        parts=tuple(part for plan in plans for part in plan.parts),
        n_records=sum(plan.n_records for plan in plans),
        n_not_selected=sum(plan.n_not_selected for plan in plans),
        routes=dict(routes.most_common()),
    )
    for index, part in enumerate(whole.parts):
        if part.index != index or not 0 <= part.file < len(whole.inputs):
            problem = f"parts.{index}: it is number {part.index}, in file {part.file} of {len(whole.inputs)}"
            raise DamagedFileError(f"{storage.url}/{PLAN_NAME}", ValueError(problem))
    return whole


def read_config(storage: Storage) -> Mapping[str, Any]:
    """The configuration of the run in an output folder; empty without a plan.

    Raises:
        DamagedFileError: the plan has none, or none of a run.
    """
    return _checked_config(storage, PLAN_NAME, storage.read_json(PLAN_NAME)) if storage.exists(PLAN_NAME) else {}


def require_unused(storage: Storage) -> None:
    """Check that a folder without a plan holds nothing of a run, and does not lie in the folder of another one.

    Raises:
        PlanMismatchError: it does.
    """
    if (outer := run_around(storage.url)) is not None:
        raise PlanMismatchError(f"{storage.url} lies in the folder of the run {str(outer)!r}: choose another folder")
    for folder in FOLDERS:
        if names := storage.names(folder):
            raise PlanMismatchError(
                f"{storage.url} holds {folder}/{names[0]} of a run, but no {PLAN_NAME} to say which documents "
                f"they belong to: restore {PLAN_NAME} from a copy, or choose another folder"
            )


def require_own_commits(plan: Plan, commits: Mapping[int, Mapping[str, Any]]) -> None:
    """Check that the committed parts hold the documents of the plan.

    Raises:
        PlanMismatchError: one does not.
    """
    for index, commit in commits.items():
        if (problem := foreign(plan, index, commit)) is not None:
            raise PlanMismatchError(
                f"commits/part-{index:05d}.json {problem}: {PLAN_NAME} and the commits are not of the same run; "
                "restore the one that does not belong here, or choose another folder"
            )


def foreign(plan: Plan, index: int, commit: Mapping[str, Any]) -> str | None:
    """Why a commit cannot be of this plan, or None; a commit of an earlier version has no digests."""
    if index >= len(plan.parts):
        return f"is of a part that the plan does not have: it has {len(plan.parts)}"
    part = plan.parts[index]
    for name, planned in (("ids", part.ids), ("texts", part.texts)):
        if planned and commit.get(name, planned) != planned:
            return f"has documents with other {name} than its part of the plan"
    return None


def later_plans(storage: Storage) -> list[str]:
    """The names of the plans for files added later, in order."""
    return [name for name in storage.names("", ".json") if re.fullmatch(r"plan-\d{4,}\.json", name)]


def _read_plan(storage: Storage, name: str) -> Plan:
    data = storage.read_json(name)
    version = data.pop("plan_version", None) if isinstance(data, dict) else None
    if isinstance(data, dict) and version not in READABLE_VERSIONS:
        raise PlanMismatchError(
            f"{storage.url}/{name} has version {version}; this program reads versions "
            f"{', '.join(map(str, READABLE_VERSIONS))}"
        )
    try:
        plan = _PLAN.validate_python(data)
    except ValidationError as error:
        raise DamagedFileError(f"{storage.url}/{name}", error) from error
    _checked_config(storage, name, data)
    return plan


def _checked_config(storage: Storage, name: str, data: Any) -> Mapping[str, Any]:
    try:
        config: Mapping[str, Any] = data["config"]
        _Config.model_validate(config, strict=True)
    except ValidationError as error:
        raise DamagedFileError(f"{storage.url}/{name}", error) from error
    except (KeyError, TypeError) as error:
        raise DamagedFileError(f"{storage.url}/{name}", ValueError("config: it is missing")) from error
    return config


def option_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A phrase for each option that has changed, in the order of their names."""
    return [
        f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def require_same_run(plan: Plan, config: Mapping[str, Any], inputs: Sequence[InputFile] | None = None) -> None:
    """Check that a resumed run has the configuration and, if given, the inputs of the original run.

    Raises:
        PlanMismatchError: it does not; the message names the differences.
    """
    weights = "weights of the verdict"
    if plan.config.get(weights) != config.get(weights):
        raise PlanMismatchError(
            f"this output folder belongs to another run: its {weights} were {plan.config.get(weights)!r} and are now "
            f"{config.get(weights)!r}, and one run has one verdict. Finish it with the version or --calibration that "
            "began it, or choose another folder; `palimpsest refilter OUT NEW` judges its rewrites anew."
        )
    differences = option_differences(plan.config, config)
    before, now = ({file.name: file for file in files} for files in (plan.inputs, inputs or ()))
    for name in sorted({*before, *now} if inputs is not None else ()):
        if name not in now:
            differences.append(f"input {name} is missing")
        elif name not in before:
            differences.append(f"input {name} is new (--new-files adds it)")
        elif (before[name].n_bytes, before[name].version) != (now[name].n_bytes, now[name].version):
            differences.append(f"input {name} has changed since")
        elif before[name].content and fingerprint(now[name]) != before[name].content:
            differences.append(f"input {name} has other content, with the same size and time")
    if differences:
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        raise PlanMismatchError(
            f"this output folder belongs to another run: {shown}. "
            "Use the original inputs and options, or choose another folder."
        )


def _count(file: InputFile, n_read: int) -> int:
    """How many records of a file are left after the first `n_read`; an unreadable rest counts as one."""
    try:
        return count_records(file) - n_read
    except UnreadableFileError:
        return 1

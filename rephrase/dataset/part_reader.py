"""Read part after part: a part that begins where the last one ended continues in the open file.

A compressed file cannot be opened in the middle, and a Parquet row group is decoded as a whole: opening such a file
again for each of its n parts would read it n / 2 times.
"""

import threading
from collections.abc import Iterator

from rephrase.corpus.inputs import has_changed
from rephrase.corpus.reading import Position, ReadOptions, read_file
from rephrase.dataset.identity import PartDigests
from rephrase.dataset.plan import InputChangedError, Part, Plan
from rephrase.records import Document, UnreadableRecord

# The index of a file in the plan, and a position in it.
_Where = tuple[int, Position]


class PartReader:
    """Reads one part at a time, from any thread; parts may come in any order."""

    def __init__(self, plan: Plan, options: ReadOptions) -> None:
        self._plan = plan
        self._options = options
        self._lock = threading.Lock()
        self._open: Iterator[tuple[Document | UnreadableRecord, _Where]] = iter(())
        self._where: _Where | None = None

    def read(self, part: Part) -> list[Document | UnreadableRecord]:
        """The records of a part, in order; of documents with the same id, all but the first are rejected.

        Raises:
            InputChangedError: the input has changed since it was planned.
        """
        with self._lock:
            if self._where == (part.file, part.start):
                self._require_unchanged(part.file)
            else:
                self._open = self._read_on(part.file, part.start)
            self._where = None  # set again once the part is read
            records: list[Document | UnreadableRecord] = []
            digests = PartDigests()
            where = (part.file, part.start)
            while len(records) < part.n_records:
                found = next(self._open, None)
                if found is None:
                    raise InputChangedError(
                        f"part {part.index} was planned with {part.n_records} records and now has {len(records)}"
                    )
                records.append(found[0])
                digests.add(found[0])
                where = found[1]
            if part.texts and (digests.ids, digests.texts) != (part.ids, part.texts):
                raise InputChangedError(
                    f"{self._plan.inputs[part.file].name} holds other documents than when the run was planned, in part "
                    f"{part.index}; restore it and run again"
                )
            self._where = where
        for position in part.duplicates:
            record = records[position]
            if isinstance(record, Document):
                records[position] = UnreadableRecord(
                    document_id=record.id,
                    source=record.source,
                    record=record.record,
                    reason="duplicate_id",
                    detail="an earlier document of the corpus has the same id",
                    text=record.text,
                )
        return records

    def _read_on(self, number: int, start: Position) -> Iterator[tuple[Document | UnreadableRecord, _Where]]:
        """All records from `start` to the end of the corpus, each with the position after it."""
        for further, file in enumerate(self._plan.inputs[number:]):
            self._require_unchanged(number + further)
            for record, after in read_file(file, self._options, Position() if further else start):
                if (
                    isinstance(record, UnreadableRecord)
                    and record.reason == "unreadable_file"
                    and file.name not in self._plan.unreadable
                ):
                    raise InputChangedError(f"{record.detail}; it could be read when the run was planned: run again")
                yield record, (number + further, after)

    def _require_unchanged(self, number: int) -> None:
        file = self._plan.inputs[number]
        if has_changed(file):
            raise InputChangedError(f"{file.name} has changed since the run was planned; restore it and run again")

"""A sample of a corpus that is too large to be read for an estimate.

Records are taken from places that lie evenly in the bytes of the corpus: each byte of a file is as likely as any other.
What the sample says of records per byte is then true of the corpus, and how much the places differ says how far to
trust it.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import fsspec
import pyarrow.parquet as pq

from rephrase.reading import PARQUET_SUFFIXES, TEXT_SUFFIXES, InputFile, Position, ReadOptions, lines, read_file
from rephrase.records import Document, UnreadableRecord

# Up to this size a corpus is read as a whole: a few seconds.
WHOLE_BYTES = 2 << 20
N_PLACES = 40
RECORDS_PER_PLACE = 8
# So much of a compressed file is read to learn how many records lie in a byte of it.
HEAD_BYTES = 1 << 20

Record = Document | UnreadableRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSample:
    """`records` stand for `n_records`, which is exact when `whole`. `error` is the relative standard error of it."""

    records: list[Record]
    n_records: float
    whole: bool
    error: float


def sample_corpus(
    files: Sequence[InputFile], options: ReadOptions, *, limit: int | None = None, seed: int = 0
) -> CorpusSample:
    """All records of a small corpus, a sample of a larger one.

    Args:
        limit: only the first so many records count.

    Raises:
        ValueError: not one record could be read.
    """
    n_bytes = sum(file.n_bytes for file in files)
    if n_bytes <= WHOLE_BYTES:
        records = list(islice((record for file in files for record, _ in read_file(file, options)), limit))
        return CorpusSample(records=records, n_records=len(records), whole=True, error=0.0)
    if limit is not None and limit <= N_PLACES * RECORDS_PER_PLACE:
        records = list(islice((record for file in files for record, _ in read_file(file, options)), limit))
        return CorpusSample(records=records, n_records=len(records), whole=True, error=0.0)
    generator = random.Random(seed)
    records, per_byte = [], []
    for number in range(N_PLACES):
        at = (number + generator.random()) / N_PLACES * n_bytes
        file = next(file for file, end in _ends(files) if at < end)
        found, n_bytes_read = _at_place(file, options, generator.random())
        records += found
        if n_bytes_read:
            per_byte.append(len(found) / n_bytes_read)
    if not records:
        raise ValueError(f"no record could be read at {N_PLACES} places of {len(files)} files")
    # Of one record for so many bytes: the mean of bytes per record weighs places as the corpus does.
    mean = len(per_byte) / sum(1 / density for density in per_byte)
    spread = math.sqrt(sum((1 / density - 1 / mean) ** 2 for density in per_byte) / max(1, len(per_byte) - 1))
    n_records = n_bytes * mean
    return CorpusSample(
        records=records,
        n_records=min(n_records, limit) if limit else n_records,
        whole=False,
        error=spread * mean / math.sqrt(len(per_byte)),
    )


def _ends(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, float]]:
    end = 0.0
    for file in files:
        end += file.n_bytes
        yield file, end


def _at_place(file: InputFile, options: ReadOptions, where: float) -> tuple[list[Record], float]:
    """Some records at a share of a file, and how many of its bytes they stand for."""
    if file.path.endswith(TEXT_SUFFIXES):
        return [record for record, _ in read_file(file, options)], file.n_bytes
    if file.path.endswith(PARQUET_SUFFIXES):
        with fsspec.open(file.path, "rb") as raw:
            n_rows = pq.ParquetFile(raw).metadata.num_rows
        start = Position(record=int(where * n_rows))
        found = [record for record, _ in islice(read_file(file, options, start), RECORDS_PER_PLACE)]
        return found, len(found) * file.n_bytes / max(1, n_rows)
    if file.path.endswith((".gz", ".zst")):
        # There is no way to begin in the middle: its head stands for it.
        with fsspec.open(file.path, "rb") as raw:
            n_lines = sum(1 for line in lines(file, raw, HEAD_BYTES) if line.strip())
            n_bytes = min(file.n_bytes, max(1, raw.tell()))
        skipped = islice(read_file(file, options), int(where * n_lines), int(where * n_lines) + RECORDS_PER_PLACE)
        found = [record for record, _ in skipped]
        return found, len(found) * n_bytes / max(1, n_lines)
    start = Position(byte=_line_start(file, int(where * file.n_bytes)))
    found, end = [], start.byte
    for record, after in islice(read_file(file, options, start), RECORDS_PER_PLACE):
        found.append(record)
        end = after.byte
    return found, end - start.byte


def _line_start(file: InputFile, at: int) -> int:
    """Where the first line after byte `at` begins; the last line when none does."""
    with fsspec.open(file.path, "rb") as raw:
        raw.seek(at)
        raw.readline()
        return int(raw.tell()) if raw.tell() < file.n_bytes else 0

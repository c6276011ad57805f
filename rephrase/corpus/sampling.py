"""Sample a corpus that is too large to be read for an estimate.

A few records are taken at each of many places spread evenly over the bytes of the corpus. A place with short records
represents more of them, so each record has a weight (Horvitz and Thompson 1952); the spread between places gives the
standard error of the sum.
"""

import contextlib
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rephrase.corpus.decompression import CODECS, decompressed
from rephrase.corpus.inputs import InputFile, file_format
from rephrase.corpus.reading import Position, ReadOptions, UnreadableFileError, count_records, read_file
from rephrase.records import Document, UnreadableRecord
from rephrase.storage.filesystem import open_file

# A corpus up to this size is read as a whole, which takes a few seconds.
WHOLE_BYTES = 1 << 20
N_PLACES = 40
RECORDS_PER_PLACE = 3
# This much of a compressed file is read to estimate its records per byte.
HEAD_BYTES = 1 << 20

Record = Document | UnreadableRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSample:
    """`weights` are the records of the corpus that each of `records` represents, `error` the relative standard error of
    their sum."""

    records: list[Record]
    weights: list[float]
    whole: bool
    error: float

    @property
    def n_records(self) -> float:
        return sum(self.weights)


def sample_corpus(
    files: Sequence[InputFile], options: ReadOptions, *, limit: int | None = None, seed: int = 0
) -> CorpusSample:
    """All records of a small corpus, a sample of a larger one.

    Args:
        limit: count only this many records, from the start.

    Raises:
        ValueError: no record could be read.
    """
    n_bytes = sum(file.n_bytes for file in files)
    if n_bytes <= WHOLE_BYTES or (limit is not None and limit <= N_PLACES * RECORDS_PER_PLACE):
        whole = list(islice((record for file in files for record, _ in read_file(file, options)), limit))
        return CorpusSample(records=whole, weights=[1.0] * len(whole), whole=True, error=0.0)
    generator = random.Random(seed)
    records: list[Record] = []
    weights: list[float] = []
    texts = [file for file in files if file_format(file.path) == "text"]
    for file in (chosen := generator.sample(texts, min(len(texts), N_PLACES))):
        records += [record for record, _ in read_file(file, options)]
        weights.append(len(texts) / len(chosen))
    others = [file for file in files if file_format(file.path) != "text"]
    n_bytes = sum(file.n_bytes for file in others)
    densities = []
    for number in range(N_PLACES if n_bytes else 0):
        at = (number + generator.random()) / N_PLACES * n_bytes
        file = next(file for file, end in _ends(others) if at < end)
        found, n_bytes_read = _at_place(file, options, generator.random())
        densities.append(len(found) / n_bytes_read if found else 0.0)
        records += found
        weights += [n_bytes / N_PLACES / n_bytes_read] * len(found)
    if not records:
        raise ValueError(f"no record could be read at {N_PLACES} places in {len(files)} files")
    error = 0.0
    if densities:
        error = statistics.stdev(densities) / statistics.fmean(densities) / math.sqrt(len(densities))
    if limit is not None and limit < (n_records := sum(weights)):
        weights = [weight * limit / n_records for weight in weights]
    return CorpusSample(records=records, weights=weights, whole=False, error=error)


def _ends(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, float]]:
    end = 0.0
    for file in files:
        end += file.n_bytes
        yield file, end


def _at_place(file: InputFile, options: ReadOptions, where: float) -> tuple[list[Record], float]:
    """Some records at the relative position `where` in a file, and how many of its bytes they represent."""
    if file_format(file.path) == "parquet":
        try:
            n_rows = count_records(file)
        except UnreadableFileError:
            n_rows = 1
        start = Position(record=int(where * n_rows))
        found = [record for record, _ in islice(read_file(file, options, start), RECORDS_PER_PLACE)]
        return found, len(found) * file.n_bytes / max(1, n_rows)
    if file.path.lower().endswith(tuple(CODECS)):
        # It cannot be opened in the middle: its head represents it.
        n_lines, n_bytes = _head(file)
        skipped = islice(read_file(file, options), int(where * n_lines), int(where * n_lines) + RECORDS_PER_PLACE)
        found = [record for record, _ in skipped]
        return found, len(found) * n_bytes / max(1, n_lines)
    start = Position(byte=_line_start(file, int(where * file.n_bytes)))
    found, end = [], start.byte
    for record, after in islice(read_file(file, options, start), RECORDS_PER_PLACE):
        found.append(record)
        end = after.byte
    return found, end - start.byte


def _head(file: InputFile) -> tuple[int, int]:
    """The number of lines in the head of a compressed file, and its number of compressed bytes."""
    codec = CODECS[Path(file.path.lower()).suffix]
    n_lines = 0
    with open_file(file.path) as raw:
        stream = decompressed(raw, codec)
        with contextlib.suppress(EOFError, OSError):  # it is damaged: the records before count
            while raw.tell() < min(HEAD_BYTES, file.n_bytes) and (data := stream.read(1 << 16)):
                n_lines += data.count(b"\n")
            if raw.tell() >= file.n_bytes:  # all bytes are read, but some are still to be decompressed
                while data := stream.read(1 << 20):
                    n_lines += data.count(b"\n")
        return n_lines, min(file.n_bytes, raw.tell())


def _line_start(file: InputFile, at: int) -> int:
    """Where the first line after byte `at` begins; 0 if none does."""
    with open_file(file.path) as raw:
        raw.seek(at)
        raw.readline()
        return int(raw.tell()) if raw.tell() < file.n_bytes else 0

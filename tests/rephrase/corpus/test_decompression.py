"""All that stands before the damage of a compressed file is read."""

import gzip
import io
import random
import zlib

import pytest
import zstandard

from rephrase.corpus.decompression import decompressed

RANDOM = random.Random(0)
LINES = [f"{i} {RANDOM.randbytes(20).hex()}\n".encode() for i in range(20_000)]
DATA = b"".join(LINES)
GZIP, ZSTD = gzip.compress(DATA, 1), zstandard.compress(DATA)


def read(data, codec):
    """The lines before the error, and the error."""
    stream, lines = decompressed(io.BytesIO(data), codec), []
    try:
        while line := stream.readline():
            lines.append(line)
    except (OSError, EOFError) as error:
        return lines, type(error)
    return lines, None


@pytest.mark.parametrize(("data", "codec"), [(GZIP, "gzip"), (ZSTD, "zstd")])
def test_members_follow_one_another_and_zeros_may_follow_them(data, codec):
    assert read(data, codec) == (LINES, None)
    assert read(data + data, codec) == (LINES * 2, None)
    assert read(data + b"\0" * 200_000, codec) == (LINES, None)
    assert read(data + b"\0" * 200_000 + data, codec) == (LINES * 2, None)
    assert read(b"", codec) == ([], None)


@pytest.mark.parametrize(("data", "codec"), [(GZIP, "gzip"), (ZSTD, "zstd")])
def test_what_follows_the_data_is_an_error_after_all_lines(data, codec):
    assert read(data + b"something else", codec) == (LINES, OSError)
    assert read(b"not compressed", codec) == ([], OSError)


@pytest.mark.parametrize("n_bytes", [1, 8, 9, 1000, len(GZIP) // 2, len(GZIP) - 5])
def test_all_that_gzip_can_know_of_a_cut_file_is_read(n_bytes):
    cut = GZIP[:-n_bytes]
    lines, error = read(cut, "gzip")
    assert error is EOFError
    assert lines == zlib.decompressobj(wbits=31).decompress(cut).splitlines(keepends=True)[: len(lines)]
    assert len(lines) >= zlib.decompressobj(wbits=31).decompress(cut).count(b"\n")


@pytest.mark.parametrize("n_bytes", [1, 1000, len(ZSTD) // 2])
def test_all_whole_blocks_of_a_cut_zstd_file_are_read(n_bytes):
    lines, error = read(ZSTD[:-n_bytes], "zstd")
    assert error is EOFError
    assert lines == LINES[: len(lines)]
    assert sum(map(len, lines)) > len(DATA) * (1 - n_bytes / len(ZSTD)) - 2 * (128 << 10)  # a block has 128 KiB


def test_lines_before_a_wrong_checksum_are_read():
    wrong = bytearray(GZIP)
    wrong[-8] ^= 1
    assert read(bytes(wrong), "gzip") == (LINES, OSError)


def test_a_long_window_is_read():
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert read(data.compress(DATA) + data.flush(), "zstd") == (LINES, None)

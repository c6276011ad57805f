"""Decompressed gzip and zstd streams that give all that was written before the damage, and only then an error."""

import io
import zlib
from collections.abc import Iterator
from typing import IO, Any, Literal

import zstandard

Codec = Literal["gzip", "zstd"]
CODECS: dict[str, Codec] = {".gz": "gzip", ".zst": "zstd"}
# How much is decompressed at once: gzip makes up to 1,000 bytes of one, zstd 32,000.
_PIECE_BYTES = {"gzip": 1 << 16, "zstd": 1 << 12}
# The most that `zstd --long` writes; the library's own limit is 128 MiB.
MAX_WINDOW_BYTES = 1 << 31


def decompressed(raw: IO[bytes], codec: Codec) -> io.BufferedReader:
    """The content of a stream of gzip members or zstd frames, which zeros may follow.

    Reading raises EOFError where the stream is cut off and OSError where it is damaged.
    """
    return io.BufferedReader(_Pieces(_decompress(raw, codec)), buffer_size=1 << 16)


class _Pieces(io.RawIOBase):
    """A stream of the bytes that an iterator yields."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        n = min(len(buffer), len(self._piece))
        buffer[:n] = self._piece[:n]
        self._piece = self._piece[n:]
        return n


def _decompress(raw: IO[bytes], codec: Codec) -> Iterator[bytes]:
    n_bytes = _PIECE_BYTES[codec]
    data = raw.read(n_bytes)
    while data:
        member: Any = (
            zlib.decompressobj(wbits=31)
            if codec == "gzip"
            else zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
        )
        while not member.eof:
            if not data:
                raise EOFError("it is cut off in the middle of the compressed data")
            before = member.copy() if codec == "gzip" else None
            try:
                yield member.decompress(data)
            except (zlib.error, zstandard.ZstdError) as error:
                yield _up_to_the_damage(before, data)
                raise OSError(f"its compressed data is damaged, or something else follows it: {error}") from error
            data = member.unused_data if member.eof else raw.read(n_bytes)
        data = data.lstrip(b"\0")
        while not data and (more := raw.read(n_bytes)):
            data = more.lstrip(b"\0")


def _up_to_the_damage(member: Any, data: bytes) -> bytes:
    """What zlib decompressed of a piece before its error, which it does not return; of zstd it cannot be had."""
    output = b""
    try:
        for i in range(len(data) if member else 0):
            output += member.decompress(data[i : i + 1])
    except zlib.error:
        pass
    return output

"""Answers of servers within bounds: one may send without end, or a little that decompresses to all of the memory."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import httpx

# Other encodings reach a thousand times the size of gzip's, and one inside another squares it.
ENCODINGS = {"Accept-Encoding": "gzip, deflate"}
_ACCEPTED = {"", "identity", "gzip", "deflate", "x-gzip"}
# What is read of the answer to a refused request, as it is sent.
MAX_REFUSAL_BYTES = 1 << 16


class AnswerTooLongError(RuntimeError):
    """An answer has more bytes than any of its kind."""


async def bound(response: httpx.Response) -> None:
    """For the event hooks of an `httpx.AsyncClient` that sends ENCODINGS: whoever reads a refusal gets its beginning.

    Raises:
        httpx.RemoteProtocolError: the answer is compressed as it was not asked for.
    """
    _require_encoding(response)
    if not response.is_success and isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Beginning(response.stream)


async def read_within(pieces: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """
    Raises:
        AnswerTooLongError: there are more than `max_bytes`.
    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            raise AnswerTooLongError(f"longer than {max_bytes:,} bytes")
    return bytes(body)


def get(url: str, key: str, *, timeout_s: float, max_bytes: int) -> tuple[httpx.Response, bytes]:
    """The answer to a GET request with its body; redirects are not followed.

    Args:
        timeout_s: for the whole of it; httpx limits each read only.

    Raises:
        httpx.HTTPError, TimeoutError: there is none in time.
        AnswerTooLongError: it is longer than `max_bytes`.
    """
    headers = {"Authorization": f"Bearer {key}", **ENCODINGS}

    async def ask() -> tuple[httpx.Response, bytes]:
        client = httpx.AsyncClient(headers=headers, timeout=timeout_s, event_hooks={"response": [bound]})
        async with asyncio.timeout(timeout_s), client, client.stream("GET", url) as response:
            return response, await read_within(response.aiter_bytes(), max_bytes)

    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop already
        return thread.submit(asyncio.run, ask()).result()


def _require_encoding(response: httpx.Response) -> None:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ACCEPTED:
        raise httpx.RemoteProtocolError(f"the answer is compressed as {encoding[:80]!r}, which was not asked for")


class _Beginning(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_REFUSAL_BYTES
        async for piece in self._stream:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()

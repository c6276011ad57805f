"""The batch and the queue of a vLLM server, read from its Prometheus metrics.

    vllm:num_requests_running{engine="0",model_name="..."} 32.0

The counts of all engines behind one server are added up.
"""

import asyncio
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from rephrase.engines.bounded import ENCODINGS, AnswerTooLongError, bound, read_within
from rephrase.engines.engine import EngineLoad

# Answers come more often than this, and a server takes some milliseconds to write its metrics.
REFRESH_S = 2.0
TIMEOUT_S = 30.0
# vLLM's page has some 100 KB.
MAX_BYTES = 8 << 20

_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
_KV_CACHE, _PREEMPTIONS = "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total"


class ServerLoad:
    """The load of one endpoint; `value` is None while unknown. An endpoint without metrics is not queried again.

    `n_preemptions` counts from the first reading of the metrics.
    """

    def __init__(self, endpoint: str, key: str) -> None:
        """
        Args:
            endpoint: base URL that ends in `/v1`.
        """
        self.value: EngineLoad | None = None
        self.n_preemptions = 0
        self._n_preemptions_reported: int | None = None
        self._url = endpoint.rstrip("/").removesuffix("/v1") + "/metrics"
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            headers={"Authorization": f"Bearer {key}", **ENCODINGS},
            event_hooks={"response": [bound]},
        )
        self._queried_at = float("-inf")
        self._has_metrics = True
        self._query: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Query the endpoint, unless that was done just now; `value` changes when the answer arrives."""
        now = time.monotonic()
        if self._has_metrics and now - self._queried_at >= REFRESH_S and (self._query is None or self._query.done()):
            self._queried_at = now
            self._query = asyncio.create_task(self._read_metrics())

    async def close(self) -> None:
        if self._query:
            self._query.cancel()
            await asyncio.gather(self._query, return_exceptions=True)
        await self._client.aclose()

    async def _read_metrics(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.stream("GET", self._url) as answer:
                try:
                    page = await read_within(answer.aiter_bytes(), MAX_BYTES)
                except AnswerTooLongError:
                    page = b""  # no page of metrics
        except (httpx.HTTPError, TimeoutError):  # busy or down, which its requests will show
            self.value = None
            return
        found = parse_load(page.decode("utf-8", "replace")) if answer.is_success else None
        self.value = found
        self._has_metrics = found is not None or answer.status_code >= 500
        if found:
            # The server counts from its own start, over all runs.
            if self._n_preemptions_reported is not None:
                self.n_preemptions += max(0, found.n_overloads - self._n_preemptions_reported)
            self._n_preemptions_reported = found.n_overloads


def parse_load(metrics: str) -> EngineLoad | None:
    """The load in a page of metrics, with preemptions as `n_overloads`; None if it is not in there."""
    lines = [line for line in metrics.splitlines() if line.startswith((_RUNNING, _WAITING, _KV_CACHE, _PREEMPTIONS))]
    found: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.value)
        if _RUNNING not in found or _WAITING not in found:
            return None
        return EngineLoad(
            n_running=int(sum(found[_RUNNING])),
            n_waiting=int(sum(found[_WAITING])),
            kv_cache_use=max(found.get(_KV_CACHE, [0.0])),
            n_overloads=int(sum(found.get(_PREEMPTIONS, []))),
        )
    except (ValueError, OverflowError):  # another format, NaN or infinity
        return None

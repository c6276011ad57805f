"""What a vLLM server says of its batch and its queue, in the metrics that it has for Prometheus.

    vllm:num_requests_running{engine="0",model_name="..."} 32.0

The engines behind one server count together.
"""

import asyncio
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from rephrase.engines.engine import EngineLoad

# Answers come more often than that; a server takes some milliseconds to write its metrics.
REFRESH_S = 2.0
TIMEOUT_S = 10.0

_RUNNING, _WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
_KV_CACHE, _PREEMPTIONS = "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total"


class ServerLoad:
    """The load of one endpoint; `value` is None while it is not known. One that does not tell is not asked again.

    `n_preemptions` are those since the first time that it was heard of.
    """

    def __init__(self, endpoint: str, key: str) -> None:
        """
        Args:
            endpoint: base URL that ends in `/v1`.
        """
        self.value: EngineLoad | None = None
        self.n_preemptions = 0
        self._n_preemptions_told: int | None = None
        self._url = endpoint.rstrip("/").removesuffix("/v1") + "/metrics"
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {key}"})
        self._asked_at = float("-inf")
        self._tells = True
        self._asking: asyncio.Task[None] | None = None

    def refresh(self) -> None:
        """Ask for it, unless that has just been done; `value` changes when the answer comes."""
        now = time.monotonic()
        if self._tells and now - self._asked_at >= REFRESH_S and (self._asking is None or self._asking.done()):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())

    async def close(self) -> None:
        if self._asking:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._client.aclose()

    async def _ask(self) -> None:
        try:
            answer = await self._client.get(self._url)
        except httpx.HTTPError:  # it is busy or away, and will be heard of otherwise
            self.value = None
            return
        found = parse_load(answer.text) if answer.is_success else None
        self.value = found
        self._tells = found is not None or answer.status_code >= 500
        if found:
            # It counts since it was started, for whatever run.
            if self._n_preemptions_told is not None:
                self.n_preemptions += max(0, found.n_overloads - self._n_preemptions_told)
            self._n_preemptions_told = found.n_overloads


def parse_load(metrics: str) -> EngineLoad | None:
    """The load in a page of metrics, `n_overloads` its preemptions; None where it is not there."""
    lines = [line for line in metrics.splitlines() if line.startswith((_RUNNING, _WAITING, _KV_CACHE, _PREEMPTIONS))]
    found: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.value)
    except ValueError:
        return None
    if _RUNNING not in found or _WAITING not in found:
        return None
    return EngineLoad(
        n_running=int(sum(found[_RUNNING])),
        n_waiting=int(sum(found[_WAITING])),
        kv_cache_use=max(found.get(_KV_CACHE, [0.0])),
        n_overloads=int(sum(found.get(_PREEMPTIONS, []))),
    )

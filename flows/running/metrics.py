"""Prometheus metrics of a run; every value is read at the moment of the scrape, and the last ones wait for it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rephrase.progress import Progress
from rephrase.scheduling.scheduler import Scheduler

PORT_VARIABLE = "PALIMPSEST_METRICS_PORT"
HOST_VARIABLE = "PALIMPSEST_METRICS_HOST"  # 0.0.0.0 if Prometheus runs on another machine
DEFAULT_HOST = "127.0.0.1"
# How long a run that was scraped before stays for the scrape of its end.
LINGER_S = 30.0
STATES = ("running", "completed", "failed", "stopped")


class RunCollector(Collector):
    """The counts of a run and the state of its engine. Counters start at what earlier sessions committed.

    Attributes:
        scheduler: set once the engine is open; never on Ray, whose workers have one each.
        state: one of STATES.
        n_scrapes: how often the metrics were read.
    """

    def __init__(self, progress: Progress, scheduler: Scheduler | None = None) -> None:
        self._progress = progress
        self.scheduler = scheduler
        self.state = STATES[0]
        self.n_scrapes = 0

    def collect(self) -> Iterator[Metric]:
        yield from self._counts()
        if self.scheduler:
            yield from self._engine(self.scheduler)
        self.n_scrapes += 1

    def _counts(self) -> Iterator[Metric]:
        p = self._progress
        states = GaugeMetricFamily("palimpsest_run_state", "1 for the state that the run is in.", labels=["state"])
        for state in STATES:
            states.add_metric([state], state == self.state)
        yield states
        yield _gauge("records", "Records of the run.", p.n_records)
        yield _counter("records_done", "Records that are accepted or rejected.", p.n_records_done)
        yield _counter("documents_accepted", "Documents with at least one accepted rewrite.", p.n_documents_accepted)
        chunks = CounterMetricFamily("palimpsest_chunks", "Chunks over all sessions.", labels=["outcome"])
        chunks.add_metric(["accepted"], p.n_chunks_accepted)
        chunks.add_metric(["rejected"], p.n_chunks_rejected)
        yield chunks
        tokens = CounterMetricFamily("palimpsest_tokens", "Tokens; accepted ones over all sessions.", labels=["kind"])
        for kind, n_tokens in {
            "accepted": p.n_tokens,
            "completion": p.n_completion_tokens,
            "prompt": p.n_prompt_tokens,
            "cached": p.n_cached_tokens,
        }.items():
            tokens.add_metric([kind], n_tokens)
        yield tokens
        yield _counter("cost", "Cost of the run at the given prices.", p.cost)
        yield _gauge("journal_pending", "Finished documents not yet in the journal.", p.n_journal_pending)
        yield _counter("journal_entries", "Finished documents written to the journal.", p.n_journal_entries)
        yield _counter("journal_seconds", "Total time spent writing the journal.", p.journal_s)

    def _engine(self, s: Scheduler) -> Iterator[Metric]:
        load = s.engine_load
        yield _gauge("requests_in_flight", "Requests at the engine.", s.n_in_flight)
        yield _gauge("requests_in_flight_limit", "Current limit of requests at the engine.", s.limit.value)
        yield _gauge("chains_under_way", "Documents in progress, counted once per variant.", s.n_chains_in_progress)
        yield _gauge("chains_to_begin", "Documents waiting to start, counted once per variant.", s.n_chains_to_start)
        yield _gauge("engine_batch", "Requests in the engine's running batch, if it reports them.", load.n_running)
        yield _gauge("engine_waiting", "Requests waiting inside the engine.", load.n_waiting)
        yield _gauge("engine_kv_cache_use", "Share of the engine's KV cache in use.", load.kv_cache_use)
        yield _counter("engine_overloads", "Requests that the engine was too busy to take.", load.n_overloads)


@contextlib.asynccontextmanager
async def serve_metrics(progress: Progress, warn: Callable[[str], None]) -> AsyncIterator[RunCollector]:
    """Serve the metrics of a run at http://HOST:PORT/metrics when PALIMPSEST_METRICS_PORT is set.

    At the end of the context, its last values stay until they are read, for LINGER_S at most, if any were read before.
    If the port is taken, `warn` is called and the run continues without metrics.

    Raises:
        ValueError: the port is not a number.
    """
    collector = RunCollector(progress)
    with _server(collector, warn):
        try:
            yield collector
        except asyncio.CancelledError:
            collector.state = "stopped"
            raise
        except BaseException:
            collector.state = "failed"
            await _last_scrape(collector)
            raise
        collector.state = "completed"
        await _last_scrape(collector)


async def _last_scrape(collector: RunCollector) -> None:
    n_before, waited_s = collector.n_scrapes, 0.0
    while 0 < n_before == collector.n_scrapes and waited_s < LINGER_S:
        await asyncio.sleep(0.1)
        waited_s += 0.1


@contextlib.contextmanager
def _server(collector: RunCollector, warn: Callable[[str], None]) -> Iterator[None]:
    value = os.environ.get(PORT_VARIABLE)
    if not value:
        yield
        return
    try:
        port = int(value)
    except ValueError:
        raise ValueError(f"{PORT_VARIABLE} is {value!r}, which is not a port") from None
    registry = CollectorRegistry()
    registry.register(collector)
    host = os.environ.get(HOST_VARIABLE, DEFAULT_HOST)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        warn(f"no metrics: port {port} at {host} cannot be opened ({error})")
        yield
        return
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"palimpsest_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"palimpsest_{name}", text, value=value)

"""The Prefect artifacts of a run: created once and then kept up to date while it runs.

They are for display only. An outage of the Prefect server must not stop a run, so nothing here raises.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.runtime import flow_run

from flows.results.progress import ProgressLine
from flows.results.samples import Sample, find_samples, samples_markdown
from flows.results.summary import Summary, summarize
from flows.running.earlier_tries import artifacts_of_earlier_tries
from rephrase.dataset.plan import Plan
from rephrase.dataset.rows import Row
from rephrase.dataset.shards import read_commits
from rephrase.progress import Progress
from rephrase.storage.storage import Storage

REFRESH_S = 5.0
LOG_EVERY_S = 60.0
LAST_UPDATE_TIMEOUT_S = 30.0
N_SAMPLES = 3


class RunArtifacts:
    """The artifacts of one run: progress, summary, recipes, samples, and output location."""

    def __init__(self, storage: Storage, progress: Progress, plan: Plan, earlier: Mapping[str, UUID]) -> None:
        self._storage = storage
        self._plan = plan
        self._commits: dict[int, Row] = {}
        self._progress = progress
        self._line = ProgressLine(progress)
        self._ids = dict(earlier)
        self._shown: dict[str, str] = {}
        self._samples: list[Sample] = []
        self._sampled_parts: set[int] = set()

    async def keep_up_to_date(self) -> None:
        """Run until cancelled."""
        seconds_to_log = LOG_EVERY_S
        while True:
            await self.update()
            await asyncio.sleep(REFRESH_S)
            seconds_to_log -= REFRESH_S
            if seconds_to_log <= 0:
                seconds_to_log = LOG_EVERY_S
                get_run_logger().info(self._line.text())

    async def update(self) -> None:
        """Write what has changed; what the server refuses is tried again at the next update."""
        # Only new commits are read: there may be many thousands.
        commits = self._commits = await asyncio.to_thread(read_commits, self._storage, self._commits)
        summary = await asyncio.to_thread(summarize, self._storage, self._plan, commits)
        if len(self._samples) < N_SAMPLES:
            await asyncio.to_thread(self._find_samples, commits)
        share = self._progress.n_bytes_done / self._progress.n_bytes if self._progress.n_bytes else 0.0
        done = 100.0 if summary.complete else min(99.9, 100 * share)
        try:
            await self._write("rephrase-progress", "progress", round(done, 1), self._line.text())
            await self._write("rephrase-account", "table", json.dumps(summary_rows(summary)), "Summary of the records")
            await self._write(
                "rephrase-recipes", "table", json.dumps(recipe_rows(commits)), "Counts by recipe and outcome"
            )
            if self._samples:
                await self._write("rephrase-samples", "markdown", samples_markdown(self._samples), "Source and rewrite")
            await self._write("rephrase-output", "markdown", output_markdown(summary), "Output location")
        except Exception as error:
            get_run_logger().warning("the run's page is not up to date: %s", error)

    def _find_samples(self, commits: Mapping[int, Row]) -> None:
        for index in sorted({*commits} - self._sampled_parts):
            self._samples = find_samples(self._storage, commits[index], self._samples, N_SAMPLES)
            self._sampled_parts.add(index)
            if len(self._samples) == N_SAMPLES:
                return

    async def _write(self, key: str, kind: str, data: Any, description: str) -> None:
        now = f"{data}{description}"
        if self._shown.get(key) == now:
            return
        async with get_client() as client:
            if key in self._ids:
                await client.update_artifact(self._ids[key], ArtifactUpdate(data=data, description=description))
            else:
                created = await client.create_artifact(
                    ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=flow_run.id)
                )
                self._ids[key] = created.id
        self._shown[key] = now


@asynccontextmanager
async def publish_artifacts(storage: Storage, progress: Progress, plan: Plan) -> AsyncIterator[None]:
    """Keep the artifacts of this run up to date while the context is open, and update them at its end."""
    artifacts = RunArtifacts(storage, progress, plan, await artifacts_of_earlier_tries())
    task = asyncio.create_task(artifacts.keep_up_to_date())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(artifacts.update(), LAST_UPDATE_TIMEOUT_S)


def summary_rows(summary: Summary) -> list[dict[str, str]]:
    """The summary of a run, one figure and its value per row."""
    share = f" ({summary.n_chunks_accepted / summary.n_chunks:.0%})" if summary.n_chunks else ""
    figures = {
        "records read": f"{summary.n_read:,}",
        "records accepted": f"{summary.n_accepted:,}",
        "records rejected": f"{summary.n_rejected:,}",
        "records to do": f"{summary.n_to_do:,}",
        "records not selected": f"{summary.n_not_selected:,}",
        "chunks accepted": f"{summary.n_chunks_accepted:,} of {summary.n_chunks:,}{share}",
        "accepted tokens": f"{summary.n_tokens:,}",
        "generated tokens": f"{summary.n_completion_tokens:,}",
        "prompt tokens": f"{summary.n_prompt_tokens:,}",
        "generated tokens per second": f"{summary.tokens_per_s:,.0f}",
        "time": str(timedelta(seconds=round(summary.seconds))),
        "parts committed": f"{summary.n_parts_committed:,} of {summary.n_parts:,}",
    }
    if summary.idle_share is not None:
        figures["idle slots of the engine"] = f"{summary.idle_share:.0%}"
    if summary.cost:
        per_million = f"{summary.cost_per_million_tokens:,.2f} per million accepted tokens"
        figures["cost"] = f"{summary.cost:,.2f}, {per_million}"
    return [{"figure": name, "value": value} for name, value in figures.items()]


def recipe_rows(commits: Mapping[int, Row]) -> list[dict[str, Any]]:
    """Accepted rewrites and rejects by reason for each recipe; unreadable records have no recipe."""
    counts: dict[tuple[str, str], list[int]] = {}
    for commit in commits.values():
        for entry in commit.get("by_recipe", []):
            found = counts.setdefault((entry["recipe"], entry["outcome"]), [0, 0])
            found[0] += entry["n"]
            found[1] += entry["n_tokens"]
    # Within a recipe, accepted comes first, then the most common reasons.
    order = sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] != "accepted", -item[1][0]))
    return [
        {"recipe": recipe or "(none)", "outcome": outcome, "count": n, "tokens": n_tokens}
        for (recipe, outcome), (n, n_tokens) in order
    ]


def output_markdown(summary: Summary) -> str:
    """Where to look further. Browsers do not open local files from a server's page, so paths are text, not links."""
    where, machine = full_path(summary.output)
    rejects = f"Rejects: `{where}/rejects/*.parquet`\n\n" if summary.n_rejects else ""
    return (
        f"Rewrites: `{where}/rewrites/*.parquet`{machine}\n\n"
        f"{rejects}"
        f"View them: `palimpsest inspect {where}`\n\n"
        f"Report with a reader: `palimpsest report {where}` writes `{where}/report.html`\n"
    )


def full_path(url: str) -> tuple[str, str]:
    """A local folder with its full path and its machine, since a server may show runs of many machines and folders."""
    if "://" in url:
        return url, ""
    return str(Path(url).absolute()), f" on {socket.gethostname()}"

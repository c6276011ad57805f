"""One run at a time on a GPU: a global concurrency limit that the runs of all deployments share.

It does not end a run when its lease cannot be renewed: a Prefect server that is away must not stop hours of work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from prefect import get_client, get_run_logger
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, concurrency
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment

ENGINE_LIMIT = "palimpsest-engine"
# After a `kill -9` the next run waits for so long; Prefect takes no less.
LEASE_S = 60
POLL_S = 3.0


@asynccontextmanager
async def engine_slot(needed: bool = True) -> AsyncIterator[None]:
    """Hold the engine of this place while the context is open; runs of the command line do not ask for it."""
    async with AsyncExitStack() as stack:
        waited = not needed or not deployment.id
        told = False
        while not waited:
            try:
                # Prefect's own waiting cannot be cancelled: a run that waited took 30 s to end.
                slot = concurrency(
                    ENGINE_LIMIT, max_retries=0, lease_duration=LEASE_S, raise_on_lease_renewal_failure=False
                )
                await stack.enter_async_context(slot)
                waited = True
            except ConcurrencySlotAcquisitionError as error:
                if not _is_taken(error):
                    raise
                if not told:
                    get_run_logger().info("another run has the engine (concurrency limit %s): waiting", ENGINE_LIMIT)
                told = True
                await asyncio.sleep(POLL_S)
        yield


def _is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.LOCKED


async def ensure_engine_limit(n_slots: int = 1) -> None:
    """Make the limit when there is none; one that is there may have been changed by its users and stays."""
    async with get_client() as client:
        try:
            await client.read_global_concurrency_limit_by_name(ENGINE_LIMIT)
        except ObjectNotFound:
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=ENGINE_LIMIT, limit=n_slots))

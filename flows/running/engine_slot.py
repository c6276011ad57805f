"""One run at a time on a GPU: a global concurrency limit that the runs of all deployments share.

A run continues if its lease cannot be renewed: an outage of the Prefect server must not stop hours of work.
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
# After a `kill -9` the next run waits this long; Prefect accepts no shorter lease.
LEASE_S = 60
POLL_S = 3.0


@asynccontextmanager
async def engine_slot(needed: bool = True) -> AsyncIterator[None]:
    """Hold the engine of this machine while the context is open; runs started from the command line do not need it."""
    async with AsyncExitStack() as stack:
        acquired = not needed or not deployment.id
        logged = False
        while not acquired:
            try:
                # Prefect's own waiting cannot be cancelled: a waiting run took 30 s to end.
                slot = concurrency(
                    ENGINE_LIMIT, max_retries=0, lease_duration=LEASE_S, raise_on_lease_renewal_failure=False
                )
                await stack.enter_async_context(slot)
                acquired = True
            except ConcurrencySlotAcquisitionError as error:
                if not _is_taken(error):
                    raise
                if not logged:
                    get_run_logger().info(
                        "another run is using the engine (concurrency limit %s): waiting", ENGINE_LIMIT
                    )
                logged = True
                await asyncio.sleep(POLL_S)
        yield


def _is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    cause = error.__cause__
    return isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code == httpx.codes.LOCKED


async def ensure_engine_limit(n_slots: int = 1) -> None:
    """Create the limit if there is none; an existing one is kept, since users may have changed it."""
    async with get_client() as client:
        try:
            await client.read_global_concurrency_limit_by_name(ENGINE_LIMIT)
        except ObjectNotFound:
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=ENGINE_LIMIT, limit=n_slots))

"""Task runs that show as under way when nothing is: the server was not told how they ended, or has not kept it.

Prefect's task runs report their states as events, which a server whose database is away for long gives up writing. And
a try that is killed reports nothing. Both would show as running for ever, in a run that has completed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prefect import get_client, get_run_logger
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed

# A server that is well writes a state down within this time.
REPORT_S = 10.0
POLL_S = 0.5
UNDER_WAY = [StateType.PENDING, StateType.RUNNING]


async def close_earlier_tries() -> None:
    """Show task runs of a try that was killed as crashed.

    To be called before this try starts a task, and once no other process can be at work for this run.
    """
    if flow_run.run_count > 1:
        await _close(Crashed(message="Its attempt was killed; a later one has done its work."))


@asynccontextmanager
async def task_runs_closed(*, all_complete: bool = True) -> AsyncIterator[None]:
    """In whose context all task runs of this flow run begin and end: none shows as under way after it.

    Args:
        all_complete: whether in a run that has succeeded all of them have. Otherwise, and in a run that has failed, the
            reports of how they ended are waited for first. A report that comes later changes nothing: the server keeps
            the later time.
    """
    try:
        yield
    except Exception:
        await _close(Crashed(message="The run has failed, and the server does not know how this ended."), REPORT_S)
        raise
    if all_complete:
        await _close(Completed())
    else:
        await _close(Crashed(message="It was lost, and another one has done its work."), REPORT_S)


async def _close(state: State[None], patience_s: float = 0.0) -> None:
    try:
        async with get_client() as client:
            while patience_s > 0 and await _under_way(client):
                await asyncio.sleep(POLL_S)
                patience_s -= POLL_S
            while left := await _under_way(client):  # as many as the server shows at a time
                for task_run in left:
                    await client.set_task_run_state(task_run.id, state, force=True)
    except Exception as error:  # only the page is wrong
        get_run_logger().warning("task runs that have ended still show as running: %s", error)


async def _under_way(client: PrefectClient) -> list[TaskRun]:
    states = TaskRunFilterState(type=TaskRunFilterStateType(any_=UNDER_WAY), name=None)
    return await client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])),
        task_run_filter=TaskRunFilter(state=states),
    )

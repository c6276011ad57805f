"""What an earlier try of a run left in Prefect: its artifacts are continued, and what it had under way is closed."""

from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

UNDER_WAY = [StateType.PENDING, StateType.RUNNING]


async def close_earlier_tries() -> None:
    """Show task runs of a try that was killed as crashed: nobody else ends them, and the run completes around them.

    To be called before this try starts a task, and once no other process can be at work for this run.
    """
    if flow_run.run_count <= 1:
        return
    states = TaskRunFilterState(type=TaskRunFilterStateType(any_=UNDER_WAY), name=None)
    under_way = TaskRunFilter(state=states)
    try:
        async with get_client() as client:
            for left in await client.read_task_runs(flow_run_filter=_this_run(), task_run_filter=under_way):
                killed: State[None] = Crashed(
                    message="The try it belonged to was killed; a later one has done its work."
                )
                await client.set_task_run_state(left.id, killed, force=True)
    except Exception as error:  # only the page is wrong
        get_run_logger().warning("task runs of earlier tries still show as running: %s", error)


async def artifacts_of_earlier_tries() -> dict[str, UUID]:
    """The artifacts of this run, by key."""
    if flow_run.run_count <= 1:
        return {}
    of_this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]))
    try:
        async with get_client() as client:
            found = await client.read_artifacts(artifact_filter=of_this_run)
    except Exception as error:  # only the page is wrong
        get_run_logger().warning("the artifacts of earlier tries are not continued: %s", error)
        return {}
    return {artifact.key: artifact.id for artifact in found if artifact.key}


def _this_run() -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))

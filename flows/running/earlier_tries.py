"""The artifacts that an earlier try of a run left in Prefect: this try continues them."""

from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run


async def artifacts_of_earlier_tries() -> dict[str, UUID]:
    """The artifacts of this run, by key."""
    if flow_run.run_count <= 1:
        return {}
    of_this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]))
    try:
        async with get_client() as client:
            found = await client.read_artifacts(artifact_filter=of_this_run)
    except Exception as error:  # only the page is wrong
        get_run_logger().warning("the artifacts of earlier attempts are not continued: %s", error)
        return {}
    return {artifact.key: artifact.id for artifact in found if artifact.key}

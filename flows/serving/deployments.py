"""The deployments: the flows as Prefect offers them in its UI, with a form for their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Schedule

from flows.pretraining import full_run, pretrain
from flows.rephrasing import rephrase
from flows.verifying import verify

TAG = "palimpsest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A flow that is served. `entrypoint` is a module path: loaded by file, flows/ would shadow other packages."""

    flow: Flow[..., Any]
    entrypoint: str
    description: str

    @property
    def name(self) -> str:
        return self.flow.name


SERVED: Sequence[Served] = (
    Served(
        flow=rephrase,
        entrypoint="flows.rephrasing.rephrase",
        description="Rewrite a corpus, check each rewrite against its source, write Parquet shards. A run that was "
        "stopped or failed goes on when it is run again with the same parameters, or retried.",
    ),
    Served(
        flow=verify,
        entrypoint="flows.verifying.verify",
        description="Say of pairs of texts, or of the rewrites of a run, how probably each says what its source says, "
        "and where it does not.",
    ),
    Served(
        flow=pretrain,
        entrypoint="flows.pretraining.pretrain",
        description="Train a mixture-of-experts model with MuonClip on the shards of a run, and measure what each "
        "recipe taught it. Run again, it goes on from its newest checkpoint.",
    ),
    Served(
        flow=full_run,
        entrypoint="flows.pretraining.full_run",
        description="Rewrite a corpus, then train on what came of it.",
    ),
)


def make_deployments(
    parameters: Mapping[str, Mapping[str, Any]] | None = None, schedules: Mapping[str, Schedule] | None = None
) -> list[RunnerDeployment]:
    """A deployment of each flow.

    Args:
        parameters: by the name of the flow, what its form holds at first.
        schedules: by the name of the flow.

    Raises:
        pydantic.ValidationError: a schedule is none.
    """
    deployments = []
    for served in SERVED:
        deployment = RunnerDeployment.from_flow(
            served.flow,
            served.name,
            description=served.description,
            tags=[TAG],
            parameters=dict((parameters or {}).get(served.name, {})),
            schedule=(schedules or {}).get(served.name),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment.entrypoint = served.entrypoint
        deployments.append(deployment)
    return deployments

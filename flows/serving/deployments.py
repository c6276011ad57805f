"""The deployments: the flows as offered in Prefect's UI, with a form for their parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import Flow
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.schedules import Schedule

from flows.cycling import cycle
from flows.pretraining import full_run, pretrain
from flows.rephrasing import rephrase
from flows.verifying import verify

TAG = "palimpsest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFlow:
    """A flow to serve. `entrypoint` is a module path: loaded by file, flows/ would shadow other packages."""

    flow: Flow[..., Any]
    entrypoint: str
    description: str

    @property
    def name(self) -> str:
        return self.flow.name


SERVED_FLOWS: Sequence[ServedFlow] = (
    ServedFlow(
        flow=rephrase,
        entrypoint="flows.rephrasing.rephrase",
        description="Rewrite a corpus, check each rewrite against its source, write Parquet shards. A stopped or "
        "failed run resumes when it is run again with the same parameters, or retried.",
    ),
    ServedFlow(
        flow=verify,
        entrypoint="flows.verifying.verify",
        description="Estimate the probability that each rewrite, in pairs of texts or in a run, is faithful to its "
        "source, and show where it is not.",
    ),
    ServedFlow(
        flow=pretrain,
        entrypoint="flows.pretraining.pretrain",
        description="Train a mixture-of-experts model with MuonClip on the shards of a run, and measure what each "
        "recipe taught it. Run again, it resumes from its newest checkpoint.",
    ),
    ServedFlow(
        flow=full_run,
        entrypoint="flows.pretraining.full_run",
        description="Rewrite a corpus, then train on the result.",
    ),
    ServedFlow(
        flow=cycle,
        entrypoint="flows.cycling.cycle",
        description="Rewrite a corpus, train on the result, and let training decide what is rewritten next, in "
        "rounds. Run again, it resumes.",
    ),
)


def make_deployments(
    parameters: Mapping[str, Mapping[str, Any]] | None = None, schedules: Mapping[str, Schedule] | None = None
) -> list[RunnerDeployment]:
    """A deployment of each flow.

    Args:
        parameters: default values of the form, by flow name.
        schedules: by flow name.

    Raises:
        pydantic.ValidationError: a schedule is invalid.
    """
    deployments = []
    for served in SERVED_FLOWS:
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

"""Where and how a run uses a Ray cluster; Ray itself need not be installed to read this."""

from pydantic import Field

from rephrase.settings import Settings


class RayTrainConfig(Settings):
    """The Ray cluster that trains, and the resources of each of its processes."""

    address: str | None = Field(
        None, description="Address of the head node, such as 10.0.0.1:6379; without one, Ray runs on this machine."
    )
    cpus_per_process: float = Field(1, gt=0, description="CPUs per process.")
    gpus_per_process: float = Field(0, ge=0, description="GPUs per process: 1, where the cluster has GPUs.")
    min_dp: int | None = Field(
        None,
        ge=1,
        title="Smallest dp",
        description="When machines are lost, continue on the others if they have room for a mesh with this dp; by "
        "default the run waits until there are as many again.",
    )
    max_restarts: int = Field(
        3, ge=0, description="How often the run is restarted from its newest checkpoint after a process was lost."
    )

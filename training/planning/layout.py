"""How a model is laid out over ranks: pipeline stages × expert-parallel ranks × replicas of both.

A pipeline rank holds `vpp` runs of neighbouring layers (virtual stages): the interleaved schedule, 1F1B where vpp is 1
(Narayanan et al., arXiv 2104.04473, section 2.2). Every rank of the ep · dp ranks of a stage reads rows of its own and
holds the stage's other weights whole; of the routed experts it holds 1/ep, so dp ranks hold the same ones.
"""

from dataclasses import dataclass

from training.model.config import ModelConfig
from training.parallel import MeshSizes
from training.sharding.stage import divide_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout(MeshSizes):
    """`rows` are the rows of a step over all ranks, K2's by default: 67 M tokens at its context length.

    Attributes:
        pp: pipeline ranks.
        ep: expert-parallel ranks.
        dp: replicas of a model that is spread over pp · ep ranks.
        vpp: virtual stages of a pipeline rank.
        rows: packed rows per optimizer step.
        micro: rows per micro-batch.
    """

    vpp: int = 1
    rows: int = 16_384
    micro: int = 1

    def __post_init__(self) -> None:
        if self.rows % (self.n_readers * self.micro):
            raise ValueError(
                f"{self.rows} rows per step do not divide into micro-batches of {self.micro} for ep · dp = "
                f"{self.n_readers} ranks; set rows to a multiple of {self.n_readers * self.micro}"
            )

    @property
    def n_micro_batches(self) -> int:
        """Micro-batches of a pipeline in one step."""
        return self.rows // (self.n_readers * self.micro)

    @property
    def bubble_share(self) -> float:
        """The share of a step in which a pipeline rank has nothing to do: (pp − 1) / (vpp · micro-batches + pp − 1).

        Narayanan et al. (arXiv 2104.04473, section 2.2.2) give the same as a multiple of the useful time.
        """
        return (self.pp - 1) / (self.vpp * self.n_micro_batches + self.pp - 1)

    def n_in_flight(self, rank: int) -> int:
        """Micro-batches, counted once per virtual stage, whose activations pipeline rank `rank` holds at most.

        The warm-up of the schedule and the micro-batch that follows it (Megatron-LM's interleaved schedule).
        """
        later = self.pp - 1 - rank
        n_warmup = later if self.vpp == 1 else 2 * later + (self.vpp - 1) * self.pp
        return min(n_warmup + 1, self.vpp * self.n_micro_batches)


def virtual_stages(config: ModelConfig, layout: Layout) -> list[list[range]]:
    """The layers of each virtual stage of each pipeline rank.

    Raises:
        ValueError: there are more stages than layers, or the experts do not divide into ep equal parts.
    """
    if config.n_experts % layout.ep:
        raise ValueError(f"{config.n_experts} experts do not divide into {layout.ep} equal parts")
    stages = divide_layers(config.n_layers, layout.pp * layout.vpp)
    return [stages[rank :: layout.pp] for rank in range(layout.pp)]

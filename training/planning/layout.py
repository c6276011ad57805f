"""How a model is laid out over ranks: pipeline stages × expert-parallel ranks × replicas of both.

A pipeline rank holds `vpp` runs of neighbouring layers (virtual stages): the interleaved schedule, 1F1B where vpp is 1
(Narayanan et al., arXiv 2104.04473, section 2.2). Every rank of the ep · dp ranks of a stage reads rows of its own and
holds the stage's other weights whole; of the routed experts it holds 1/ep, so dp ranks hold the same ones.
"""

from dataclasses import dataclass, fields

from training.model.config import ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`rows` are the rows of a step over all ranks, K2's by default: 67 M tokens at its context length.

    Attributes:
        pp: pipeline ranks.
        ep: expert-parallel ranks.
        dp: replicas of a model that is spread over pp · ep ranks.
        vpp: virtual stages of a pipeline rank.
        rows: packed rows per optimizer step.
        micro: rows per micro-batch.
    """

    pp: int = 1
    ep: int = 1
    dp: int = 1
    vpp: int = 1
    rows: int = 16_384
    micro: int = 1

    def __post_init__(self) -> None:
        for key in fields(self):
            if getattr(self, key.name) < 1:
                raise ValueError(f"{key.name} is {getattr(self, key.name)} in the layout; it must be 1 or more")
        if self.rows % (self.ep * self.dp * self.micro):
            raise ValueError(
                f"{self.rows} rows per step do not divide into micro-batches of {self.micro} for ep · dp = "
                f"{self.ep * self.dp} ranks; set rows to a multiple of {self.ep * self.dp * self.micro}"
            )

    @property
    def n_ranks(self) -> int:
        return self.pp * self.ep * self.dp

    @property
    def n_micro_batches(self) -> int:
        """Micro-batches of a pipeline in one step."""
        return self.rows // (self.ep * self.dp * self.micro)

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


def parse_layout(text: str) -> Layout:
    """The layout of a text such as `pp=16,ep=16,dp=8`; what is left out has its default.

    Raises:
        ValueError: it is not a list of known names with numbers; the message says which part.
    """
    known = [key.name for key in fields(Layout)]
    values: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in known or not number.isdecimal():
            raise ValueError(
                f"{part.strip()!r} in the layout {text!r} is not one of {', '.join(known)} with a number, "
                "as in pp=16,ep=16,dp=8"
            )
        if name in values:
            raise ValueError(f"{name} is given twice in the layout {text!r}")
        values[name] = int(number)
    return Layout(**values)


def virtual_stages(config: ModelConfig, layout: Layout) -> list[list[range]]:
    """The layers of each virtual stage of each pipeline rank.

    Stages differ by at most one layer, and the shorter ones are at the ends, beside the embedding and the output head:
    61 layers over 16 ranks are 3 at the first and the last two, and 4 between them.

    Raises:
        ValueError: there are more stages than layers, or the experts do not divide into ep equal parts.
    """
    n_stages = layout.pp * layout.vpp
    if n_stages > config.n_layers:
        raise ValueError(f"{config.n_layers} layers do not fill {layout.pp} · {layout.vpp} pipeline stages")
    if config.n_experts % layout.ep:
        raise ValueError(f"{config.n_experts} experts do not divide into {layout.ep} equal parts")
    base, n_longer = divmod(config.n_layers, n_stages)
    inner_first = sorted(range(n_stages), key=lambda stage: min(stage, n_stages - stage - 1.5), reverse=True)
    longer = set(inner_first[:n_longer])
    stages, start = [], 0
    for stage in range(n_stages):
        end = start + base + (stage in longer)
        stages.append(range(start, end))
        start = end
    return [stages[rank :: layout.pp] for rank in range(layout.pp)]

"""What is compared: the arms, and the list of runs in the order in which they are started.

All arms train on equally many tokens, and all but `background` on equally many exposures of each person's facts.
"""

import random
from dataclasses import dataclass
from typing import Literal

from facts.world import N_REAL, REAL, WRONG_SHARES, Rewrite, World

Document = tuple[str, int, int]  # pool, person, number of the document


@dataclass(frozen=True, slots=True)
class Arm:
    """Which documents are read at the exposures of a person.

    `n_variants` documents of `pool` are cycled through; a share of `1 - rewrite_share` of the exposures is the raw
    paragraph instead. `together` documents about a person share a row; `joined`, they are one document. Unless the row
    is `masked`, its documents see each other. `gate` says which rewrites are left out: "planted" those that a gate with
    a given recall and precision rejects, "verdict" those that the shipped verdict rejects, "oracle" all with an error.
    """

    name: str
    pool: str | None
    n_variants: int = 1
    rewrite_share: float = 1.0
    together: int = 1
    joined: bool = False
    masked: bool = True
    gate: Literal["planted", "verdict", "oracle"] | None = None


ARMS = {
    arm.name: arm
    for arm in (
        Arm("raw", "raw"),
        Arm("one", "rewrite"),
        Arm("K=2", "rewrite", 2),
        Arm("K=4", "rewrite", 4),
        Arm("K=8", "rewrite", 8),
        Arm("K=16", "rewrite", 16),
        Arm("oracle", "oracle", 1 << 30),
        Arm("synonym", "synonym", 16),
        Arm("mixed 70/30", "rewrite", 16, rewrite_share=0.7),
        Arm("mixed 50/50", "rewrite", 16, rewrite_share=0.5),
        Arm("stitched", "rewrite", 16, together=2, joined=True),
        Arm("same window", "rewrite", 16, together=2),
        Arm("same window, no mask", "rewrite", 16, together=2, masked=False),
        Arm("background", None),
        *(Arm(pool, pool, 16) for pool in WRONG_SHARES),
        *(Arm(f"{pool} gated", pool, 16, gate="planted") for pool in WRONG_SHARES),
        Arm("wrong_20 verified", "wrong_20", 16, gate="verdict"),
        Arm("wrong_20 oracle gate", "wrong_20", 16, gate="oracle"),
        Arm("real", REAL, N_REAL),
        Arm("real verified", REAL, N_REAL, gate="verdict"),
        Arm("real oracle gate", REAL, N_REAL, gate="oracle"),
    )
}


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate rejects `recall` of the rewrites with an error; of those it rejects, `precision` have one."""

    recall: float = 0.9
    precision: float = 0.8


@dataclass(frozen=True, slots=True)
class Run:
    arm: str
    architecture: str
    seed: int
    lr: float
    weight_decay: float

    @property
    def key(self) -> str:
        return f"{self.arm}, {self.architecture}, seed {self.seed}, lr {self.lr:g}, weight decay {self.weight_decay:g}"


# The grid is read with a seed of its own. 0.1 is the usual weight decay; 1 and 3 are 10 and 30 times as much.
TUNING_SEED = 100
LRS, WEIGHT_DECAYS = (2e-3, 6e-3), (0.1, 0.3, 1.0, 3.0)
GRID = [Run("raw", "dense", TUNING_SEED, lr, decay) for decay in reversed(WEIGHT_DECAYS) for lr in LRS]

ALWAYS = {"raw": 5, "K=16": 5, "one": 3, "K=4": 3, "oracle": 3, "background": 3}
ONCE = ("K=2", "K=8", "synonym", "mixed 70/30", "mixed 50/50", "stitched", "same window", "same window, no mask")
ONCE_MOE = ("raw", "one", "K=16", "background")


def pilot_runs(lr: float, weight_decay: float) -> list[Run]:
    """Some arms with the seed of the grid, to see whether the sizes can show anything; no final result."""
    return [Run(arm, "dense", TUNING_SEED, lr, weight_decay) for arm in ("K=16", "one", "oracle", "K=4")]


def final_runs(lr: float, weight_decay: float) -> list[Run]:
    """Every arm with the setting that is best for raw: those that must be run first, by seed, then the others."""
    always = [(arm, "dense", seed) for seed in range(5) for arm, n_seeds in ALWAYS.items() if seed < n_seeds]
    priced = [arm for arm in ARMS if arm.startswith(("wrong", REAL))]
    once = [*((arm, "dense", 0) for arm in (*ONCE, *priced)), *((arm, "moe", 0) for arm in ONCE_MOE)]
    return [Run(*run, lr, weight_decay) for run in (*always, *once)]


def missing_data(run: Run, world: World) -> str | None:
    """What must be made before this run, if anything."""
    arm = ARMS[run.arm]
    if arm.pool == REAL and REAL not in world.pools:
        return "it needs rewrites by a model: --rewrites RUN"
    if arm.gate == "verdict" and arm.pool not in world.rejected:
        return "it needs the verdict on its rewrites: --judge"
    return None


def exposures(arm: Arm, world: World, seed: int, gate: Gate) -> list[list[Document]]:
    """The documents to read, in order; those of a list share a row. Each pass is over all people, shuffled."""
    if arm.pool is None:
        return []
    rng = random.Random(seed)
    sizes, pool = world.sizes, world.pools[arm.pool]
    variants = [
        rng.sample(range(n), min(arm.n_variants, n)) for n in (pool.n_of(person) for person in range(sizes.n_people))
    ]
    if arm.gate is not None:
        rejected = _rejected(arm, world, gate, rng)
        variants = [[k for k in ks if (person, k) not in rejected] for person, ks in enumerate(variants)]

    def document(person: int, exposure: int) -> Document:
        ks = variants[person]
        n_before, n_after = (int(n * arm.rewrite_share + 1e-9) for n in (exposure, exposure + 1))
        if not ks or n_before == n_after:
            return "raw", person, 0
        assert arm.pool is not None
        return arm.pool, person, ks[n_before % len(ks)]

    read = []
    for exposure in range(0, sizes.n_exposures, arm.together):
        for person in rng.sample(range(sizes.n_people), sizes.n_people):
            read.append([document(person, exposure + i) for i in range(arm.together)])
    return read


def _rejected(arm: Arm, world: World, gate: Gate, rng: random.Random) -> frozenset[Rewrite]:
    """The rewrites that the gate of an arm rejects."""
    assert arm.pool is not None
    if arm.gate == "verdict":
        return world.rejected[arm.pool]
    everything = [(p, k) for p in range(world.sizes.n_people) for k in range(world.pools[arm.pool].n_of(p))]
    wrong = [(person, k) for person, k in everything if world.planted[arm.pool][person][k]]
    if arm.gate == "oracle":
        return frozenset(wrong)
    caught = rng.sample(wrong, round(gate.recall * len(wrong)))
    right = sorted(set(everything) - set(wrong))
    n_false = min(len(right), round(len(caught) * (1 - gate.precision) / gate.precision))
    return frozenset({*caught, *rng.sample(right, n_false)})

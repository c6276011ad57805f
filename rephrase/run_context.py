"""What the parts of a run share within one process: opened once, closed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import Plan
from rephrase.dataset.rows import ModelInfo
from rephrase.progress import Progress
from rephrase.prompting.recipes import Recipe
from rephrase.rewriting import RewriteTools
from rephrase.scheduling.cost import Prices
from rephrase.scheduling.scheduler import Scheduler
from rephrase.scheduling.target import Target
from rephrase.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Everything that rewriting a part needs, except its documents."""

    storage: Storage
    plan: Plan
    reader: PartReader
    recipes: Mapping[str, Recipe]
    recipe_choice: str
    n_variants: int
    tools: RewriteTools
    near_duplicates: Callable[[Sequence[str]], dict[int, tuple[int, str]]]
    scheduler: Scheduler
    progress: Progress
    target: Target = field(default_factory=Target)
    prices: Prices = field(default_factory=Prices)

    @property
    def model_info(self) -> ModelInfo:
        info = self.tools.engine.info
        return ModelInfo(model=info.model, model_revision=info.model_revision, engine=info.engine, seed=self.tools.seed)

"""What the parts of a run share within one process: opened once, closed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import Plan
from rephrase.dataset.rows import ModelInfo
from rephrase.progress import Progress
from rephrase.prompting.recipes import Recipe, draw_variants
from rephrase.records import Variant
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
    # How often each style of a recipe is drawn, by the name of the recipe; the styles of others equally often.
    style_shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def model_info(self) -> ModelInfo:
        info = self.tools.engine.info
        return ModelInfo(model=info.model, model_revision=info.model_revision, engine=info.engine, seed=self.tools.seed)

    def draw_variants(self, recipe: Recipe, document_id: str, n_variants: int) -> list[Variant]:
        """The variants of a document in this run, in the styles that it draws."""
        return draw_variants(recipe, document_id, n_variants, self.tools.seed, self.style_shares.get(recipe.name))

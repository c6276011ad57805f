"""The configuration of a rephrase run: one model shared by the command line, the Prefect form and plan.json."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from fidelity.calibration.calibration import calibration_hash
from fidelity.checker import FidelityConfig
from rephrase.corpus.reading import Fields, ReadOptions
from rephrase.engines.opening import EngineConfig
from rephrase.prompting.recipes import SIZE, Recipe
from rephrase.records import Domain
from rephrase.rewriting import OnReject
from rephrase.scheduling.cost import Prices
from rephrase.settings import Settings

# In the configuration that a plan keeps.
STYLE_SHARES = "style_shares"


class RayConfig(Settings):
    """The Ray cluster, and the resources that one part takes."""

    address: str | None = Field(
        None, description="Address of the head node, such as 10.0.0.1:6379; without one, Ray runs on this machine."
    )
    cpus_per_part: float = Field(1, gt=0, description="CPUs per worker; a worker writes one part at a time.")
    gpus_per_part: float = Field(0, ge=0, description="GPUs per worker: 1 to run vLLM in each worker.")


class RephraseConfig(Settings):
    """The options of a rephrase run."""

    # What, where to, how, with which model, how many.
    form_fields: ClassVar = (
        *("source", "domain", "new_files", "output", "recipe", "n_variants", "engine", "limit", "target_tokens"),
    )

    source: str = Field(description="File, folder or glob, on any fsspec filesystem.")
    output: str = Field(description="Folder for the shards, on any fsspec filesystem.")
    new_files: bool = Field(
        False,
        description="Also take files added since the last run, as further parts. Without it, a run whose inputs have "
        "changed stops.",
    )
    limit: int | None = Field(None, ge=1, description="Take only the first N records.")
    domain: Domain = Field(Domain.KNOWLEDGE, description="Domain of the documents.")
    recipe: str = Field(
        "auto",
        description="How documents are rewritten: auto (by domain and language), none (left as they are), a recipe's "
        "name, or several joined with +.",
    )
    recipe_files: tuple[str, ...] = Field((), description="Recipe files in addition to the built-in ones.")
    n_variants: int = Field(1, ge=1, le=1000, description="Rewrites per document, in different styles.")
    utility: str | tuple[str, ...] | None = Field(
        None,
        description="Folder of a training run, or of several: styles are drawn by what their tokens were worth in "
        "them; by default equally often.",
    )
    n_candidates: int | None = Field(
        None,
        ge=1,
        le=64,
        title="Candidates per passage",
        description="Rewrites drawn at once, of which the best is kept; default: the recipe's.",
    )
    n_retries: int = Field(2, ge=0, le=100, description="Further attempts if no candidate is accepted.")
    model_size: str | None = Field(
        None,
        pattern=SIZE,
        title="Size of the model",
        description="Number of parameters of the model, such as 7B, which selects a recipe's wording; default: as "
        "found in its files, or the wording for large models if it runs on a server.",
    )
    on_reject: OnReject = Field(
        "keep",
        title="When a chunk is rejected",
        description="For a chunk rejected after all attempts: keep leaves its source in its place (a translation drops "
        "it), reject drops it, document rejects the whole document.",
    )
    min_rewritten_share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Share of a document to be rewritten",
        description="Documents are rejected if less than this share of their source tokens was rewritten.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed; another one gives other rewrites.")
    target_tokens: int | None = Field(
        None, ge=1, description="Stop once this many tokens are accepted; a larger number, or none, continues."
    )
    price_per_hour: float = Field(0, ge=0, description="Price per hour of all engines together.")
    price_in: float = Field(0, ge=0, title="Price of prompt tokens", description="Price per million prompt tokens.")
    price_out: float = Field(
        0, ge=0, title="Price of generated tokens", description="Price per million generated tokens."
    )
    license: str | None = Field(None, description="Licence of the dataset, for its data card: cc-by-4.0, mit, …")
    source_description: str | None = Field(None, description="Description of the sources, for the data card.")
    engine: EngineConfig = Field(EngineConfig(), description="Which language model rewrites, and where it runs.")
    fidelity: FidelityConfig = Field(FidelityConfig(), description="When a rewrite is accepted.")
    runner: Literal["local", "ray"] = Field(
        "local", description="local: all parts in this process; ray: parts on a Ray cluster."
    )
    ray: RayConfig = Field(
        RayConfig(), description="For the runner ray: the cluster, and the resources that one part takes."
    )
    text_field: str = Field("text", description="Field or JMESPath expression that holds the text.")
    id_field: str = Field("id", description="Field that holds a document's id; without one, ids are generated.")
    title_field: str = Field("title", description="Field that holds a document's title, if any.")
    language_field: str = Field("language", description="Field that holds a document's language, if any.")
    metadata_fields: tuple[str, ...] = Field((), description="Fields to copy into the shards.")
    max_document_chars: int = Field(
        1_000_000, ge=1, title="Longest document (characters)", description="Longer documents are rejected."
    )
    part_bytes: int | None = Field(
        None, ge=1, title="Part size (bytes)", description="Text per part; by default about 1000 parts."
    )

    @field_validator("source", "output")
    @classmethod
    def _is_a_place(cls, url: str) -> str:
        if not url.strip():
            raise ValueError("it is empty: name a file or a folder")
        if any("\ud800" <= character <= "\udfff" for character in url):
            raise ValueError("its name is not UTF-8: name the folder above it, or rename it")
        user, _, rest = url.partition("://")[2].partition("@")
        if rest and ":" in user and "/" not in user:
            raise ValueError(
                "it contains a password, which would be written into the plan: give it in the environment instead"
            )
        return url

    @model_validator(mode="after")
    def _ray_writes_whole_parts(self) -> "RephraseConfig":
        if self.runner == "ray" and self.target_tokens is not None:
            raise ValueError("target_tokens needs the local runner: the workers of a Ray cluster write whole parts")
        if self.runner == "local" and self.ray != RayConfig():
            raise ValueError("the options for Ray need the runner ray (--runner ray)")
        return self

    @model_validator(mode="after")
    def _new_files_fit_the_limit(self) -> "RephraseConfig":
        if self.new_files and self.limit is not None:
            raise ValueError("new_files and limit are mutually exclusive: with a limit, files added later are not read")
        return self

    @property
    def read_options(self) -> ReadOptions:
        """
        Raises:
            ValueError: a field is not a valid JMESPath expression.
        """
        fields = Fields(
            text=self.text_field,
            id=self.id_field,
            title=self.title_field,
            language=self.language_field,
            metadata=self.metadata_fields,
        )
        return ReadOptions(fields=fields, domain=self.domain, max_document_chars=self.max_document_chars)

    @property
    def utility_runs(self) -> tuple[str, ...]:
        """The training runs that decide how often each style is drawn."""
        return (self.utility,) if isinstance(self.utility, str) else self.utility or ()

    @property
    def prices(self) -> Prices:
        return Prices(
            per_hour=self.price_per_hour,
            per_million_prompt_tokens=self.price_in,
            per_million_completion_tokens=self.price_out,
        )

    def pinned(
        self,
        model: str,
        model_revision: str,
        recipes: Mapping[str, Recipe],
        style_shares: Mapping[str, Mapping[str, float]] | None = None,
    ) -> dict[str, Any]:
        """The options that a resumed run must share with the first: those that affect the text, not the speed.

        Args:
            style_shares: how often each style is drawn; kept, since the training run that decided it may go.
        """
        # Not the source: its files are compared one by one, and the same path can be written in several ways.
        elsewhere = {"engine", "source", "output", "recipe_files", "new_files", "runner", "ray"}
        changeable = {"target_tokens", "price_per_hour", "price_in", "price_out", "license", "source_description"}
        pinned = self.model_dump(mode="json", exclude=elsewhere | changeable)
        # Where the judge is served does not matter; plans of earlier versions name neither one nor a back-translation.
        unpinned = {"judge_endpoints", *(() if self.fidelity.judge_model else ("judge_model",))}
        unpinned |= {name for name in ("back_translation", "self_judge") if not getattr(self.fidelity, name)}
        pinned["fidelity"] = self.fidelity.model_dump(mode="json", exclude=unpinned)
        # Plans of earlier versions know no utility.
        if not self.utility:
            del pinned["utility"]
        if style_shares:
            pinned[STYLE_SHARES] = style_shares
        hashes = {f"recipe {name}": recipe.prompt_hash for name, recipe in recipes.items()}
        return {
            **pinned,
            **self.engine.pinned,
            "model": model,
            "model_revision": model_revision,
            "weights of the verdict": calibration_hash(self.fidelity.calibration),
            **hashes,
        }

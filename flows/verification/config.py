"""The configuration of a verification: shared by the form in Prefect's UI and the command line."""

from pydantic import Field, model_validator

from fidelity.calibration.calibration import Kind
from fidelity.checks.language_judge import require_judge
from fidelity.embeddings.encoder import PACKAGED_ENCODER, PACKAGED_MULTILINGUAL
from rephrase.prompting.recipes import Keeps
from rephrase.settings import Settings


class VerifyConfig(Settings):
    """The options for verifying pairs of source and rewrite."""

    source: str = Field(description="Parquet or JSON Lines of pairs, or the folder of a finished run.")
    output: str | None = Field(None, description="Parquet file to write; for a run, scored.parquet in it by default.")
    source_field: str = Field("source", description="Field that holds the source.")
    rewrite_field: str = Field("rewrite", description="Field that holds the rewrite.")
    is_run: bool = Field(False, description="Whether the source is a finished run, whose chunks are the pairs.")
    kind: Kind = Field("knowledge", description="Kind of the pairs; for a run, its recipes determine it.")
    encoder: str | None = Field(
        None,
        description=f"Embedding model: packaged name, hub id or folder; default: the run's, or {PACKAGED_ENCODER}.",
    )
    multilingual_encoder: str | None = Field(
        None,
        description=f"Embedding model for translations; default: that of the run, or {PACKAGED_MULTILINGUAL}.",
    )
    keeps: Keeps = Field(
        "everything",
        description="What a rewrite must keep of its source: everything, a share such as 0.7, or any (a summary); for "
        "a run, its recipes determine it.",
    )
    recipe_files: tuple[str, ...] = Field(
        (), description="Recipe files to judge a run by, in place of the run's recipes of their names."
    )
    calibration: str | None = Field(None, description="Weights written by `palimpsest calibrate`.")
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Minimum probability to accept; by default the calibration's thresholds."
    )
    judge_endpoints: tuple[str, ...] = Field(
        (), description="Servers of a language model that judges what all other checks accept."
    )
    judge_model: str | None = Field(None, description="Name of the model at these servers.")
    batch_rows: int = Field(256, ge=1, description="Rows per batch.")

    @model_validator(mode="after")
    def _judge_is_named(self) -> "VerifyConfig":
        require_judge(self.judge_endpoints, self.judge_model)
        return self

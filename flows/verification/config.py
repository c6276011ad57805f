"""The configuration of a verification: what the form in Prefect's UI and the command line share."""

from pydantic import Field

from fidelity.calibration.calibration import Kind
from fidelity.checks.encoder import PACKAGED_ENCODER, PACKAGED_MULTILINGUAL
from rephrase.settings import Settings


class VerifyConfig(Settings):
    """Everything that giving verdicts on pairs of texts needs to know."""

    source: str = Field(description="Parquet or JSON Lines of pairs, or the folder of a finished run.")
    output: str | None = Field(None, description="Parquet file to write; for a run, scored.parquet in it by default.")
    source_field: str = Field("source", description="Field that holds the source.")
    rewrite_field: str = Field("rewrite", description="Field that holds the rewrite.")
    is_run: bool = Field(False, description="The source is a finished run: its chunks are the pairs.")
    kind: Kind = Field("knowledge", description="What the pairs are; chunks of a run are what their recipe makes.")
    encoder: str = Field(PACKAGED_ENCODER, description="Embedding model: packaged name, hub id or folder.")
    multilingual_encoder: str = Field(PACKAGED_MULTILINGUAL, description="The same for translations.")
    likelihood: str | None = Field(None, description="Language model for undecided pairs: hub id or folder; or none.")
    entailment: str | None = Field(None, description="Cross-encoder for undecided pairs: hub id or folder; or none.")
    calibration: str | None = Field(None, description="Weights that `palimpsest calibrate` wrote.")
    min_probability: float | None = Field(None, ge=0, le=1, description="Instead of the calibration's thresholds.")
    batch_rows: int = Field(256, ge=1, description="Rows checked and written at once.")

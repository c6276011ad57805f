"""The base of every configuration model: frozen, without unknown fields, and shown as a form in Prefect's UI."""

from pydantic import BaseModel, ConfigDict


def form_title(name: str, _: object) -> str:
    """The label of a field in a form: `n_variants` is shown as "Variants"."""
    return name.removeprefix("n_").replace("_", " ").capitalize()


class Settings(BaseModel):
    """A configuration. Each is defined next to the code it configures."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,  # "nan" passes every comparison with a bound
        field_title_generator=form_title,
    )

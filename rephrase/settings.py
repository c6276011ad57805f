"""The base of every configuration model: frozen, without unknown fields, and shown as a form in Prefect's UI."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

# The section of a form for what is rarely changed.
ADVANCED = "advanced"
UNITS = {"s": "seconds", "bytes": "bytes", "chars": "characters"}
WORDS = {"min": "minimum", "max": "maximum", "cpus": "CPUs", "gpus": "GPUs"}


def form_title(name: str, _: object) -> str:
    """The label of a field in a form: `n_variants` is shown as "Variants", `timeout_s` as "Timeout (seconds)"."""
    *words, last = name.removeprefix("n_").split("_")
    unit = f" ({UNITS[last]})" if words and last in UNITS else ""
    title = " ".join(WORDS.get(word, word) for word in (words if unit else [*words, last]))
    return title[:1].upper() + title[1:] + unit


class Settings(BaseModel):
    """A configuration. Each is defined next to the code it configures."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,  # "nan" passes every comparison with a bound
        field_title_generator=form_title,
    )

    # What a form shows first, in this order, before its section "advanced" with all else. Empty: a form of one section.
    form_fields: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def as_form(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values by field, as the form arranges them; validation takes them either way."""
        rest = {name: value for name, value in values.items() if cls.form_fields and name not in cls.form_fields}
        return {name: value for name, value in values.items() if name not in rest} | ({ADVANCED: rest} if rest else {})

    @model_validator(mode="before")
    @classmethod
    def _from_form(cls, values: Any) -> Any:
        if not cls.form_fields or not isinstance(values, dict) or not isinstance(values.get(ADVANCED), dict):
            return values
        # A form starts with the defaults, which are not in sections: what is entered in the section counts.
        return {name: value for name, value in values.items() if name != ADVANCED} | values[ADVANCED]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        _arrange(handler.resolve_ref_schema(schema), cls.form_fields)
        return schema


def _arrange(schema: JsonSchemaValue, first: tuple[str, ...]) -> None:
    """Give the properties their order and, if only some come `first`, their sections."""
    properties = schema.get("properties", {})
    if first:
        rest = {name: described for name, described in properties.items() if name not in first}
        _number(rest)
        section = {"title": "Advanced", "type": "object", "description": "Rarely changed.", "properties": rest}
        properties = {name: properties[name] for name in first} | {ADVANCED: section | {"additionalProperties": False}}
        # Outside the section, where files and programs give them, they are accepted but not shown.
        schema |= {"properties": properties, "patternProperties": {f"^{name}$": rest[name] for name in rest}}
    _number(properties)


def _number(properties: dict[str, Any]) -> None:
    # PostgreSQL stores a schema as JSONB, which sorts names by their length; Prefect's form goes by the position.
    for position, described in enumerate(properties.values()):
        described["position"] = position

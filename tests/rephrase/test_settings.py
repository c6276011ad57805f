"""Configurations as forms: what people read, in which order, and that both arrangements of the values are accepted."""

from typing import ClassVar

import jsonschema
import pytest
from pydantic import Field

from flows.config import RephraseConfig
from flows.verification.config import VerifyConfig
from rephrase.engines.opening import EngineConfig
from rephrase.settings import Settings, form_title
from training.train_config import TrainConfig


class Inner(Settings):
    timeout_s: float = Field(1, description="Inner.")
    a: int = Field(1, description="Inner.")


class Outer(Settings):
    form_fields: ClassVar = ("what", "inner")
    rare: int = Field(1, ge=0, description="Rare.")
    inner: Inner = Field(Inner(), description="Inner.")
    what: str = Field(description="What.")
    rarer: str = Field("", description="Rarer.")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("n_variants", "Variants"),
        ("timeout_s", "Timeout (seconds)"),
        ("part_bytes", "Part (bytes)"),
        ("cpus_per_part", "CPUs per part"),
        ("min_similarity", "Minimum similarity"),
        ("s", "S"),
    ],
)
def test_titles_are_words(name, title):
    assert form_title(name, None) == title


def test_what_comes_first_comes_first_and_all_else_is_advanced():
    schema = Outer.model_json_schema()
    positions = {name: described["position"] for name, described in schema["properties"].items()}
    assert positions == {"what": 0, "inner": 1, "advanced": 2}
    assert [*schema["properties"]["advanced"]["properties"]] == ["rare", "rarer"]
    inner = schema["$defs"]["Inner"]["properties"]
    assert [(name, inner[name]["position"]) for name in inner] == [("timeout_s", 0), ("a", 1)]


@pytest.mark.parametrize("config", [RephraseConfig, VerifyConfig, TrainConfig])
def test_the_order_survives_a_database_that_sorts_names_by_their_length(config):
    schema = config.model_json_schema()
    for described in [schema, *schema.get("$defs", {}).values()]:
        properties = described.get("properties", {})
        in_jsonb = sorted(properties, key=lambda name: (len(name), name))
        assert sorted(in_jsonb, key=lambda name: properties[name]["position"]) == [*properties]


@pytest.mark.parametrize(
    "values",
    [
        {"what": "x", "rare": 3, "inner": {"a": 2}},
        {"what": "x", "advanced": {"rare": 3}, "inner": {"a": 2}},
        {"what": "x", "rare": 3, "advanced": {"rarer": ""}, "inner": {"a": 2}},
    ],
)
def test_values_are_taken_from_the_section_and_from_beside_it(values):
    jsonschema.validate(values, Outer.model_json_schema())
    assert Outer.model_validate(values) == Outer(what="x", rare=3, inner=Inner(a=2))


def test_values_are_arranged_as_the_form_is():
    values = {"rare": 3, "what": "x"}
    assert Outer.as_form(values) == {"what": "x", "advanced": {"rare": 3}}
    assert Inner.as_form({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    "values",
    [
        {"what": "x", "rare": -1},
        {"what": "x", "advanced": {"rare": -1}},
        {"what": "x", "rarest": 1},
        {"what": "x", "advanced": {"rarest": 1}},
        {"advanced": {"what": "x"}},
    ],
)
def test_wrong_values_are_refused_by_the_form(values):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values, Outer.model_json_schema())


def test_what_is_entered_in_the_section_counts_more_than_a_default_beside_it():
    assert Outer.model_validate({"what": "x", "rare": 1, "advanced": {"rare": 2}}).rare == 2
    values = {"source": "in", "output": "out", "engine": {**EngineConfig().model_dump(), "advanced": {"timeout_s": 5}}}
    assert RephraseConfig.model_validate(values).engine == EngineConfig(timeout_s=5)

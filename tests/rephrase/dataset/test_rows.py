"""Rows hold JSON and nothing else, whatever the metadata of a document is."""

import datetime
import json
import math

from rephrase.dataset.rows import ModelInfo, metadata_json, unchanged_row
from rephrase.records import Document

INFO = ModelInfo(model="m", model_revision="1", engine="e", seed=0)


def test_what_json_does_not_have_becomes_null_or_text():
    metadata = {"a": math.nan, "b": [1, math.inf, {"c": -math.inf}], "d": datetime.date(2024, 5, 1), 7: "x"}
    text = metadata_json(metadata)
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "a": None,
        "b": [1, None, {"c": None}],
        "d": "2024-05-01",
        "7": "x",
    }
    assert metadata_json({}) is None


def test_a_document_left_unchanged_keeps_its_metadata():
    document = Document(id="d", text="It rained.", source="s", metadata={"url": "u"})
    assert json.loads(unchanged_row(document, 3, INFO)["metadata"]) == {"url": "u"}

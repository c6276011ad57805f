import dataclasses
import json

from rephrase.dataset.engines import record_engine
from rephrase.engines.engine import EngineInfo
from rephrase.storage.storage import Storage

INFO = EngineInfo(
    engine="vllm",
    model="a/b",
    model_revision="1",
    tokenizer="a/b",
    max_context_tokens=4096,
    max_in_flight=33,
    settings={"dtype": "float32", "options": {"block_size": 64}, "license": "mit"},
)


def test_each_way_in_which_a_model_was_run_is_written_once(tmp_path):
    storage = Storage(str(tmp_path))
    elsewhere = dataclasses.replace(INFO, settings={**INFO.settings, "dtype": "bfloat16"})
    for info in (INFO, elsewhere, dataclasses.replace(INFO, max_in_flight=7)):
        record_engine(storage, info)
    found = [json.loads(file.read_text()) for file in (tmp_path / "engines").iterdir()]
    assert sorted(way["dtype"] for way in found) == ["bfloat16", "float32"]
    assert {(way["model"], way["license"], way["options"]["block_size"]) for way in found} == {("a/b", "mit", 64)}

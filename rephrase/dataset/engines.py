"""How the model of a run was run: OUT/engines/DIGEST.json, one file for each way in which a session ran it.

A run may go on elsewhere, with another numeric format or batch; what its sessions must share is pinned in the plan.
"""

import json

from rephrase.engines.engine import EngineInfo
from rephrase.records import digest
from rephrase.storage.storage import Storage


def record_engine(storage: Storage, info: EngineInfo) -> None:
    """Write how the model was run, unless an earlier session ran it so."""
    values = {
        "engine": info.engine,
        "model": info.model,
        "model_revision": info.model_revision,
        "tokenizer": info.tokenizer,
        "max_context_tokens": info.max_context_tokens,
        **info.settings,
    }
    name = f"engines/{digest(json.dumps(values, sort_keys=True, default=str))}.json"
    if not storage.exists(name):
        storage.write_json(name, json.loads(json.dumps(values, default=str)))

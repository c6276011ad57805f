import json

import pytest

from rephrase.models.adapter import find_adapter


def write(folder, config, weights=b"weights"):
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(weights)


def test_the_rank_is_that_of_the_widest_module(tmp_path):
    write(tmp_path, {"r": 8, "rank_pattern": {"down_proj": 64, "up_proj": 16}})
    assert find_adapter(str(tmp_path)).rank == 64
    write(tmp_path, {"r": 8, "rank_pattern": None})
    assert find_adapter(str(tmp_path)).rank == 8


def test_the_revision_tells_adapters_of_one_size_apart(tmp_path):
    write(tmp_path, {"r": 8}, b"weights one")
    first = find_adapter(str(tmp_path))
    assert find_adapter(str(tmp_path)) == first
    write(tmp_path, {"r": 8}, b"weights two")
    assert find_adapter(str(tmp_path)).revision != first.revision
    write(tmp_path, {"r": 8, "lora_alpha": 32}, b"weights one")
    assert find_adapter(str(tmp_path)).revision != first.revision


def test_what_is_not_an_adapter_is_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is not a LoRA adapter: it lacks"):
        find_adapter(str(tmp_path))
    write(tmp_path, {"peft_type": "PROMPT_TUNING"})
    with pytest.raises(ValueError, match="states no rank"):
        find_adapter(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("/no/such/folder", "nobody/no-such-adapter"):
        with pytest.raises(ValueError, match=f"no LoRA adapter '{name}'"):
            find_adapter(name)

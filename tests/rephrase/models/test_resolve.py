import json

import pytest

from rephrase.models.resolve import local_model, resolve


def test_a_model_with_an_adapter_is_named_and_versioned_by_both(tmp_path):
    model, adapter = tmp_path / "model", tmp_path / "adapter"
    model.mkdir()
    (model / "config.json").write_text("{}")
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 4}))
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    plain, adapted = resolve(str(model)), resolve(str(model), str(adapter))
    assert (plain.name, plain.adapter) == (str(model), None)
    assert adapted.name == f"{model}+{adapter}"
    assert adapted.revision == f"{plain.revision}+{adapted.adapter.revision}"
    assert adapted.folder == plain.folder == str(model)


@pytest.mark.parametrize(("model", "found"), [("org/model", True), ("org/other", False), ("its/own/name", False)])
def test_a_model_is_on_this_machine_if_the_cache_of_the_hub_has_it(tmp_path, monkeypatch, model, found):
    snapshot = tmp_path / "models--org--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--org--model" / "refs").mkdir()
    (tmp_path / "models--org--model" / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert local_model(model) == (str(snapshot) if found else None)
    assert local_model(str(snapshot)) == str(snapshot)


def test_the_licence_is_what_the_model_card_states(tmp_path):
    assert resolve(str(tmp_path)).license is None
    for card, expected in [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\nlanguage: en\n---\nlicense: mit", None),
        ("# A card without front matter", None),
    ]:
        (tmp_path / "README.md").write_text(card)
        assert resolve(str(tmp_path)).license == expected


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub():
    with pytest.raises(
        ValueError, match=r"there is no folder '\./not-here', and no model of the hub can have that name"
    ):
        resolve("./not-here")

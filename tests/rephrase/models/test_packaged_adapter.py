"""The packaged adapter is merged into the packaged model's weights: the same model as with the adapter beside it."""

import pytest

from rephrase.models.adapter import PACKAGED_ADAPTER, find_adapter
from rephrase.models.resolve import PACKAGED_MODEL, resolve


@pytest.mark.model
def test_merged_it_says_the_same():
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = resolve(PACKAGED_MODEL, PACKAGED_ADAPTER)
    assert (found.name, found.adapter) == (f"{PACKAGED_MODEL}+{PACKAGED_ADAPTER}", None)
    base = resolve(PACKAGED_MODEL)
    tokens = AutoTokenizer.from_pretrained(found.folder)("The mill burned down.", return_tensors="pt")
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32)(**tokens).logits
        plain = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32)
        alone = plain(**tokens).logits
        beside = PeftModel.from_pretrained(plain, find_adapter(PACKAGED_ADAPTER).folder)(**tokens).logits
    assert (merged - beside).abs().max() < 0.5  # of bfloat16's rounding
    assert (merged - beside).abs().mean() < 0.1 * (alone - beside).abs().mean()

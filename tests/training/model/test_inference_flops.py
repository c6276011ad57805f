import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.inference_flops import inference_flops, list_inference_flops
from training.model.presets import kimi_k2


def test_twice_the_heads_of_kimi_k2_cost_at_128k_what_its_report_says() -> None:
    """Kimi K2 (arXiv 2507.20534, section 2.3): 64 to 128 heads at 128k are "an 83% increase in inference FLOPs".

    The report has no formula; its figure is that of attention alone, and the projections of the heads come on top.
    """
    k2, wider = (inference_flops(kimi_k2().replace(n_heads=n), 128_000) for n in (64, 128))
    assert (wider.attention - k2.attention) / k2.total == pytest.approx(0.83, abs=0.005)
    assert wider.total / k2.total - 1 == pytest.approx(0.862, abs=0.001)
    row = next(r for r in list_inference_flops() if (r["name"], r["n_context"]) == ("kimi_k2", 128_000))
    assert row["increase_with_twice_the_heads"] == wider.total / k2.total - 1


def test_the_formula_is_what_torch_counts(tiny: ModelConfig) -> None:
    """Of a dense model, whose experts torch would count by how they are dispatched; attention is to the whole row."""
    n = 32
    config = tiny.replace(n_dense_layers=tiny.n_layers)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        Decoder(config).eval()(torch.zeros(1, n, dtype=torch.long))
    flops = inference_flops(config, n)
    gains = config.n_layers * (2 * config.hidden_size + config.q_rank + config.kv_rank) + config.hidden_size
    assert counter.get_total_flops() / n == flops.total - 2 * gains

import pytest
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from training.huggingface import to_hf
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.parameter_rules import Rule, assign, deepseek_rules, llama_rules


@pytest.mark.parametrize("changes", [{}, {"q_rank": None}])
def test_the_rules_cover_our_decoder_and_the_one_of_transformers(tiny: ModelConfig, changes: dict[str, None]) -> None:
    model = Decoder(tiny.replace(**changes)).initialise(0)
    rules = deepseek_rules(model.config)
    mine = {a.name: a.rule for a in assign(model.named_parameters(), rules)}
    theirs = {a.name.removeprefix("model."): a.rule for a in assign(to_hf(model).named_parameters(), rules)}
    assert mine == theirs
    adamw = {name for name, rule in mine.items() if rule.optimizer == "adamw"}
    assert {"embed_tokens.weight", "lm_head.weight", "norm.weight"} < adamw
    assert all(name.endswith("norm.weight") or name in ("embed_tokens.weight", "lm_head.weight") for name in adamw)


def test_the_rules_cover_llama() -> None:
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=32,
    )
    by_name = {a.name: a.rule.optimizer for a in assign(LlamaForCausalLM(config).named_parameters(), llama_rules(4, 2))}
    assert sum(optimizer == "muon" for optimizer in by_name.values()) == 7


def test_an_uncovered_parameter_is_an_error_that_names_it() -> None:
    model = nn.ModuleDict({"known": nn.Linear(2, 3), "strange": nn.Linear(3, 5, bias=False)})
    with pytest.raises(ValueError, match=r"strange.weight \(5, 3\)"):
        assign(model.named_parameters(), [Rule("known.*", "adamw")])
    model["strange"].requires_grad_(False)
    assert len(assign(model.named_parameters(), [Rule("known.*", "adamw")])) == 2


def test_the_first_matching_rule_decides() -> None:
    model = nn.ModuleDict({"a": nn.Linear(2, 3, bias=False)})
    (assignment,) = assign(model.named_parameters(), [Rule("a.*", "adamw"), Rule("*", "muon")])
    assert assignment.rule.optimizer == "adamw"

"""Which optimizer updates which parameter. A parameter that no rule covers is an error, never a guess."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn
from torch.distributed.tensor import DTensor

from training.model.config import ModelConfig
from training.optimizer.matrix_layout import MatrixLayout
from training.parallel import divided_dimensions


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` is a shell pattern over parameter names (`*.o_proj.weight`); the first rule that matches decides."""

    pattern: str
    optimizer: Literal["muon", "adamw"]
    layout: MatrixLayout = field(default_factory=MatrixLayout)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A parameter and the rule that covers it."""

    name: str
    parameter: nn.Parameter
    rule: Rule


def assign(named_parameters: Iterable[tuple[str, nn.Parameter]], rules: Sequence[Rule]) -> list[Assignment]:
    """The rule of every trainable parameter.

    Raises:
        ValueError: no rule covers a parameter, a matrix does not have its rule's layout, or it is sharded.
    """
    assignments, uncovered = [], []
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        if isinstance(parameter, DTensor) and not _is_known(parameter):
            raise ValueError(
                f"{name} is divided as {parameter.placements}: MuonClip knows weights that are divided along their "
                "first dimension, as FSDP2 and expert parallelism do it; train without tensor parallelism"
            )
        rule = next((rule for rule in rules if fnmatchcase(name, rule.pattern)), None)
        if rule is None:
            uncovered.append(f"{name} {tuple(parameter.shape)}")
            continue
        if rule.optimizer == "muon":
            rule.layout.check(name, parameter.shape)
        assignments.append(Assignment(name, parameter, rule))
    if uncovered:
        raise ValueError(
            f"no rule says which optimizer updates {', '.join(uncovered)}; "
            "add a Rule for each: 'muon' for matrices inside the model, 'adamw' for embeddings, heads, gains and biases"
        )
    return assignments


def _is_known(parameter: DTensor) -> bool:
    """Whether each process holds rows of a matrix, or whole matrices of a stack."""
    divided = divided_dimensions(parameter)
    is_by_rows = all(getattr(parameter.placements[dimension], "dim", None) == 0 for dimension in divided)
    # A stack of experts may be divided twice: by expert and by data parallelism.
    return is_by_rows and (parameter.ndim == 3 or len(divided) <= 1)


# Embeddings, the output head, gains and biases. Moonlight (arXiv 2502.16982, appendix D) decays gains too.
ADAMW_RULES = (
    Rule("*embed_tokens.weight", "adamw"),
    Rule("*lm_head.weight", "adamw"),
    Rule("*norm.weight", "adamw"),
)


def deepseek_rules(config: ModelConfig, split_heads: bool = False) -> list[Rule]:
    """Rules for our `Decoder` and for `DeepseekV3ForCausalLM`, whose parameters have the same names.

    Args:
        split_heads: orthogonalise the up-projections of queries, keys and values head by head, so that heads with large
            gradients do not set the direction for all (Kimi K3's per-head Muon, arXiv 2607.24653, section 2.5; GLM-5's
            Muon Split, arXiv 2602.15763).
    """
    c = config
    query = MatrixLayout(c.n_heads, (c.nope_head_dim, c.rope_head_dim), split_heads)
    return [
        *ADAMW_RULES,
        Rule("*.self_attn.q_proj.weight", "muon", query),
        Rule("*.self_attn.q_b_proj.weight", "muon", query),
        Rule(
            "*.self_attn.kv_b_proj.weight",
            "muon",
            MatrixLayout(c.n_heads, (c.nope_head_dim, c.v_head_dim), split_heads),
        ),
        Rule("*.self_attn.kv_a_proj_with_mqa.weight", "muon", MatrixLayout(parts=(c.kv_rank, c.rope_head_dim))),
        Rule("*.self_attn.q_a_proj.weight", "muon"),
        Rule("*.self_attn.o_proj.weight", "muon"),
        Rule("*.mlp.experts.gate_up_proj", "muon", MatrixLayout(parts=(c.expert_ffn_size, c.expert_ffn_size))),
        Rule("*.mlp.experts.down_proj", "muon"),
        Rule("*.mlp.gate.weight", "muon"),
        Rule("*.mlp.*gate_proj.weight", "muon"),
        Rule("*.mlp.*up_proj.weight", "muon"),
        Rule("*.mlp.*down_proj.weight", "muon"),
    ]


def llama_rules(n_heads: int, n_kv_heads: int, split_heads: bool = False) -> list[Rule]:
    """Rules for Llama-style models: separate q, k, v, o and gate, up, down projections, with or without biases."""
    return [
        *ADAMW_RULES,
        Rule("*_proj.bias", "adamw"),
        Rule("*.self_attn.q_proj.weight", "muon", MatrixLayout(n_heads, per_group=split_heads)),
        Rule("*.self_attn.[kv]_proj.weight", "muon", MatrixLayout(n_kv_heads, per_group=split_heads)),
        Rule("*.self_attn.o_proj.weight", "muon"),
        Rule("*.mlp.gate_proj.weight", "muon"),
        Rule("*.mlp.up_proj.weight", "muon"),
        Rule("*.mlp.down_proj.weight", "muon"),
    ]

"""The decoder: multi-head latent attention, dense first layers, then mixture-of-experts layers with shared experts.

Shapes: B rows, S positions, T = B·S tokens, M hidden size, L vocabulary, E experts.

Modules and parameters have the names of transformers' `DeepseekV3ForCausalLM`, so weights transfer unchanged.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.boundaries import Boundaries
from training.model.attention import Attend, LatentAttention, LogitMaxima
from training.model.config import ModelConfig
from training.model.experts import Experts
from training.model.feed_forward import FeedForward
from training.model.gate import Gate, sequence_balance_loss
from training.model.linear_cross_entropy import linear_cross_entropy
from training.model.recomputation import recomputed
from training.model.rms_norm import RMSNorm
from training.model.rotary import RotaryTable
from training.parallel import local, local_rows


class MixtureOfExperts(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = Gate(config)
        self.experts = Experts(config)
        self.shared_experts = FeedForward(config.hidden_size, config.expert_ffn_size * config.n_shared_experts)

    def forward(self, x_BSM: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's output and its sequence-wise balance loss."""
        x_TM = x_BSM.flatten(0, 1)
        chosen_TK, weights_TK, scores_TE = self.gate(x_TM)
        routed_BSM = self.experts(x_TM, chosen_TK, weights_TK).view_as(x_BSM)
        return routed_BSM + self.shared_experts(x_BSM), sequence_balance_loss(scores_TE, chosen_TK, x_BSM.shape[0])


class Layer(nn.Module):
    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.self_attn = LatentAttention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        is_dense = index < config.n_dense_layers
        self.mlp = FeedForward(config.hidden_size, config.dense_ffn_size) if is_dense else MixtureOfExperts(config)

    def forward(self, x_BSM: Tensor, rotary: RotaryTable, boundaries: Boundaries) -> tuple[Tensor, Tensor | None]:
        x_BSM = x_BSM + self.self_attn(self.input_layernorm(x_BSM), rotary, boundaries)
        normed_BSM = self.post_attention_layernorm(x_BSM)
        if isinstance(self.mlp, MixtureOfExperts):
            out_BSM, balance_loss = self.mlp(normed_BSM)
            return x_BSM + out_BSM, balance_loss
        return x_BSM + self.mlp(normed_BSM), None


@dataclass(frozen=True, slots=True)
class Loss:
    """The losses of one forward pass over a micro-batch.

    `total` is the scalar to differentiate; `tokens_BS` the loss of each position in nats, without gradient; `balance`
    the mean over the mixture layers of the sequence-wise balance loss, 1 when perfectly even, 0 without such layers.
    """

    total: Tensor
    tokens_BS: Tensor
    balance: Tensor


class Decoder(nn.Module):
    """A causal language model; `forward` gives logits, `loss` never materialises them all at once."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.n_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.n_recomputed_layers = 0

    @torch.no_grad()
    def initialise(self, seed: int) -> "Decoder":
        """Draw every matrix from a normal distribution of `init_std`, set every gain to 1, and reset the gates.

        A matrix depends on the seed and its name only: however a model is divided among processes, they begin with the
        same weights. An expert is a matrix of its own, so that a process draws only the experts that it holds.
        """
        for name, parameter in self.named_parameters():
            own, rows = local(parameter), local_rows(parameter)
            if parameter.ndim == 1:
                own.fill_(1.0)
            elif parameter.ndim == 2:
                own.copy_(self._draw(parameter.shape, seed, name, own)[rows])
            else:
                for e, expert in zip(range(rows.start, rows.stop), own, strict=True):
                    expert.copy_(self._draw(expert.shape, seed, f"{name}.{e}", own))
        for gate in self.gates():
            gate.e_score_correction_bias.zero_()
            gate.load_E.zero_()
        for maxima in self.logit_maxima():
            maxima.reset()
        return self

    def _draw(self, shape: torch.Size, seed: int, name: str, like: Tensor) -> Tensor:
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        generator = torch.Generator(like.device).manual_seed(int.from_bytes(digest[:8], "big"))
        return like.new_empty(shape).normal_(0.0, self.config.init_std, generator=generator)

    def forward(self, tokens_BS: Tensor, boundaries: Boundaries | None = None) -> Tensor:
        """Logits (B, S, L); without boundaries, each row is one document."""
        n_rows, length = tokens_BS.shape
        return self.logits(tokens_BS, boundaries or Boundaries.whole_rows(n_rows, length, tokens_BS.device))

    def logits(self, tokens_BS: Tensor, boundaries: Boundaries) -> Tensor:
        return self.lm_head(self.hidden(tokens_BS, boundaries)[0])

    def loss(
        self,
        tokens_BS: Tensor,
        targets_BS: Tensor,
        weights_BS: Tensor,
        boundaries: Boundaries,
        balance_weight: float = 0.0,
        z_weight: float = 0.0,
    ) -> Loss:
        """`Σ weights · (cross-entropy + z_weight · ln² Z) + balance_weight · Σ_layers balance · Σ weights`, in nats.

        The balance losses of the mixture layers are added, not averaged (DeepSeek-V3, section 2.1.2: α for each layer):
        otherwise a deeper model would be held in balance more weakly with the same weight.
        With weights of 1/n over the n positions of a step, the sum over its micro-batches is the mean loss of the step.
        """
        hidden_BSM, balance = self.hidden(tokens_BS, boundaries)
        return self.loss_after(hidden_BSM, balance, targets_BS, weights_BS, balance_weight, z_weight)

    def loss_after(
        self,
        hidden_BSM: Tensor,
        balance: Tensor,
        targets_BS: Tensor,
        weights_BS: Tensor,
        balance_weight: float,
        z_weight: float,
    ) -> Loss:
        """As `loss`, from the results of `hidden`."""
        total, losses_T = linear_cross_entropy(
            hidden_BSM.flatten(0, 1), self.lm_head.weight, targets_BS.flatten(), weights_BS.flatten(), z_weight
        )
        total = total + self.balance_penalty(balance, weights_BS, balance_weight)
        return Loss(total, losses_T.view_as(targets_BS), balance.detach())

    def balance_penalty(self, balance: Tensor, weights_BS: Tensor, balance_weight: float) -> Tensor:
        """What is added to the loss for a mean balance loss of the mixture layers: see `loss`."""
        return balance_weight * self.config.n_moe_layers * balance * weights_BS.sum()

    def hidden(self, tokens_BS: Tensor, boundaries: Boundaries) -> tuple[Tensor, Tensor]:
        """The normalised last hidden state (B, S, M) and the mean balance loss of the mixture layers."""
        x_BSM, balance = self.run_layers(self.embed_tokens(tokens_BS), boundaries)
        return self.norm(x_BSM), balance

    def run_layers(self, x_BSM: Tensor, boundaries: Boundaries) -> tuple[Tensor, Tensor]:
        """The hidden state after the layers that are here, and what these add to the model's mean balance loss."""
        c = self.config
        rotary = RotaryTable(boundaries.positions_BS, c.rope_head_dim, c.rope_theta, c.rope_scaling)
        balance_losses = []
        for index, layer in self.own_layers():
            inputs = x_BSM, rotary, boundaries
            recomputes = index < self.n_recomputed_layers
            x_BSM, balance_loss = recomputed(layer, *inputs) if recomputes else layer(*inputs)
            if balance_loss is not None:
                balance_losses.append(balance_loss)
        if not balance_losses:
            return x_BSM, x_BSM.new_zeros(())
        return x_BSM, torch.stack(balance_losses).sum() / c.n_moe_layers

    def own_layers(self) -> Iterator[tuple[int, Layer]]:
        """The layers of the model that are on this process, each with its number."""
        return ((index, layer) for index, layer in enumerate(self.layers) if layer is not None)  # type: ignore[misc]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def attend_with(self, attend: Attend | None) -> "Decoder":
        """Compute attention in another way than what is fast for long rows on the device (None)."""
        for module in self.modules():
            if isinstance(module, LatentAttention):
                module.attend = attend
        return self

    def recompute(self, n_layers: int) -> "Decoder":
        """Keep only the inputs of the first layers, and compute their activations again in the backward pass."""
        self.n_recomputed_layers = n_layers
        return self

    def gates(self) -> Iterator[Gate]:
        """The gates of the mixture layers, from the first layer to the last."""
        return (module for module in self.modules() if isinstance(module, Gate))

    def logit_maxima(self) -> Iterator[LogitMaxima]:
        """The maxima of the attention layers, from the first layer to the last."""
        return (module for module in self.modules() if isinstance(module, LogitMaxima))

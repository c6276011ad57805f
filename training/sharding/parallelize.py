"""Divides a decoder among the processes of a mesh: stages of layers, expert parallelism, and torch's FSDP2.

The modules stay as they are: their parameters become DTensors, and the routed experts get another forward function.
With several stages, the model becomes the `Stage` of this process.
"""

from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import Shard, distribute_tensor

from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.experts import Experts
from training.parallel import Ranks
from training.sharding.expert_dispatch import ExpertDispatch
from training.sharding.stage import Stage, divide_layers


def require_whole_parts(config: ModelConfig, *, n_stages: int, n_expert_processes: int) -> None:
    """
    Raises:
        ValueError: the experts do not divide evenly among the processes, or there are more stages than layers.
    """
    if config.n_experts % n_expert_processes:
        raise ValueError(
            f"{config.n_experts} experts do not divide evenly among the {n_expert_processes} processes of ep"
        )
    divide_layers(config.n_layers, n_stages)


def parallelize(model: Decoder, ranks: Ranks) -> Decoder:
    """This process's part of the model, on any device; in a single process, the model.

    Raises:
        ValueError: the experts do not divide evenly among the processes, or there are more stages than layers.
    """
    require_whole_parts(
        model.config,
        n_stages=1 if ranks.pipeline is None else ranks.pipeline.size(),
        n_expert_processes=1 if ranks.owner is None else ranks.owner.size(),
    )
    if ranks.pipeline is not None:
        model = Stage(model, ranks)
    if ranks.dense is None:
        return model
    gathers_again = ranks.shard == "weights"
    for _, layer in model.own_layers():
        for experts in (module for module in layer.modules() if isinstance(module, Experts)):
            if ranks.owner is not None and ranks.owner.size() > 1:
                _divide_experts(experts, model.config.n_experts, ranks)
                fully_shard(experts, mesh=ranks.expert, reshard_after_forward=gathers_again)
        fully_shard(layer, mesh=ranks.dense, reshard_after_forward=gathers_again)
    # What the root holds (embedding, last norm, head) is wanted again at once by the backward pass.
    fully_shard(model, mesh=ranks.dense, reshard_after_forward=False)
    register_fsdp_forward_method(model, "loss")
    if isinstance(model, Stage):
        register_fsdp_forward_method(model, "train_pass")
    for module in sharded_modules(model):
        # Loss weights are 1/n over all processes: gradients are sums, not means. gloo has no reduction with a factor.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    return model


def sharded_modules(model: nn.Module) -> list[FSDPModule]:
    """The modules to which FSDP2 was applied."""
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _divide_experts(experts: Experts, n_experts: int, ranks: Ranks) -> None:
    assert ranks.owner is not None
    for name, parameter in list(experts.named_parameters()):
        # Every process has the same values already, or none (on the meta device): nothing needs to be sent.
        divided = distribute_tensor(parameter.detach(), ranks.owner, [Shard(0)], src_data_rank=None)
        setattr(experts, name, nn.Parameter(divided))
    experts.forward = ExpertDispatch(experts.forward, n_experts, ranks.owner.get_group())  # type: ignore[method-assign]

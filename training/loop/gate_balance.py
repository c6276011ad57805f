"""The update of the gates' selection biases after a step, by the loads of all ranks.

Shapes: L layers of the model, E experts.
"""

import torch

from training.model.decoder import Decoder, MixtureOfExperts
from training.parallel import Ranks


@torch.no_grad()
def balance_gates(model: Decoder, speed: float, ranks: Ranks) -> float:
    """Update the biases of the gates that are here, and reset their counts; `speed` 0 leaves the biases as they are.

    Returns:
        The load of the busiest expert relative to the mean of its layer, over all layers of the model; 1 if nothing was
        routed.
    """
    gates = [(i, layer.mlp.gate) for i, layer in model.own_layers() if isinstance(layer.mlp, MixtureOfExperts)]
    # One message for all layers, also those of other stages.
    loads_LE = torch.zeros(model.config.n_layers, model.config.n_experts, device=model.device)
    for index, gate in gates:
        loads_LE[index] = gate.load_E
    ranks.sum(loads_LE)
    for index, gate in gates:
        gate.load_E.copy_(loads_LE[index])
        gate.update_bias(speed, ranks.sum_rows)
    relative_L = loads_LE.amax(dim=1) / loads_LE.mean(dim=1).clamp(min=1e-9)
    return max(1.0, float(relative_L.max()))

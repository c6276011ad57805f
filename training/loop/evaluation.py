"""Held-out loss by stream."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch

from training.data.batch import PADDING, Batch
from training.model.decoder import Decoder
from training.parallel import Ranks


@torch.no_grad()
def held_out_losses(
    model: Decoder,
    batches: Mapping[int, Batch],
    micro_batch_rows: int,
    precision: Callable[[], AbstractContextManager[None]],
    ranks: Ranks,
) -> dict[int, float]:
    """The mean loss in nats per token on each stream's held-out rows, which are divided among the ranks."""
    device = model.device
    sums = torch.zeros(len(batches), 2, dtype=torch.float64, device=device)
    was_training = model.training
    model.eval()
    for index, batch in enumerate(batches.values()):
        starts = range(0, len(batch.tokens_BS), micro_batch_rows)
        # All ranks run the model equally often, as they exchange weights and experts: some run rows that do not count.
        for first in range(0, len(starts), ranks.n_readers):
            index_here = first + ranks.reader
            start = starts[min(index_here, len(starts) - 1)]
            part = batch.rows(start, start + micro_batch_rows).to(device)
            weights_BS = (part.stream_BS != PADDING).float() * (index_here < len(starts))
            with precision():
                losses_BS = model.loss(part.tokens_BS, part.targets_BS, weights_BS, part.boundaries).tokens_BS
            sums[index] += torch.stack([(losses_BS * weights_BS).sum(), weights_BS.sum()]).double()
    model.train(was_training)
    ranks.sum_rows(sums)
    return {stream: float(total / count) for stream, (total, count) in zip(batches, sums.tolist(), strict=True)}

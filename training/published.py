"""Weights as DeepSeek-V3 and Kimi K2 publish them, read from safetensors straight into a decoder.

Published checkpoints keep each expert in tensors of its own, and most matrices in FP8 (e4m3) beside float32 factors of
their blocks of 128 × 128, `weight_scale_inv`:

    weight[i, j] = stored[i, j] · scale_inv[i // 128, j // 128]

Blocks at the ends may be smaller: `kv_a_proj_with_mqa` has 576 rows, four and a half blocks. transformers 5.19 divides
a matrix evenly by the number of its factors instead, and so refuses this one and scales others wrongly.

Shapes: N rows and K columns of a matrix.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from training.model.decoder import Decoder

BLOCK = 128
SCALES = "_scale_inv"


def _open(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not whole ({error}): download it again") from error


@torch.no_grad()
def load_published(model: Decoder, folder: str | Path) -> None:
    """Fill every parameter and selection bias, in their dtypes; leave out modules of multi-token prediction.

    Raises:
        ValueError: the folder holds no safetensors, a damaged one, or not the weights of this model.
    """
    paths = sorted(Path(folder).glob("*.safetensors"))
    with ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in paths]
        where = {name: file for file in files for name in file.keys()}  # noqa: SIM118  not a dict
        wanted = dict(published_tensors(model))
        if missing := sorted(wanted.keys() - where.keys()):
            raise ValueError(f"safetensors in {folder} lack {len(missing)} weights of the model, such as {missing[0]}")
        extra = sorted(name for name in where.keys() - wanted.keys() if not _may_be_extra(name, model))
        if extra:
            raise ValueError(f"{folder} has {len(extra)} weights that the model lacks, such as {extra[0]}")
        for name, target in wanted.items():
            stored = where[name].get_tensor(name)
            if name + SCALES in where:
                stored = dequantise(stored, where[name + SCALES].get_tensor(name + SCALES))
            if stored.shape != target.shape:
                raise ValueError(f"{name} has the shape {tuple(stored.shape)}; the model needs {tuple(target.shape)}")
            target.copy_(stored)


def published_tensors(model: Decoder) -> Iterator[tuple[str, Tensor]]:
    """The published names of a decoder's weights, with views of them: an expert at a time."""
    for name, tensor in model.state_dict().items():
        published = hf_name(name)
        experts, _, projection = published.rpartition(".")
        if projection == "gate_up_proj":
            for index, expert in enumerate(tensor):
                gate, up = expert.chunk(2)
                yield f"{experts}.{index}.gate_proj.weight", gate
                yield f"{experts}.{index}.up_proj.weight", up
        elif projection == "down_proj":
            for index, expert in enumerate(tensor):
                yield f"{experts}.{index}.down_proj.weight", expert
        else:
            yield published, tensor


def hf_name(name: str) -> str:
    """The name that transformers gives a decoder's parameter or buffer."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def dequantise(stored_NK: Tensor, scales: Tensor) -> Tensor:
    """A matrix (N, K) of FP8 blocks in float32, from the factors (⌈N/128⌉, ⌈K/128⌉) of its blocks.

    Raises:
        ValueError: there is not one factor for each block.
    """
    n_rows, n_columns = stored_NK.shape
    n_blocks = (ceil(n_rows / BLOCK), ceil(n_columns / BLOCK))
    if tuple(scales.shape) != n_blocks:
        raise ValueError(f"a matrix of {n_rows} × {n_columns} needs {n_blocks} factors, not {tuple(scales.shape)}")
    scales_NK = scales.float().repeat_interleave(BLOCK, 0)[:n_rows].repeat_interleave(BLOCK, 1)[:, :n_columns]
    return stored_NK.float() * scales_NK


def _may_be_extra(name: str, model: Decoder) -> bool:
    """Factors of blocks, and what follows the last layer: the modules of multi-token prediction."""
    layer = re.match(r"model\.layers\.(\d+)\.", name)
    return name.endswith(SCALES) or (layer is not None and int(layer[1]) >= model.config.n_layers)

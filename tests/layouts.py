"""Trains in several processes, forked from one that has imported everything, and reads what a run has left."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from served import free_port
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from rephrase.storage.storage import Storage
from training.data.tokenizer import TextTokenizer
from training.loop.building import build_trainer
from training.loop.checkpoint import Checkpoints
from training.loop.checkpoint_metadata import SafeReader
from training.loop.pinned_options import pin_options
from training.loop.run import prepare_tokens
from training.loop.run_options import RunOptions
from training.model.config import ModelConfig
from training.model.gate import Gate
from training.model.presets import PRESETS
from training.parallel import local, local_rows, process_group


@dataclass(frozen=True)
class Job:
    """A run, and how many processes train it."""

    run: Path
    options: RunOptions


def pinned_routing(gate: Gate, scores: Tensor) -> Tensor:
    """Choices that depend on the position only: rounding must not send a token to another expert."""
    table = torch.rand(scores.shape, generator=torch.Generator().manual_seed(7))
    return table.topk(gate.config.n_active_experts, dim=-1).indices


def train_here(shards: str, job: Job, config: ModelConfig) -> None:
    """Train as one process of those that the environment describes, with pinned routing; write down what it holds."""
    torch.set_num_threads(1)
    PRESETS["tiny"] = lambda vocab_size=61: config.replace(vocab_size=vocab_size)
    select, Gate.select = Gate.select, pinned_routing
    try:
        with process_group(job.options.mesh, job.options.shard) as ranks:
            tokenizer = TextTokenizer(job.options.tokenizer)
            pin_options(job.run, job.options, ranks)
            store = prepare_tokens([Storage(shards)], job.run, job.options, tokenizer, (), ranks)
            trainer = build_trainer(job.run, store, job.options, tokenizer.vocab_size, ranks)
            trainer.train()
            weights = {a.name: a.parameter.detach() for a in trainer.optimizer.assignments}
            parts = {name: (local_rows(w).start, len(local(w)), digest(local(w))) for name, w in weights.items()}
            state_bytes = sum(local(tensor).nbytes for tensor in trainer.optimizer.tensors().values())
            (job.run / f"rank-{ranks.rank}.json").write_text(json.dumps({"parts": parts, "state_bytes": state_bytes}))
    finally:
        Gate.select = select
        del PRESETS["tiny"]


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def _work(
    rank: int, world_size: int, ports: Sequence[int], shards: str, jobs: Sequence[Job], config: ModelConfig
) -> None:
    for port, job in zip(ports, jobs, strict=True):
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world_size), **address}
        train_here(shards, job, config)


def start(world_size: int, shards: str, jobs: Sequence[Job], config: ModelConfig) -> list[Any]:
    """Processes that train one job after the other."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.loop.run"])
    ports = [free_port() for _ in jobs]
    processes = [
        context.Process(target=_work, args=(rank, world_size, ports, shards, jobs, config))
        for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    return processes


def train_together(world_size: int, shards: str, jobs: Sequence[Job], config: ModelConfig) -> None:
    processes = start(world_size, shards, jobs, config)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * world_size


def saved(run: Path, step: int) -> dict[str, Tensor]:
    """All tensors of a checkpoint, whole."""
    described = SafeReader(run / "checkpoints" / f"step-{step:08d}").read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(value.size, dtype=value.properties.dtype)
        for name, value in described.items()
        if isinstance(value, TensorStorageMetadata)
    }
    Checkpoints(run / "checkpoints").load(step, tensors)
    return tensors


def parts(run: Path, rank: int) -> dict[str, Any]:
    """What a rank held at the end: rows and digest of every weight, and the bytes of its optimizer state."""
    return dict(json.loads((run / f"rank-{rank}.json").read_text()))

"""Builds the trainer of a run, with its model, optimizer, schedule and loader, from the run's options."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from rephrase.storage.storage import Storage
from training.data.held_out import effective_share, held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.plan import TokenPlan, plan_tokens
from training.data.run_tokenizer import tokenizer_of
from training.data.token_store import TokenStore
from training.data.tokenizer import TextTokenizer
from training.evaluating.answering import decoder_model, evaluate, summarise
from training.evaluating.questions import read_questions
from training.loop.pinned_options import has_checkpoint, with_precision
from training.loop.run_options import RunOptions
from training.loop.starting import HuggingFaceStart, RunStart, Start, find_start
from training.loop.stopping import StopRequest
from training.loop.trainer import Trainer, TrainerConfig
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.gate import require_one_cut_off
from training.model.presets import preset
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import QKClip, latent_attention_layers
from training.optimizer.schedule import schedule
from training.parallel import Ranks
from training.sharding.parallelize import parallelize, require_whole_parts
from training.utility.tracker import UtilityConfig

log = logging.getLogger("training")

# What the run was to read when it began.
TOKEN_PLAN = "token_plan.json"
# Of all streams together: a corpus of thousands of files must not take longer to evaluate than to train on.
MAX_EVAL_ROWS = 4096
# Float32 weights, gradients and momentum: what no layout does without.
BYTES_PER_PARAMETER = 12


def check_before_reading(run: Path, options: RunOptions, vocab_size: int, ranks: Ranks) -> None:
    """Notice what would stop the run only after its texts are tokenised, which may take hours.

    Raises:
        ValueError: the model, the mesh, the schedule, the questions or the start do not fit each other or the machine.
        OSError: the questions cannot be read.
    """
    o, sizes = options, options.mesh_sizes
    config = model_config(run, o, vocab_size)
    require_whole_parts(config, n_stages=sizes.pp, n_expert_processes=sizes.ep)
    schedule(o.schedule, o.n_steps, min(o.n_warmup, o.n_steps))
    if o.quantile_balancing:
        require_one_cut_off(config)
    if o.evaluate_questions is not None:
        read_questions(o.evaluate_questions)
    if o.start is not None and not has_checkpoint(run):
        start = find_start(o.start)
        if isinstance(start, RunStart) and start.step >= o.n_steps:
            raise ValueError(f"the run begins at step {start.step} and n_steps is {o.n_steps}; ask for more steps")
    # Experts are the only weights that ep divides: what a process needs is more, never less.
    n_parts = sizes.pp * sizes.ep if o.shard == "none" else ranks.world_size
    needed, there = BYTES_PER_PARAMETER * config.n_parameters() / n_parts, _memory(ranks)
    if needed > there:
        raise ValueError(
            f"a model of {config.n_parameters() / 1e9:,.1f} billion parameters takes at least {needed / 1e9:,.0f} GB "
            f"in a process, for weights, gradients and momentum, and there are {there / 1e9:,.0f} GB; choose a smaller "
            "preset, or divide it among more processes with --mesh and --shard weights"
        )


def _memory(ranks: Ranks) -> int:
    """Bytes of the GPU of this process, or of the machine without one."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(ranks.rank % torch.cuda.device_count()).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def build_trainer(
    run: Path,
    store: TokenStore,
    options: RunOptions,
    vocab_size: int,
    ranks: Ranks | None = None,
    stop: StopRequest | None = None,
) -> Trainer:
    """The trainer of a run, with its model, optimizer, schedule and loader."""
    ranks, o = ranks or Ranks(), with_precision(options, run)
    assert o.precision != "auto"
    start = None if o.start is None or has_checkpoint(run) else find_start(o.start)
    config = model_config(run, o, vocab_size)
    row_length = o.row_length or config.context_length
    config = config.replace(context_length=max(row_length, config.context_length))
    if ranks.is_writer:
        Storage(run).write_json("model.json", asdict(config))
    model = start_model(start, config, o.seed, ranks).recompute(o.recompute_layers)
    if o.quantile_balancing:
        for gate in model.gates():
            gate.balance_by_quantile()
    optimizer = MuonClip(
        model.named_parameters(),
        deepseek_rules(config, o.split_heads),
        MuonClipConfig(lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay),
        QKClip(latent_attention_layers(model), o.clip_threshold),
        # Tied to the pinned precision of the forward pass, so that a resumed run rounds as before.
        dtype=torch.float32 if o.precision == "float32" else torch.bfloat16,
    )
    held_out_share = effective_share(store, o.held_out_share)
    reads_on = isinstance(start, RunStart) and _reads_on(start, store, o, held_out_share)
    loader_config = LoaderConfig(
        row_length=row_length,
        rows_per_step=o.rows_per_step,
        seed=o.seed,
        held_out_share=held_out_share,
        n_steps=o.n_steps - (start.step if isinstance(start, RunStart) and not reads_on else 0),
    )
    plan = plan_of(store, o, loader_config)
    # A run that goes on has been planned, from where it began.
    if ranks.is_writer and not (has_checkpoint(run) and (run / TOKEN_PLAN).exists()):
        say_plan(run, plan, loader_config)
    rows_per_stream = min(o.max_eval_rows, max(1, MAX_EVAL_ROWS // len(store.streams)))
    trainer_config = TrainerConfig(
        n_steps=o.n_steps,
        micro_batch_rows=o.micro_batch_rows,
        precision=o.precision,
        bias_speed=o.bias_speed,
        z_weight=o.z_weight,
        evaluate_every=o.evaluate_every,
        checkpoint_every=o.checkpoint_every,
        checkpoint_minutes=o.checkpoint_minutes,
        n_checkpoints_kept=o.n_checkpoints_kept,
        on_spike=o.on_spike,
        log_every=o.log_every,
        wandb_project=o.wandb_project,
        utility=UtilityConfig(align_every=o.align_every),
    )
    trainer = Trainer(
        run,
        model,
        optimizer,
        schedule(o.schedule, o.n_steps, min(o.n_warmup, o.n_steps)),
        store,
        Loader(store, o.mixture, loader_config, ranks.reader, ranks.n_readers),
        held_out_rows(store, held_out_share, row_length, rows_per_stream),
        trainer_config,
        ranks,
        stop,
        asker(o.evaluate_questions, model, tokenizer_of(run, o.tokenizer), ranks),
    )
    if isinstance(start, RunStart):
        trainer.begin_at(start.checkpoints, start.step, continue_data=reads_on)
    return trainer


def start_model(start: Start | None, config: ModelConfig, seed: int, ranks: Ranks) -> Decoder:
    """The model on its device, divided among the processes: with random weights, or those of a Hugging Face model."""
    device = torch.device("cuda", ranks.rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    if isinstance(start, HuggingFaceStart):
        model = Decoder(config).initialise(seed)
        start.load_into(model)
        return parallelize(model.to(device), ranks)
    # Without memory until it is divided: no process can hold a large model whole.
    with torch.device("meta"):
        model = Decoder(config)
    return parallelize(model, ranks).to_empty(device=device).initialise(seed)


def model_config(run: Path, options: RunOptions, vocab_size: int) -> ModelConfig:
    """The shape of a run's model: as written down when it began, or of what it starts from or its preset, stretched.

    Raises:
        ValueError: the factor is below 1, or the tokenizer has more tokens than the model that the run starts from.
    """
    if has_checkpoint(run) and (run / "model.json").exists():
        return ModelConfig.from_json(json.loads((run / "model.json").read_text()))
    config = preset(options.preset, vocab_size) if options.start is None else _start_config(options, vocab_size)
    return config if options.rope_factor is None else config.stretched(options.rope_factor)


def _start_config(options: RunOptions, vocab_size: int) -> ModelConfig:
    assert options.start is not None
    start = find_start(options.start)
    if isinstance(start, HuggingFaceStart):
        config = start.config()
    else:
        config = model_config(start.run, RunOptions.from_json(start.options), vocab_size)
    if vocab_size > config.vocab_size:
        raise ValueError(
            f"the tokenizer {options.tokenizer} has {vocab_size} tokens and the model of {start} {config.vocab_size}; "
            "use the tokenizer that it was trained with"
        )
    return config


def asker(file: str | None, model: Decoder, tokenizer: str, ranks: Ranks) -> Callable[[], dict[str, float]] | None:
    """A function that puts the questions of a file to the model: the mean of each score, by group and over all.

    All ranks call it together, as they may hold the model only together.

    Raises:
        ValueError, OSError: the file cannot be read, or holds no questions.
    """
    if file is None:
        return None
    questions = read_questions(file)
    here = decoder_model(model, TextTokenizer(tokenizer))
    asked = replace(here, logits=lambda tokens_BS: ranks.same(here.logits(tokens_BS)))

    def ask() -> dict[str, float]:
        summary = summarise(evaluate(asked, questions))
        return {
            f"{group} {score}": row[score]["mean"]
            for group, row in summary.items()
            for score in ("loss", "exact", "first", "rank")
            if score in row
        }

    return ask


def _reads_on(start: RunStart, store: TokenStore, options: RunOptions, held_out_share: float) -> bool:
    """Whether the run goes on reading where the other one stopped: same tokens, order and shares.

    Args:
        held_out_share: what is held out here, which may be more than was asked for.

    Raises:
        ValueError: documents that would be held out may have been trained on.
    """
    before, state = RunOptions.from_json(start.options), start.checkpoints.state(start.step)["loader"]
    held_out_before = state.get("held_out_share", before.held_out_share)  # version 0.1 took what was asked for
    if held_out_share > held_out_before:
        raise ValueError(
            f"held_out_share is {held_out_share:.3g} and was {held_out_before:.3g} in {start.run}: documents it was "
            f"trained on would be held out; ask for {before.held_out_share} or less, and where that is less than eight "
            "documents, for 0"
        )
    same_data = (state["data"], state["seed"]) == (store.fingerprint, options.seed)
    continues = same_data and (before.mixture, before.held_out_share, before.texts) == (
        options.mixture,
        options.held_out_share,
        options.texts,
    )
    log.info(
        "begins at %s; %s", start, "reading continues from there" if continues else "its data is read from the start"
    )
    return continues


def plan_of(store: TokenStore, options: RunOptions, config: LoaderConfig) -> TokenPlan:
    """What the run will read.

    Raises:
        ValueError: the data does not fill a single step, or the mixture does not fit it.
    """
    assert config.n_tokens is not None
    plan = plan_tokens(store, options.mixture, config.held_out_share, config.n_tokens)
    n_per_step = config.rows_per_step * config.row_length
    if plan.n_tokens < n_per_step:
        raise ValueError(
            f"there are {plan.n_tokens:,} tokens to train on, in all epochs that the mixture allows, and a step takes "
            f"{n_per_step:,} ({config.rows_per_step} rows of {config.row_length}): add documents, raise max_epochs, or "
            "ask for fewer --rows-per-step or a smaller --row-length"
        )
    return plan


def say_plan(run: Path, plan: TokenPlan, config: LoaderConfig) -> None:
    """Log what the run will read, and what of it cannot be met; write it to `token_plan.json`."""
    assert config.n_steps is not None
    log.info("%s", plan.line())
    for warning in plan.warnings(config.n_steps):
        log.warning("warning: %s", warning)
    Storage(run).write_json(TOKEN_PLAN, plan.to_json(config.n_steps))

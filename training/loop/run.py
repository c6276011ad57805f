"""A complete run from its options: tokenise, build, train. What the command line and the flow call."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch

from rephrase.models.precision import fast_precision
from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.token_store import TokenStore, tokenise_documents, tokenise_shards
from training.data.tokenizer import TextTokenizer
from training.loop.logit_curves import max_logit_curves
from training.loop.trainer import Precision, Summary, Trainer, TrainerConfig
from training.model.decoder import Decoder
from training.model.presets import preset
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import THRESHOLD, QKClip, latent_attention_layers
from training.optimizer.schedule import schedule
from training.parallel import Ranks, launched
from training.utility.report import write_report
from training.utility.tracker import UtilityConfig

# Options that may differ when a run is resumed: they change what is written, not what is computed.
FREE_OPTIONS = {"evaluate_every", "checkpoint_every", "n_checkpoints_kept", "log_every"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything that a run depends on beside its data.

    `rows_per_step` counts the rows of all processes. `row_length` None takes the preset's context length.
    `max_eval_rows` held-out rows of each stream are evaluated. `momentum` is K2's and `bias_speed` DeepSeek-V3's, made
    for runs of many thousand steps; a run of hundreds learns faster with 0.85 and balances its experts with 1e-2.
    `precision` is of the forward pass and of Newton–Schulz; "auto" is what the hardware multiplies fast.
    """

    preset: str
    tokenizer: str
    n_steps: int
    rows_per_step: int = 8
    micro_batch_rows: int = 4
    row_length: int | None = None
    lr: float = 2e-3
    momentum: float = 0.95
    schedule: str = "wsd"
    n_warmup: int = 20
    weight_decay: float = 0.1
    clip_threshold: float = THRESHOLD
    bias_speed: float = 1e-3
    precision: Precision | Literal["auto"] = "auto"
    seed: int = 0
    held_out_share: float = 0.01
    max_eval_rows: int = 16
    with_originals: bool = True
    mixture: Mixture = field(default_factory=Mixture)
    evaluate_every: int = 0
    checkpoint_every: int = 0
    n_checkpoints_kept: int = 3
    log_every: int = 1
    align_every: int = 32

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mixture": self.mixture.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunOptions":
        return cls(**{**value, "mixture": Mixture.from_json(value["mixture"])})


def train(shards: str, run: str | Path, options: RunOptions, documents: Iterable[Document] = ()) -> Summary:
    """Train on the committed shards of `shards`, and on `documents` beside them, in the folder `run`.

    Called again with the same arguments it resumes from the newest checkpoint. Under `torchrun` all processes call it.
    Leaves `utility.parquet`, `utility.md`, `utility.svg`, `max_logits.svg` and `mixture.json` in the run's folder.

    Raises:
        ValueError: bad options, nothing to train on, or a run that was begun with other options.
        TrainingStoppedError: a loss that is not finite or that jumped.
    """
    run = Path(run)
    with launched() as ranks:
        tokenizer = TextTokenizer(options.tokenizer)
        options = with_precision(options, run)
        pin_options(run, options, ranks)
        store = prepare(Storage(shards), run, options, tokenizer, documents, ranks)
        trainer = build(run, store, options, tokenizer.vocab_size, ranks)
        summary = trainer.train()
        if ranks.is_writer:
            write_report(run, trainer.utility.ledger, store.streams)
            Storage(run).write("max_logits.svg", max_logit_curves(run, options.clip_threshold).encode())
        ranks.barrier()
    return summary


def prepare(
    shards: Storage,
    run: Path,
    options: RunOptions,
    tokenizer: TextTokenizer,
    documents: Iterable[Document] = (),
    ranks: Ranks | None = None,
) -> TokenStore:
    """Tokenise what is not yet tokenised, on rank 0, and open it on all ranks."""
    ranks, cache = ranks or Ranks(), Storage(run / "tokens")
    if ranks.is_writer:
        names = tokenise_shards(shards, tokenizer, cache, options.with_originals)
        names += tokenise_documents(documents, "documents", tokenizer, cache)
        cache.write_json("blocks.json", names)
    ranks.barrier()
    return TokenStore.open(cache, cache.read_json("blocks.json"))


def build(run: Path, store: TokenStore, options: RunOptions, vocab_size: int, ranks: Ranks | None = None) -> Trainer:
    """The model, optimizer, loader and loop of a run."""
    ranks, o = ranks or Ranks(), with_precision(options, run)
    assert o.precision != "auto"
    config = preset(o.preset, vocab_size)
    row_length = o.row_length or config.context_length
    config = config.replace(context_length=max(row_length, config.context_length))
    device = torch.device("cuda", ranks.rank % torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    model = Decoder(config).initialise(o.seed).to(device)
    optimizer = MuonClip(
        model.named_parameters(),
        deepseek_rules(config),
        MuonClipConfig(lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay),
        QKClip(latent_attention_layers(model), o.clip_threshold),
        # Pinned with the precision of the forward pass, so that a resumed run rounds as it did before.
        dtype=torch.float32 if o.precision == "float32" else torch.bfloat16,
    )
    loader_config = LoaderConfig(
        row_length=row_length, rows_per_step=o.rows_per_step, seed=o.seed, held_out_share=o.held_out_share
    )
    trainer_config = TrainerConfig(
        n_steps=o.n_steps,
        micro_batch_rows=o.micro_batch_rows,
        precision=o.precision,
        bias_speed=o.bias_speed,
        evaluate_every=o.evaluate_every,
        checkpoint_every=o.checkpoint_every,
        n_checkpoints_kept=o.n_checkpoints_kept,
        log_every=o.log_every,
        utility=UtilityConfig(align_every=o.align_every),
    )
    return Trainer(
        run,
        model,
        optimizer,
        schedule(o.schedule, o.n_steps, min(o.n_warmup, o.n_steps)),
        store,
        Loader(store, o.mixture, loader_config, ranks.rank, ranks.world_size),
        held_out_rows(store, o.held_out_share, row_length, o.max_eval_rows),
        trainer_config,
        ranks,
    )


def with_precision(options: RunOptions, run: Path) -> RunOptions:
    """The options with "auto" replaced: by the precision that the run began with, else by what is fast here."""
    if options.precision != "auto":
        return options
    pinned = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {}
    return replace(options, precision=pinned.get("precision", fast_precision()))


def pin_options(run: Path, options: RunOptions, ranks: Ranks) -> None:
    """Write the options of a new run; a resumed run must have the same.

    Raises:
        ValueError: they differ in something that changes what is computed.
    """
    path = run / "run.json"
    if path.exists():
        pinned, mine = json.loads(path.read_text()), options.to_json()
        different = sorted(name for name in mine if name not in FREE_OPTIONS and pinned.get(name) != mine[name])
        if different:
            changes = ", ".join(f"{name} was {pinned.get(name)!r} and is {mine[name]!r}" for name in different)
            raise ValueError(
                f"the run in {run} was begun with other options: {changes}; restore them or name a new folder"
            )
    ranks.barrier()
    if ranks.is_writer:
        Storage(run).write_json("run.json", options.to_json())

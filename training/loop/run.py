"""A complete run from its options (tokenise, build, train), as called by the command line and the flow."""

import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch

from rephrase.models.precision import fast_precision
from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.held_out import effective_share, held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.plan import plan_tokens
from training.data.texts import FILE, TextOptions, document_texts, read_documents
from training.data.token_store import TokenStore, tokenise_shards, tokenise_texts
from training.data.tokenizer import TextTokenizer
from training.evaluating.answering import decoder_model, evaluate, summarise
from training.evaluating.questions import read_questions
from training.loop.checkpoint import Checkpoints
from training.loop.logit_curves import max_logit_curves
from training.loop.starting import HuggingFaceStart, RunStart, Start, find_start
from training.loop.stopping import StopRequest
from training.loop.trainer import OnSpike, Precision, Summary, Trainer, TrainerConfig
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.model.presets import preset
from training.optimizer.muon_clip import MuonClip, MuonClipConfig
from training.optimizer.parameter_rules import deepseek_rules
from training.optimizer.qk_clip import THRESHOLD, QKClip, latent_attention_layers
from training.optimizer.schedule import schedule
from training.parallel import MeshSizes, Ranks, Sharding, process_group
from training.sharding.parallelize import parallelize
from training.utility.report import write_report
from training.utility.tracker import UtilityConfig

log = logging.getLogger("training")

# A run as one file: `training.run_file` reads it.
RUN_FILE = "config.json"

# Options that may change on resuming: they affect what is written, what is kept in memory, how the work is divided
# among processes, or only the steps after a spike.
CHANGEABLE_OPTIONS = {
    "evaluate_every",
    "evaluate_questions",
    "checkpoint_every",
    "checkpoint_minutes",
    "n_checkpoints_kept",
    "log_every",
    "mesh",
    "on_spike",
    "recompute_layers",
    "shard",
    "wandb_project",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything that a run depends on apart from its data.

    With `start` (`RUN[@step]` or a Hugging Face folder) it begins there, and the preset does not matter.

    `rows_per_step` counts the rows of all processes. `row_length` None means the context length of the model, which
    `rope_factor` extends by YaRN. Up to `max_eval_rows` held-out rows of each stream are evaluated. The defaults of
    `momentum` and `bias_speed` are those of K2 and DeepSeek-V3, for runs of many thousand steps; a run of hundreds
    learns faster with 0.85 and balances its experts with 1e-2. `precision` applies to the forward pass and to
    Newton–Schulz; "auto" is what the hardware multiplies fast. `mesh` (as for `MeshSizes.parse`) and `shard` say how
    processes divide the work; without a mesh, all processes of `torchrun` are data-parallel.
    """

    preset: str
    tokenizer: str
    n_steps: int
    rows_per_step: int = 8
    micro_batch_rows: int = 4
    recompute_layers: int = 0
    row_length: int | None = None
    rope_factor: float | None = None
    lr: float = 2e-3
    momentum: float = 0.95
    schedule: str = "wsd"
    n_warmup: int = 20
    weight_decay: float = 0.1
    clip_threshold: float = THRESHOLD
    split_heads: bool = False
    bias_speed: float = 1e-3
    quantile_balancing: bool = False
    z_weight: float = 0.0
    precision: Precision | Literal["auto"] = "auto"
    mesh: str | None = None
    shard: Sharding = "none"
    seed: int = 0
    start: str | None = None
    held_out_share: float = 0.01
    max_eval_rows: int = 16
    with_originals: bool = True
    source_by: str = FILE
    split_by: str | None = None
    mixture: Mixture = field(default_factory=Mixture)
    evaluate_every: int = 0
    evaluate_questions: str | None = None
    checkpoint_every: int = 0
    checkpoint_minutes: float = 15.0
    n_checkpoints_kept: int = 3
    on_spike: OnSpike = "stop"
    log_every: int = 1
    wandb_project: str | None = None
    align_every: int = 32

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: an option is out of range; the message names it.
        """
        for name in (
            "n_steps",
            "rows_per_step",
            "micro_batch_rows",
            "max_eval_rows",
            "n_checkpoints_kept",
            "log_every",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.row_length is not None and self.row_length < 2:
            raise ValueError(f"row_length is {self.row_length}; it must be 2 or more")
        for name in ("n_warmup", "recompute_layers", "evaluate_every", "checkpoint_every", "align_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("lr", "clip_threshold"):
            if not 0 < getattr(self, name) < math.inf:  # false for nan too
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number above 0")
        for name in ("weight_decay", "bias_speed", "z_weight", "checkpoint_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be a finite number, 0 or more")
        for name in ("momentum", "held_out_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        self._check_mesh()
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be at least 0 and below 2^63")

    def _check_mesh(self) -> None:
        sizes = self.mesh_sizes
        rows, n_left = divmod(self.rows_per_step, sizes.n_readers)
        if n_left:
            raise ValueError(
                f"rows_per_step is {self.rows_per_step}; it must be a multiple of the {sizes.n_readers} processes "
                f"that divide the rows with the mesh {self.mesh}"
            )
        # The stages agree on the shape of what they send; with fewer micro-batches, most of them would mostly wait.
        if sizes.pp > 1 and (rows % self.micro_batch_rows or rows < sizes.pp * self.micro_batch_rows):
            raise ValueError(
                f"the {rows} rows of a step that each pipeline of the mesh {self.mesh} reads must be {sizes.pp} or "
                f"more whole micro-batches, and micro_batch_rows is {self.micro_batch_rows}; change it or rows_per_step"
            )
        # torch's gradient scaler would let each process decide alone whether its gradients overflowed.
        if self.precision == "float16" and (sizes.ep > 1 or sizes.pp > 1):
            raise ValueError(
                f"precision is float16 and the mesh {self.mesh} divides the model; use bfloat16 or float32"
            )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mixture": self.mixture.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "RunOptions":
        return cls(**{**value, "mixture": Mixture.from_json(value["mixture"])})

    @property
    def mesh_sizes(self) -> MeshSizes:
        """A single process without a mesh; torchrun may then say how many there are."""
        return MeshSizes() if self.mesh is None else MeshSizes.parse(self.mesh)

    @property
    def texts(self) -> TextOptions:
        return TextOptions(with_originals=self.with_originals, source_by=self.source_by, split_by=self.split_by)


def train(
    shards: str | Sequence[str],
    run: str | Path,
    options: RunOptions,
    documents: Sequence[str] = (),
    text_field: str = "text",
    stop: StopRequest | None = None,
) -> Summary:
    """Train on the committed shards of one or more outputs, and on the raw corpora `documents`, in the folder `run`.

    Called again with the same arguments, it resumes from the newest checkpoint. Under `torchrun` all processes call it.
    Writes `config.json` and `run.json` at its start, and at its end `utility.parquet`, `utility.md`, `utility.svg`,
    `max_logits.svg` and `mixture.json`, to the run's folder.

    Raises:
        ValueError: invalid options, nothing to train on, or a run started with other options.
        TrainingStoppedError: the loss or gradient is not finite, or the loss jumped.
        RunStoppedError: SIGINT, SIGTERM or `stop` ended it; the last step is saved.
    """
    run = Path(run)
    with process_group(options.mesh, options.shard) as ranks:
        tokenizer = TextTokenizer(options.tokenizer)
        options = with_start(with_precision(options, run), run)
        pin_options(run, options, ranks)
        outputs = [shards] if isinstance(shards, str) else list(shards)
        if ranks.is_writer:
            log.info("%s", describe_precision(options))
            if not has_checkpoint(run):
                data = {"shards": outputs, "documents": list(documents), "text_field": text_field}
                Storage(run).write_json(RUN_FILE, {**data, **options.to_json()})
        raw = chain.from_iterable(read_documents(source, options.texts, text_field) for source in documents)
        store = prepare_tokens([Storage(output) for output in outputs], run, options, tokenizer, raw, ranks)
        trainer = build_trainer(run, store, options, tokenizer.vocab_size, ranks, stop)
        summary = trainer.train()
        if ranks.is_writer:
            write_report(run, trainer.utility.ledger, store.streams, trainer.schedule)
            Storage(run).write("max_logits.svg", max_logit_curves(run, options.clip_threshold).encode())
        ranks.barrier()
    return summary


def prepare_tokens(
    outputs: Sequence[Storage],
    run: Path,
    options: RunOptions,
    tokenizer: TextTokenizer,
    documents: Iterable[Document] = (),
    ranks: Ranks | None = None,
) -> TokenStore:
    """Tokenise new data on rank 0, then open the token store on all ranks."""
    ranks, cache = ranks or Ranks(), Storage(run / "tokens")

    def tokenise() -> None:
        names = [name for shards in outputs for name in tokenise_shards(shards, tokenizer, cache, options.texts)]
        names += tokenise_texts(document_texts(documents, options.texts), "documents", tokenizer, cache)
        cache.write_json("blocks.json", list(dict.fromkeys(names)))  # the same output given twice counts once

    ranks.on_writer(tokenise)
    return TokenStore.open(cache, cache.read_json("blocks.json"))


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
    loader_config = LoaderConfig(
        row_length=row_length,
        rows_per_step=o.rows_per_step,
        seed=o.seed,
        held_out_share=held_out_share,
        n_steps=o.n_steps,
    )
    if ranks.is_writer:
        say_plan(run, store, o, loader_config)
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
        held_out_rows(store, held_out_share, row_length, o.max_eval_rows),
        trainer_config,
        ranks,
        stop,
        asker(o.evaluate_questions, model, o.tokenizer, ranks),
    )
    if isinstance(start, RunStart):
        trainer.begin_at(start.checkpoints, start.step, continue_data=_reads_on(start, store, o))
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


def has_checkpoint(run: Path) -> bool:
    """Whether the run has begun: before its first checkpoint, nothing of it would be lost with other options."""
    return bool(Checkpoints(run / "checkpoints").steps())


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


def _reads_on(start: RunStart, store: TokenStore, options: RunOptions) -> bool:
    """Whether the run goes on reading where the other one stopped: same tokens, order and shares.

    Raises:
        ValueError: documents that would be held out may have been trained on.
    """
    before = RunOptions.from_json(start.options)
    if options.held_out_share > before.held_out_share:
        raise ValueError(
            f"held_out_share is {options.held_out_share} and was {before.held_out_share} in {start.run}: documents it "
            f"was trained on would be held out; ask for {before.held_out_share} or less"
        )
    state = start.checkpoints.state(start.step)["loader"]
    same_data = (state["data"], state["seed"]) == (store.fingerprint, options.seed)
    continues = same_data and (before.mixture, before.held_out_share) == (options.mixture, options.held_out_share)
    log.info(
        "begins at %s; %s", start, "reading continues from there" if continues else "its data is read from the start"
    )
    return continues


def with_start(options: RunOptions, run: Path) -> RunOptions:
    """The options with the checkpoint that the run began at, if only the other run was named."""
    if options.start is None:
        return options
    pinned = json.loads((run / "run.json").read_text()).get("start") if (run / "run.json").exists() else None
    if pinned is not None and pinned.rpartition("@")[0] == options.start:
        return replace(options, start=pinned)
    return options if pinned == options.start else replace(options, start=str(find_start(options.start)))


def say_plan(run: Path, store: TokenStore, options: RunOptions, config: LoaderConfig) -> None:
    """Log what the run will read, and what of it cannot be met; write it to `token_plan.json`."""
    n_tokens = options.n_steps * config.rows_per_step * config.row_length
    plan = plan_tokens(store, options.mixture, config.held_out_share, n_tokens)
    log.info("%s", plan.line())
    for warning in plan.warnings(options.n_steps):
        log.warning("warning: %s", warning)
    Storage(run).write_json("token_plan.json", plan.to_json(options.n_steps))


def with_precision(options: RunOptions, run: Path) -> RunOptions:
    """The options with "auto" resolved: to the precision the run started with, else to what is fast here."""
    if options.precision != "auto":
        return options
    pinned = json.loads((run / "run.json").read_text()) if (run / "run.json").exists() else {}
    return replace(options, precision=pinned.get("precision", fast_precision()))


def describe_precision(options: RunOptions) -> str:
    """What the run computes in, and why where that may surprise."""
    line = f"matrix products and Newton–Schulz in {options.precision}"
    if fast_precision() == "float32":
        line += ": this processor has no bfloat16 units"
        if options.precision != "float32":
            line += f" and emulates {options.precision}, many times slower than float32"
    return line


def pin_options(run: Path, options: RunOptions, ranks: Ranks) -> None:
    """Write the options of a new run, or check those of one that has a checkpoint.

    Raises:
        ValueError: an option that affects the computation differs.
    """
    path = run / "run.json"
    if path.exists() and has_checkpoint(run):
        # An option that came later had its default.
        pinned, mine = RunOptions.from_json(json.loads(path.read_text())).to_json(), options.to_json()
        different = sorted(name for name in mine if name not in CHANGEABLE_OPTIONS and pinned[name] != mine[name])
        if different:
            changes = ", ".join(f"{name} was {pinned[name]!r} and is {mine[name]!r}" for name in different)
            raise ValueError(
                f"the run in {run} was started with other options: {changes}; restore them or use a new folder"
            )
    ranks.barrier()
    if ranks.is_writer:
        Storage(run).write_json("run.json", options.to_json())

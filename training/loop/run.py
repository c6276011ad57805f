"""A complete run from its options (tokenise, build, train), as called by the command line and the flow."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from rephrase.records import Document
from rephrase.storage.lock import locked
from rephrase.storage.storage import Storage
from training.data.run_tokenizer import keep_tokenizer, tokenizer_of
from training.data.texts import document_texts, read_documents
from training.data.token_store import TokenStore, tokenise_shards, tokenise_texts
from training.data.tokenizer import TextTokenizer
from training.evaluating.question_scores import write_question_scores
from training.loop.building import build_trainer, check_before_reading
from training.loop.logit_curves import max_logit_curves
from training.loop.pinned_options import (
    describe_precision,
    has_checkpoint,
    pin_options,
    with_precision,
    with_start,
    with_tokenizer,
)
from training.loop.run_options import RunOptions
from training.loop.stopping import StopRequest
from training.loop.telemetry import read_metrics
from training.loop.trainer import Summary
from training.parallel import Ranks, process_group
from training.utility.report import write_report

log = logging.getLogger("training")

# A run as one file: `training.run_file` reads it.
RUN_FILE = "config.json"
# A run may be started again before its last process, which has been told to end, is gone.
LOCK_WAIT_S = 20.0


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
    Writes to the run's folder `config.json`, `run.json` and a copy of the tokenizer at its start, and at its end
    `utility.parquet`, `utility.md`, `utility.svg`, `max_logits.svg`, `mixture.json` and, if it asked questions,
    `questions.parquet`.

    Raises:
        ValueError: invalid options, nothing to train on, or a run started with other options.
        TrainingStoppedError: the loss or gradient is not finite, or the loss jumped.
        RunStoppedError: SIGINT, SIGTERM or `stop` ended it; the last step is saved.
        OutputInUseError: another process trains in this folder.
    """
    run = Path(run)
    with process_group(options.mesh, options.shard) as ranks, ExitStack() as held:
        ranks.on_writer(lambda: held.enter_context(locked(Storage(run), log.warning, LOCK_WAIT_S)))
        options = with_tokenizer(with_start(with_precision(options, run), run), run)
        begins = not has_checkpoint(run)
        tokenizer = TextTokenizer(options.tokenizer if begins else tokenizer_of(run, options.tokenizer))
        check_before_reading(run, options, tokenizer.vocab_size, ranks)
        pin_options(run, options, ranks)
        if begins:
            tokenizer = keep_tokenizer(run, tokenizer, ranks)
        outputs = [shards] if isinstance(shards, str) else list(shards)
        if ranks.is_writer:
            log.info("%s", describe_precision(options))
            if options.shard != "none" and ranks.n_readers == 1:
                log.warning(
                    "warning: --shard %s divides nothing here: it is for processes that read different rows (dp, ep)",
                    options.shard,
                )
            if begins:
                Storage(run).write_json(RUN_FILE, _run_file(outputs, documents, text_field, options))
        raw = chain.from_iterable(read_documents(source, options.texts, text_field) for source in documents)
        store = prepare_tokens([Storage(output) for output in outputs], run, options, tokenizer, raw, ranks)
        trainer = build_trainer(run, store, options, tokenizer.vocab_size, ranks, stop)
        summary = trainer.train()
        if ranks.is_writer:
            ledger = trainer.utility.ledger
            write_report(run, ledger, store.streams, trainer.schedule, first_step=trainer.step - ledger.n_steps)
            write_question_scores(run, read_metrics(run, "questions"))
            Storage(run).write("max_logits.svg", max_logit_curves(run, options.clip_threshold).encode())
        ranks.barrier()
    return summary


def _run_file(outputs: list[str], documents: Sequence[str], text_field: str, options: RunOptions) -> dict[str, Any]:
    """The content of `config.json`; what lies on this machine has its absolute path, for any working directory."""
    values = options.to_json()
    data = {"shards": [*map(_absolute, outputs)], "documents": [*map(_absolute, documents)], "text_field": text_field}
    if Path(options.tokenizer).exists():  # else it is an id on the hub
        values["tokenizer"] = _absolute(options.tokenizer)
    if options.evaluate_questions is not None:
        values["evaluate_questions"] = _absolute(options.evaluate_questions)
    return {**data, **values}


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).absolute())


def prepare_tokens(
    outputs: Sequence[Storage],
    run: Path,
    options: RunOptions,
    tokenizer: TextTokenizer,
    documents: Iterable[Document] = (),
    ranks: Ranks | None = None,
) -> TokenStore:
    """Tokenise new data on rank 0, then open the token store on all ranks.

    Raises:
        ValueError: there is nothing to train on, or no document has the field of `split_by`.
        OSError: a file is missing or cannot be read.
    """
    ranks, cache = ranks or Ranks(), Storage(run / "tokens")

    def tokenise() -> None:
        names = [name for shards in outputs for name in tokenise_shards(shards, tokenizer, cache, options.texts)]
        names += tokenise_texts(document_texts(documents, options.texts), "documents", tokenizer, cache)
        cache.write_json("blocks.json", list(dict.fromkeys(names)))  # the same output given twice counts once

    ranks.on_writer(tokenise)
    store = TokenStore.open(cache, cache.read_json("blocks.json"))
    if options.split_by is not None and store.by_content and not store.has_split_keys:
        raise ValueError(
            f"no document has the metadata field {options.split_by!r} of --split-by; outputs have those that "
            "`palimpsest rephrase --metadata-field` named"
        )
    return store

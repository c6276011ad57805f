"""`python -m training` and `torchrun -m training`: train on the shards of rephrasing runs and on raw corpora."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from rephrase.models.resolve import resolve_model
from rephrase.storage.lease import OutputInUseError
from training.data.mixture import Mixture
from training.data.texts import FILE
from training.launching.launch import Job, launch
from training.launching.processes import ProcessLostError
from training.launching.ray_config import RayTrainConfig
from training.loop.loss_guard import TrainingStoppedError
from training.loop.pinned_options import start_tokenizer
from training.loop.run_options import RunOptions
from training.loop.stopping import RunStoppedError
from training.loop.trainer import OnSpike, Precision
from training.model.presets import PRESETS
from training.optimizer.qk_clip import THRESHOLD
from training.optimizer.schedule import SCHEDULES
from training.parallel import Sharding
from training.run_file import read_run_file

DESCRIPTION = """\
Train a mixture-of-experts model with MuonClip on the committed shards in the folders SHARDS and on --documents.

The folder RUN holds everything: tokens, checkpoints, metrics, and at the end utility.parquet,
utility.md and mixture.json, which report the value of each recipe and style. Run the same
command again to resume a stopped run from its newest checkpoint.

  {prog} out runs/a --tokenizer HuggingFaceTB/SmolLM2-135M --n-steps 500
  {prog} out more runs/c --documents corpus --mixture runs/a/mixture.json --n-steps 500 \\
      --tokenizer HuggingFaceTB/SmolLM2-135M
  {prog} out runs/d --mesh dp=2 --shard optimizer --tokenizer ./tokenizer --n-steps 500
  torchrun --nproc-per-node 8 -m training s3://bucket/out runs/b --preset mini --mesh dp=2,ep=4 \\
      --tokenizer ./tokenizer --n-steps 20000 --rows-per-step 256 --micro-batch-rows 8
"""


def parser(prog: str = "python -m training", tokenizer: str | None = None) -> argparse.ArgumentParser:
    """The options; `tokenizer` is the default tokenizer, if the caller has one."""
    p = argparse.ArgumentParser(
        prog=prog, description=DESCRIPTION.format(prog=prog), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "shards", metavar="SHARDS", nargs="*", help="output folders of rephrasing runs: local, s3://, gs:// …"
    )
    # Not `--run`: torchrun would read it as an abbreviation of its own `--run-path`.
    p.add_argument("run", metavar="RUN", type=Path, help="local folder of this run; created if missing")
    p.add_argument(
        "--tokenizer",
        help="Hugging Face Hub id or folder of the tokenizer; for nano and micro, a small one trained by "
        "`palimpsest tokenizer` is best" + (f" (default: {tokenizer})" if tokenizer else ""),
    )
    p.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="TOML or JSON file with options, such as the config.json of another run, which starts the same run "
        "again; options on the command line win",
    )
    p.add_argument("--n-steps", type=int, help="optimizer steps")
    p.add_argument("--preset", default="nano", choices=PRESETS, help="model shape (default: %(default)s)")
    p.add_argument(
        "--from",
        dest="start",
        metavar="RUN[@STEP]",
        help="start from a checkpoint of another run (its step count continues) or from the model of a Hugging "
        "Face folder, with its tokenizer; all other options may differ",
    )
    data = p.add_argument_group("data")
    data.add_argument(
        "--documents",
        metavar="SOURCE",
        action="append",
        default=[],
        help="raw corpus to train on as well: a file, folder or glob, as for `palimpsest rephrase`; may be repeated",
    )
    data.add_argument("--text-field", default="text", help="field of --documents with the text (default: %(default)s)")
    data.add_argument(
        "--source-by",
        default=FILE,
        metavar="file|folder|FIELD",
        help="what is one source: a file, a folder, or the value of a metadata field (default: %(default)s)",
    )
    data.add_argument(
        "--split-by",
        metavar="FIELD",
        help="metadata field; documents with the same value, such as translations of one text, are held out together",
    )
    data.add_argument(
        "--mixture", type=Path, help="JSON file of shares and epoch caps (default: weight streams by their tokens)"
    )
    data.add_argument("--without-originals", dest="with_originals", action="store_false", help="train on rewrites only")
    data.add_argument(
        "--held-out-share",
        type=float,
        default=0.01,
        help="share of documents held out, at least eight; 0: none (default: %(default)s)",
    )
    data.add_argument("--row-length", type=int, help="tokens per packed row (default: the model's context length)")
    data.add_argument(
        "--rope-factor",
        type=float,
        help="extend the context by YaRN to this many times the length that the model was first trained with "
        "(Kimi K2: 32), for a "
        "long-context stage after --from; rows become as long unless --row-length says otherwise",
    )
    data.add_argument("--rows-per-step", type=int, default=8, help="over all processes (default: %(default)s)")
    data.add_argument("--micro-batch-rows", type=int, default=4, help="per forward pass (default: %(default)s)")
    data.add_argument(
        "--recompute-layers",
        type=int,
        default=0,
        metavar="N",
        help="keep no activations of the first N layers and recompute them in the backward pass: less memory, "
        "more time (default: %(default)s)",
    )
    data.add_argument("--seed", type=int, default=0, help="for weights and document order (default: %(default)s)")
    o = p.add_argument_group("optimization")
    o.add_argument("--lr", type=float, default=2e-3, help="peak learning rate (default: %(default)s)")
    o.add_argument(
        "--momentum",
        type=float,
        default=0.95,
        help="of Muon; use less in runs of a few hundred steps (default: %(default)s)",
    )
    o.add_argument(
        "--schedule",
        default="wsd",
        choices=SCHEDULES,
        help="learning-rate schedule; k2 and k3 are those of Kimi K2 and K3 (default: %(default)s)",
    )
    o.add_argument("--n-warmup", type=int, default=20, help="warm-up steps (default: %(default)s)")
    o.add_argument("--weight-decay", type=float, default=0.1, help="decoupled weight decay (default: %(default)s)")
    o.add_argument("--clip-threshold", type=float, default=THRESHOLD, help="QK-Clip's τ (default: %(default)s)")
    o.add_argument(
        "--split-heads",
        action="store_true",
        help="orthogonalise the updates of queries, keys and values head by head (K3's per-head Muon)",
    )
    o.add_argument(
        "--bias-speed",
        type=float,
        default=1e-3,
        help="update speed of the gates' balancing bias (default: %(default)s)",
    )
    o.add_argument(
        "--quantile-balancing",
        action="store_true",
        help="set that bias to the quantile of the experts' margins after each step, as K3 does, without a speed",
    )
    o.add_argument(
        "--z-weight",
        type=float,
        default=0.0,
        help="weight of the z-loss, which keeps output logits small; PaLM's is 1e-4 (default: %(default)s)",
    )
    o.add_argument(
        "--precision",
        default="auto",
        choices=("auto", *get_args(Precision)),
        help="of matrix products; auto: bfloat16 where the hardware accelerates it (default: %(default)s)",
    )
    o.add_argument(
        "--on-spike",
        default="stop",
        choices=get_args(OnSpike),
        help="when the loss jumps or is not finite: stop before the update, or skip the step and list its documents in "
        "RUN/skipped.jsonl, for at most 1%% of the steps (default: %(default)s)",
    )
    processes = p.add_argument_group("processes")
    processes.add_argument(
        "--mesh",
        metavar="pp=N,dp=N,ep=N",
        help="how processes divide the work: pp by layers (a pipeline of as many stages), dp by rows of a step, ep by "
        "rows and experts; their product is started on this machine, unless torchrun has started them. A stopped "
        "run may resume with another mesh (default: by rows, among the processes of torchrun)",
    )
    processes.add_argument(
        "--shard",
        default="none",
        choices=get_args(Sharding),
        help="what the processes divide among them instead of each holding it in full: nothing, the optimizer state "
        "(ZeRO-1), or weights, gradients and optimizer state (ZeRO-3) (default: %(default)s)",
    )
    processes.add_argument(
        "--runner", default="local", choices=("local", "ray"), help="local: on this machine. ray: on a Ray cluster."
    )
    processes.add_argument(
        "--ray-address", metavar="ADDRESS", help="for --runner ray: address of the head node, such as 10.0.0.1:6379"
    )
    processes.add_argument(
        "--ray-cpus",
        dest="ray_cpus_per_process",
        metavar="N",
        type=float,
        help="for --runner ray: CPUs per process (default: 1)",
    )
    processes.add_argument(
        "--ray-gpus",
        dest="ray_gpus_per_process",
        metavar="N",
        type=float,
        help="for --runner ray: GPUs per process (default: 0)",
    )
    processes.add_argument(
        "--ray-min-dp",
        metavar="N",
        type=int,
        help="for --runner ray: when machines are lost, continue on the others if they have room for a mesh with "
        "this dp (default: wait until there are as many again)",
    )
    processes.add_argument(
        "--ray-max-restarts",
        metavar="N",
        type=int,
        help="for --runner ray: how often the run is restarted from its newest checkpoint after a process was "
        "lost (default: 3)",
    )
    output = p.add_argument_group("output")
    output.add_argument("--evaluate-every", type=int, default=0, help="in steps; 0: only at the end")
    output.add_argument(
        "--evaluate-questions",
        metavar="FILE",
        help="closed-book questions to ask at each evaluation, as for `palimpsest evaluate`; the figures are in "
        "RUN/metrics.jsonl and TensorBoard",
    )
    output.add_argument("--checkpoint-every", type=int, default=0, help="in steps; 0: only by time and at the end")
    output.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=15,
        help="between checkpoints; 0: not by time (default: %(default)s). Ctrl-C and SIGTERM save one too",
    )
    output.add_argument(
        "--n-checkpoints-kept", type=int, default=3, help="newest checkpoints to keep (default: %(default)s)"
    )
    output.add_argument("--log-every", type=int, default=1, help="in steps (default: %(default)s)")
    output.add_argument("--wandb", dest="wandb_project", metavar="PROJECT", help="also log to Weights & Biases")
    output.add_argument(
        "--align-every",
        type=int,
        default=32,
        help="in steps; 0: do not measure gradient alignment (default: %(default)s)",
    )
    return p


def main(arguments: list[str] | None = None, **defaults: str) -> int:
    """Returns the exit status; `defaults` go to `parser`.

    0 success, 1 stopped by the loss guard, 2 usage error, 130 and 143 stopped by SIGINT and SIGTERM, 137 a process of
    the run was killed.
    """
    parsed = parser(**defaults)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        file = parsed.parse_known_intermixed_args(arguments)[0].config
        config = read_run_file(file) if file else {}
        # Lists of the file are replaced, whereas argparse would append to a default.
        lists = {name: config.pop(name, []) for name in ("shards", "documents")}
        parsed.set_defaults(**config)
        given = vars(parsed.parse_intermixed_args(arguments))
        shards, documents = (given.pop(name) or values for name, values in lists.items())
        run, mixture, text_field = given.pop("run"), given.pop("mixture"), given.pop("text_field")
        ray = ray_options(given)
        del given["config"]
        if not shards and not documents:
            raise ValueError(f"nothing to train on: give an output folder before {run}, or --documents SOURCE")
        start, tokenizer = given["start"], given.pop("tokenizer")
        tokenizer = tokenizer or (start_tokenizer(start, run) if start else defaults.get("tokenizer"))
        if tokenizer is None or given["n_steps"] is None:
            missing = ["--tokenizer"] * (tokenizer is None) + ["--n-steps"] * (given["n_steps"] is None)
            parsed.error(f"the following arguments are required: {', '.join(missing)}")
        options = RunOptions(tokenizer=resolve_model(tokenizer), mixture=Mixture.read(mixture), **given)
        job = Job(shards=shards, run=run, options=options, documents=documents, text_field=text_field)
        summary = launch(job, ray)
    except TrainingStoppedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    except RunStoppedError as error:
        print(f"{error}; run the same command again to resume from there", file=sys.stderr)
        return 128 + error.signal
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume from the last checkpoint", file=sys.stderr)
        return 130
    except ProcessLostError as error:
        print(f"{error}; run the same command again to resume from the last checkpoint", file=sys.stderr)
        return 137
    except (ValueError, OSError, OutputInUseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if os.environ.get("RANK", "0") != "0":
        return 0  # the first process speaks for all
    print(f"{summary.n_steps} steps, {summary.n_tokens} tokens, loss {summary.loss:.4f}")
    if not summary.finished:
        print("the data ran out before the last step: raise max_epochs in the mixture, or add shards", file=sys.stderr)
    return 0


def ray_options(given: dict[str, Any]) -> RayTrainConfig | None:
    """Take the options of the runner out of those given; None without `--runner ray`.

    Raises:
        ValueError: one is out of range, or is for Ray and the runner is not.
    """
    runner = given.pop("runner")
    found = {name: given.pop(f"ray_{name}") for name in RayTrainConfig.model_fields}
    found = {name: value for name, value in found.items() if value is not None}
    if runner == "ray":
        try:
            return RayTrainConfig(**found)
        except ValidationError as error:
            wrong = error.errors()[0]
            option = f"--ray-{str(wrong['loc'][0]).replace('_per_process', '').replace('_', '-')}"
            raise ValueError(f"{option} is {wrong['input']!r}: {wrong['msg']}") from error
    if found:
        raise ValueError("the options for Ray need --runner ray")
    return None


if __name__ == "__main__":
    sys.exit(main())

"""Do rewrites teach more than the same text again? Facts about invented people, read in different ways.

Each arm trains a small model on as many tokens with as many exposures of each person's facts: the raw paragraph E
times, one rewrite E times, K rewrites in turn, a fresh one each time; rewrites with planted errors, with and without a
gate. Then the model is tuned on questions about half of the people and answers questions about the other half. See
docs/facts.md for the rule and the results.

    python tests/benchmarks/training/bench_facts.py DATA OUT [--tiny] [--device cuda --workers 8 --limit-minutes 6]
    python tests/benchmarks/training/bench_facts.py DATA OUT --rewrites RUN --judge  # before the arms that need them
    python tests/benchmarks/training/bench_facts.py DATA OUT --report

DATA is a folder with documents/*.jsonl. OUT gets the data as token ids (OUT/world, made once; DATA is not read again),
a line for each finished run in OUT/results.jsonl, and OUT/facts.md with charts. The same command goes on where it
stopped: finished runs are not run again. First comes the grid of learning rates and weight decays for the raw
paragraph, then every arm with the best of them.
"""

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from facts.arms import ARMS, GRID, Gate, Run, final_runs, missing_data, pilot_runs
from facts.judged import judge_pools
from facts.real import add_real
from facts.report import best_setting, read_results, report
from facts.running import run
from facts.sizes import Sizes
from facts.world import REAL, World, load_world, make_world


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    out = options.out
    folder, results = out / "world", out / "results.jsonl"
    if not (folder / "world.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        sizes = Sizes.tiny() if options.tiny else Sizes()
        began = time.perf_counter()
        make_world(options.data, sizes.replace(**dict(options.size)), folder)
        print(f"made {folder} in {time.perf_counter() - began:.0f} s", flush=True)
    try:
        world = load_world(folder, **dict(options.size))
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(
        f"{world.n_rows // world.sizes.rows_per_step} steps of {world.sizes.rows_per_step * world.sizes.row_length} "
        f"tokens; {sum(map(len, world.background)):,} tokens of background",
        flush=True,
    )
    if options.rewrites:
        print(f"{options.rewrites}: {add_real(options.rewrites, folder)}", flush=True)
        world = load_world(folder, **dict(options.size))
    if options.judge:
        for line in judge_pools(world, [pool for pool in (REAL, "wrong_20") if pool in world.pools], folder):
            print(line, flush=True)
        world = load_world(folder, **dict(options.size))
    n_failed = 0
    if not options.report and not options.prepare:
        with workers(options.workers) as do:
            n_failed += run_all(pick(GRID, options), world, do, options)
            setting = best_setting(read_results(results, world.sizes))
            if not options.grid_only and setting is not None:
                runs = pilot_runs(*setting) if options.pilot else pick(final_runs(*setting), options)
                n_failed += run_all(runs, world, do, options)
    text, charts = report(read_results(results, world.sizes), world)
    (out / "facts.md").write_text(text)
    for name, svg in charts.items():
        (out / name).write_text(svg)
    print(text)
    return 1 if n_failed else 0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--tiny", action="store_true", help="sizes that run on a CPU in a minute, where nothing is learnt")
    p.add_argument(
        "--size",
        action="append",
        default=[],
        type=size,
        metavar="NAME=VALUE",
        help="another size of sizes.py; may be repeated",
    )
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--workers", type=int, default=0, help="processes, each with one run at a time; 0: in this process")
    p.add_argument("--limit-minutes", type=float, default=float("inf"), help="begin no further run after this time")
    p.add_argument("--arms", help=f"only these, with commas: {', '.join(ARMS)}")
    p.add_argument("--seeds", help="only these final seeds, with commas")
    p.add_argument("--recall", type=float, default=Gate().recall, help="of the gate (default: %(default)s)")
    p.add_argument("--precision", type=float, default=Gate().precision, help="of the gate (default: %(default)s)")
    p.add_argument("--rewrites", type=Path, help="a run of `palimpsest rephrase` over OUT/world/people.jsonl")
    p.add_argument("--judge", action="store_true", help="judge the rewrites of a model and of wrong_20 by the verdict")
    p.add_argument("--setting", type=setting, metavar="LR,DECAY", help="a grid of this setting alone")
    p.add_argument("--prepare", action="store_true", help="only make the data")
    p.add_argument("--grid-only", action="store_true", help="only the grid")
    p.add_argument("--pilot", action="store_true", help="the grid and four arms with its seed: can the sizes show it?")
    p.add_argument("--report", action="store_true", help="only the report")
    p.set_defaults(began=time.time())
    return p


def size(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in Sizes.__dataclass_fields__:
        raise argparse.ArgumentTypeError(f"{name!r} is no size; choose one of {', '.join(Sizes.__dataclass_fields__)}")
    return name, type(getattr(Sizes(), name))(value)


def setting(text: str) -> tuple[float, float]:
    lr, _, decay = text.partition(",")
    return float(lr), float(decay)


def pick(runs: Iterable[Run], options: argparse.Namespace) -> list[Run]:
    """Those that the options ask for."""
    is_grid = list(runs) == GRID
    chosen = []
    for what in runs:
        wanted = is_grid or options.arms is None or what.arm in options.arms.split(",")
        wanted &= is_grid or options.seeds is None or str(what.seed) in options.seeds.split(",")
        wanted &= not is_grid or options.setting is None or (what.lr, what.weight_decay) == options.setting
        if wanted:
            chosen.append(what)
    return chosen


class workers:  # noqa: N801  reads as a statement
    """Something like `map` that runs in `n` processes and gives results as they come; in this process if `n` is 0."""

    def __init__(self, n: int) -> None:
        self.pool = multiprocessing.get_context("spawn").Pool(n) if n else None

    def __enter__(self):
        return self.pool.imap_unordered if self.pool is not None else map

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.terminate()


def run_all(runs: list[Run], world: World, do, options: argparse.Namespace) -> int:
    """Run what the results file lacks and append a line for each; returns how many failed."""
    results = options.out / "results.jsonl"
    finished = {row["key"] for row in read_results(results, world.sizes)}
    missing = []
    for what in runs:
        if what.key in finished:
            continue
        if lack := missing_data(what, world):
            print(f"left out: {what.key}: {lack}", flush=True)
        else:
            missing.append(what)
    gate, until = Gate(options.recall, options.precision), options.began + 60 * options.limit_minutes
    n_failed = n_left = 0
    with results.open("a", buffering=1) as file:
        for what, row, error in do(
            partial(one_run, options.out / "world", options.size, gate, options.device, until), missing
        ):
            if error is not None:
                n_failed += 1
                print(f"failed: {what.key}\n{error}", file=sys.stderr, flush=True)
            elif row is None:
                n_left += 1
            else:
                file.write(json.dumps(row) + "\n")
                shares = row["exact"]["test"]
                mean = sum(sum(shares[name]) for name in shares if name != "reversed") / (
                    (len(shares) - 1) * len(shares["reversed"])
                )
                print(
                    f"{time.time() - options.began:5.0f} s  {what.key}: exact {mean:.1%}, background "
                    f"{row['background_loss']:.3f}, {row['seconds']:.0f} s",
                    flush=True,
                )
    if n_left:
        print(f"{n_left} runs left: the time was up; the same command goes on", flush=True)
    return n_failed


def one_run(
    folder: Path, changes: list[tuple[str, Any]], gate: Gate, device: str, until: float, what: Run
) -> tuple[Run, dict[str, Any] | None, str | None]:
    """The run, and its result, or None if the time is up, or what went wrong: the other runs go on."""
    if time.time() > until:
        return what, None, None
    try:
        torch.set_num_threads(1)
        return what, run(what, _world(folder, tuple(changes)), gate, device), None
    except Exception:
        return what, None, traceback.format_exc()


@cache
def _world(folder: Path, changes: tuple[tuple[str, Any], ...]) -> World:
    return load_world(folder, **dict(changes))


if __name__ == "__main__":
    sys.exit(main())

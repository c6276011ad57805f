"""Does the cycle pay? Three rounds on rewrites that are planted, so that it is known which styles are useful.

No model rewrites: each style of a document is made from other text, see cycle/styles.py. Two styles are useful (fresh
sections of the book that the documents and the test text are from), two are neither (another domain, near copies), one
is a decoy (boilerplate, whose loss drops furthest) and one is noise (random letters). Styles are drawn,
rewrites stored, models trained, tokens valued and shares decided by the product's own code. All arms read the same
number of tokens from the same first weights:

    decided   a round further: rewrites in the shares that the last round decided
    natural   rewrites in equally many of each style, which is the first round
    uniform   the same rewrites, with as many tokens read of each style
    round-N   the model of round N: rewrites of all rounds so far, as the cycle leaves it

The rule, written down before the final runs: over at least 5 seeds, with 95 % intervals over seeds (Student's t),

1. the decided share of the two useful styles together is above the third that equal shares give them;
2. the paired difference in test loss of decided and uniform shares, and that of decided and natural shares, is below 0;
3. the decided shares of the decoy and of the noise are each below a sixth, and for no seed is either the largest.

The models are dense and of far less than 15 M parameters: this tests the rule of the cycle, and says nothing about the
best mixture for a larger model.

    python tests/benchmarks/training/bench_cycle.py DATA OUT [--seeds 5] [--tiny]

DATA is a folder with documents/openstax*.jsonl and math/openlogic_tex.jsonl. OUT gets a line for each finished run in
OUT/results.jsonl, OUT/cycle.md and charts, and the folders of all runs, which `palimpsest` commands read. The same
command goes on where it stopped.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cycle.report import read_results, report
from cycle.rounds import TINY, Laboratory, Row, Sizes


def main(arguments: list[str] | None = None) -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--seeds", type=int, default=5, help="how many (default: %(default)s)")
    p.add_argument("--first-seed", type=int, default=0, help="pilots used 100 and above")
    p.add_argument("--tiny", action="store_true", help="sizes that run in seconds, where nothing is learnt")
    p.add_argument(
        "--size", action="append", default=[], type=size, metavar="NAME=VALUE", help="another size of cycle/rounds.py"
    )
    p.add_argument("--report", action="store_true", help="only the report")
    options = p.parse_args(arguments)
    sizes = replace(TINY if options.tiny else Sizes(), **dict(options.size))
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    if not options.report:
        torch.set_num_threads(1)
        laboratory = Laboratory(options.data, options.out, sizes)
        with results.open("a", buffering=1) as file:

            def finish(row: Row) -> None:
                file.write(json.dumps(row) + "\n")
                print(
                    f"seed {row['seed']}, {row['run']}: test loss {row['test_loss']:.4f}, "
                    f"{row['cpu_seconds']:.0f} s of processor time",
                    flush=True,
                )

            done = read_results(results, sizes)
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                laboratory.run_seed(seed, done.get(seed, {}), finish)
    text, charts = report(read_results(results, sizes), sizes)
    (options.out / "cycle.md").write_text(text)
    for name, svg in charts.items():
        (options.out / name).write_text(svg)
    print(text)
    return 0


def size(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in Sizes.__dataclass_fields__:
        raise argparse.ArgumentTypeError(f"{name!r} is no size; choose one of {', '.join(Sizes.__dataclass_fields__)}")
    return name, type(getattr(Sizes(), name))(value)


if __name__ == "__main__":
    sys.exit(main())

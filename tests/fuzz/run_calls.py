"""Wrong calls of every command: python tests/fuzz/run_calls.py [--n 2000] [--seed 0]

Prints each call that ended in a traceback, hung or said nothing, and the counts by command.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported: an unknown model is not waited for

from wrong_calls import FINE, run_calls, sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=20.0)
    chosen = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for call in run_calls(sample(chosen.n, chosen.seed), chosen.limit_s):
        counts[call.arguments[0], call.outcome] += 1
        if call.outcome not in FINE:
            print(call, "\n", flush=True)
    for (command, outcome), n in sorted(counts.items()):
        print(f"{command}: {outcome} {n:,}")
    totals = Counter[str]()
    for (_, outcome), n in counts.items():
        totals[outcome] += n
    print(f"{sum(totals.values()):,} calls: {dict(totals)}")
    sys.exit(any(outcome not in FINE for outcome in totals))


if __name__ == "__main__":
    main()

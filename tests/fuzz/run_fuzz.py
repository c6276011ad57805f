"""Hostile texts for every public function of a text: python tests/fuzz/run_fuzz.py [--seconds 600] [--seed 0]

Prints for each function the number of cases, errors and stopped cases, and how its slowest text grows: the seconds for
2,500, 5,000, 10,000 and 20,000 characters. Goes on with new mixtures until the time is up.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile import Case, hostile_texts, run_all, text_functions

SIZES = (2_500, 5_000, 10_000, 20_000)


def growth(function: str, seed: int, worst: Case) -> str:
    """The seconds that the slowest text takes at each size."""
    call = text_functions()[function]
    found = []
    for size in SIZES:
        text = next((text for name, text in hostile_texts(size, seed, 1.0, 12) if name == worst.text), "")
        began = time.process_time()
        call(text)
        found.append(f"{time.process_time() - began:.2f}")
    return " ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    began, seed, n_cases, bad = time.monotonic(), chosen.seed, 0, []
    print("| function | cases | errors | stopped | slowest, s at 2,500 to 20,000 characters | its text |")
    print("|---|---|---|---|---|---|")
    while seed == chosen.seed or time.monotonic() - began < chosen.seconds:
        for function in text_functions():
            cases = list(run_all(function, n_characters=SIZES[-1], seed=seed))
            n_cases += len(cases)
            wrong = [case for case in cases if case.error]
            bad += wrong
            stopped = sum(case.error == "stopped" for case in cases)
            if seed == chosen.seed or wrong:
                worst = max(cases, key=lambda case: case.seconds)
                curve = "-" if stopped else growth(function, seed, worst)
                print(
                    f"| {function} | {len(cases)} | {len(wrong) - stopped} | {stopped} | {curve} | {worst.text[:60]} |",
                    flush=True,
                )
        seed += 1
    print(f"\n{n_cases:,} cases, {len(bad)} errors or stopped, {time.monotonic() - began:.0f} s")
    for case in bad[:20]:
        print(f"{case.function}: {case.text}: {case.error}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()

"""Of two candidates for a sentence, one good and one not, how often is the good one ranked first?

    python tests/benchmarks/bench_candidates.py DATA

Over the read rewrites whose log-probability under the model that wrote them is known; good is faithful, fluent and kept
to three quarters. The shipped weights were fitted to these rows, too, so the probabilities flatter. DATA contains
documents/.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from fidelity.calibration.calibration import load_calibration
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.fitting.read_rewrites import rows_of_file
from fidelity.fitting.written_pairs import referenced_texts
from fidelity.judge import Judge, Pair
from rephrase.passages import LOGPROB_WEIGHT

BATCH = 32
WEIGHTS = (LOGPROB_WEIGHT / 2, LOGPROB_WEIGHT, 2 * LOGPROB_WEIGHT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    rows = [row for row in rows_of_file() if "logprob" in row]
    sources = referenced_texts(data, rows)
    if None in sources:
        parser.error(f"{data} lacks the sources of the rewrites: pass the folder with documents/")
    encoder = CachedEncoder(SentenceEncoder())
    judge = Judge(load_calibration(), encoder, lambda: encoder)
    pairs_to_judge = [
        Pair(source=source or "", rewrite=row["rewrite"]) for row, source in zip(rows, sources, strict=True)
    ]
    verdicts = [
        verdict
        for start in range(0, len(pairs_to_judge), BATCH)
        for verdict in judge.judge(pairs_to_judge[start : start + BATCH])
    ]

    def log_odds(values: list[float]) -> np.ndarray:
        clipped = np.clip(values, 1e-3, 1 - 1e-3)
        return np.log(clipped / (1 - clipped))

    faithful = log_odds([verdict.probabilities["faithful"] for verdict in verdicts])
    all_four = log_odds([verdict.probability or 0.0 for verdict in verdicts])
    logprob = np.array([row["logprob"] for row in rows])
    ways = {
        "the probability of all four": all_four,
        "the probability of being faithful": faithful,
        "the log-probability": logprob,
        **{f"faithful, with {weight:g} of the log-probability": faithful + weight * logprob for weight in WEIGHTS},
    }
    good = np.array([bool(row["faithful"] and row["fluent"] and row["kept"] >= 0.75) for row in rows])
    new = np.array([row["reworded"] >= 0.5 for row in rows])
    by_sentence: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_sentence[row["file"], row["id"], row["start"]].append(i)
    pairs = [(i, j) for found in by_sentence.values() for i in found for j in found if good[i] and not good[j]]
    both_new = [(i, j) for i, j in pairs if new[i] and new[j]]
    print(
        f"| ranked by | good before bad, {len(pairs)} pairs | both new wording, {len(both_new)} pairs |\n|---|---|---|"
    )
    for name, values in ways.items():
        shares = [
            np.mean([np.sign(values[i] - values[j]) / 2 + 0.5 for i, j in chosen]) for chosen in (pairs, both_new)
        ]
        print(f"| {name} | {shares[0]:.2f} | {shares[1]:.2f} |")


if __name__ == "__main__":
    main()

"""How well does a language model as the judge tell faithful from unfaithful, alone and with the verdict?

    python tests/benchmarks/bench_judge.py DATA MODEL [--rows N] [--cache FILE] [--answers FILE]

MODEL is a folder that vLLM serves in this process. DATA contains fidelity/ and documents/. Of each set, N rows chosen
by a hash of their text. The verdict is *faithful* by five folds, so of models that were not fitted to these rows; the
judge is asked about each sentence of the rewrite, and its least sure Yes counts. "Both" is the sum of their log-odds.
Scores are cached as by bench_fidelity.py, and so are the answers: a run that was stopped goes on.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from sklearn.metrics import roc_auc_score

from fidelity.calibration.calibration import load_calibration
from fidelity.checker import FidelityConfig
from fidelity.fitting.fitting import out_of_fold_odds
from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.fitting.score_cache import ScoreCache
from fidelity.fitting.train_calibration import FEATURES, all_pairs, examples_of, of_kind
from flows.verification.judge_model import self_judge
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.records import Verdict, digest

# Not WiCE: its cited pages are longer than the context.
SETS = ("FEVER-symmetric", "SummEdits", "BEGIN", "real rewrites")
MAX_TOKENS = 4096
CLIP = 1e-3


def known_answers(path: Path) -> dict[str, float]:
    """The judge's least sure Yes for each pair that it was asked about, by `key`."""
    return dict(json.loads(line) for line in path.read_text("utf-8").splitlines()) if path.is_file() else {}


async def ask(pairs: Sequence[LabelledPair], model: str, out: TextIO) -> None:
    engine = VLLMEngine(model, max_context_tokens=MAX_TOKENS)
    judge = self_judge(engine, FidelityConfig(self_judge=True))
    began = time.monotonic()
    for n, pair in enumerate(pairs, 1):
        verdict = await judge.review(pair.source, pair.rewrite, 0.0, Verdict(accepted=True))
        out.write(json.dumps([key(pair), verdict.scores["judge_support_min"]]) + "\n")
        out.flush()
        if n % 20 == 0:
            print(f"{n}/{len(pairs)} judged after {time.monotonic() - began:.0f} s", flush=True)
    await engine.close()


def key(pair: LabelledPair) -> str:
    return digest(f"{pair.source}\x1f{pair.rewrite}")


def log_odds(yes: Sequence[float]) -> np.ndarray:
    clipped = np.clip(yes, CLIP, 1 - CLIP)
    return np.log(clipped / (1 - clipped))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, default=100, help="of each set")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bench-fidelity-scores.jsonl")
    parser.add_argument("--answers", type=Path, default=Path(tempfile.gettempdir()) / "bench-judge-answers.jsonl")
    chosen = parser.parse_args()
    cache = ScoreCache(chosen.cache)
    every, _ = all_pairs(chosen.data)
    pairs = [pair for pair in of_kind(every, "faithful", "knowledge") if pair.faithful is not None]
    cache.fill(pairs, on_progress=print)
    pairs = [pair for pair in pairs if cache.get(pair)]
    unseen = out_of_fold_odds(examples_of(pairs, cache, "faithful"), FEATURES["faithful", "knowledge"])
    unseen *= load_calibration().model("faithful", "knowledge").scale
    sample = {
        name: sorted((i for i, pair in enumerate(pairs) if pair.dataset == name), key=lambda i: key(pairs[i]))[
            : chosen.rows
        ]
        for name in SETS
    }
    known = known_answers(chosen.answers)
    todo = [pairs[i] for rows in sample.values() for i in rows if key(pairs[i]) not in known]
    if todo:
        with chosen.answers.open("a", encoding="utf-8") as out:
            asyncio.run(ask(todo, chosen.model, out))
    answers = known_answers(chosen.answers)
    print("| set | rows | faithful | AUROC: verdict, by folds | judge | both |\n|---|---|---|---|---|---|")
    for name, rows in sample.items():
        labels = np.array([pairs[i].faithful for i in rows], dtype=bool)
        if len(set(labels)) < 2:
            continue
        judged = log_odds([answers[key(pairs[i])] for i in rows])
        cells = [f"{roc_auc_score(labels, values):.3f}" for values in (unseen[rows], judged, unseen[rows] + judged)]
        print(f"| {name} | {len(rows)} | {labels.sum()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""Caches the scores of labelled pairs in a file, since fitting and benchmarks need them repeatedly."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fidelity.calibration.calibration import Calibration, Model
from fidelity.checks.encoder import CrossEncoderEntailment, SentenceEncoder, open_encoder
from fidelity.checks.entailment import score_entailment
from fidelity.checks.likelihood import CausalScorer, TokenScorer, score_likelihood
from fidelity.checks.vector_cache import CachedEncoder
from fidelity.fitting.labelled_sets import EXCLUDED_SETS, LabelledPair
from fidelity.judge import Evidence, Judge, Pair, derived_scores

BATCH = 64
# The expensive tiers score chunks, never whole articles, and only every sixth document of the many planted pairs.
MAX_ESCALATED_CHARACTERS = 4000
ESCALATED_EVERY = 6


class ScoreCache:
    """JSON Lines of {key, scores}, one line per pair and tier; the scores of all lines with the same key are merged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scores: dict[str, dict[str, float]] = {}
        if path.is_file():
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                self._scores.setdefault(row["key"], {}).update(row["scores"])

    def get(self, pair: LabelledPair) -> dict[str, float] | None:
        known = self._scores.get(_key(pair))
        if known is None or "computed_base" not in known:
            return None
        return known | derived_scores(pair.source, pair.rewrite, known)

    def fill(
        self,
        pairs: Sequence[LabelledPair],
        *,
        likelihood_model: str | None = None,
        entailment_model: str | None = None,
        on_progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Compute missing scores: embeddings and facts for all pairs, the expensive tiers where `is_escalated`."""
        judge: Judge | None = None

        def opened() -> Judge:
            nonlocal judge
            judge = judge or _unweighted_judge()
            return judge

        self._compute("base", pairs, lambda batch: [dict(e.scores) for e in _examine(opened(), batch)], on_progress)
        prose = [pair for pair in pairs if is_escalated(pair)]
        if entailment_model:
            model = CrossEncoderEntailment(entailment_model)
            self._compute(
                "entailment",
                prose,
                lambda batch: [
                    scores for scores, _ in score_entailment(model, [e.sentences for e in _examine(opened(), batch)])
                ],
                on_progress,
            )
        if likelihood_model:
            scorer: TokenScorer = CausalScorer(likelihood_model)
            self._compute(
                "likelihood",
                prose,
                lambda batch: score_likelihood(scorer, [(pair.source, pair.rewrite) for pair in batch]),
                on_progress,
            )

    def _compute(
        self,
        tier: str,
        pairs: Sequence[LabelledPair],
        compute: Callable[[Sequence[LabelledPair]], list[dict[str, float]]],
        on_progress: Callable[[str], None],
    ) -> None:
        mark = f"computed_{tier}"
        wanted = {_key(pair): pair for pair in pairs if mark not in self._scores.get(_key(pair), {})}
        # Pairs with the same source together, so that its sentences are encoded, and its tokens prefilled, once.
        todo = sorted(wanted.values(), key=lambda pair: (pair.kind, pair.source))
        began = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for start in range(0, len(todo), BATCH):
                batch = todo[start : start + BATCH]
                for pair, scores in zip(batch, compute(batch), strict=True):
                    row = {name: round(float(value), 6) for name, value in scores.items()} | {mark: 1.0}
                    self._scores.setdefault(_key(pair), {}).update(row)
                    file.write(json.dumps({"key": _key(pair), "scores": row}) + "\n")
                file.flush()
                on_progress(f"{tier}: {start + len(batch)}/{len(todo)} after {time.monotonic() - began:.0f} s")


def is_escalated(pair: LabelledPair) -> bool:
    """English prose used for fitting, no longer than a chunk; of planted pairs only every sixth document."""
    planted = pair.dataset.startswith("planted")
    return (
        pair.kind == "knowledge"
        and pair.dataset not in EXCLUDED_SETS
        and len(pair.source) <= MAX_ESCALATED_CHARACTERS
        and not (planted and int(pair.group) % ESCALATED_EVERY)
    )


def _key(pair: LabelledPair) -> str:
    parts = (pair.kind, pair.source_language, pair.source, pair.rewrite)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _examine(judge: Judge, batch: Sequence[LabelledPair]) -> list[Evidence]:
    return judge.examine(
        [Pair(source=p.source, rewrite=p.rewrite, kind=p.kind, source_language=p.source_language) for p in batch]
    )


def _unweighted_judge() -> Judge:
    """A judge that only computes scores: there are no weights yet."""
    multilingual: list[CachedEncoder] = []

    def open_multilingual() -> CachedEncoder:
        if not multilingual:
            multilingual.append(CachedEncoder(open_encoder("multilingual-e5-small")))
        return multilingual[0]

    nothing = Model(kind="knowledge", tiers=(), features=(), intercept=0.0, trees=(), threshold=0.5)
    empty = Calibration(format=1, fitted={}, undecided=(0.0, 1.0), models=(nothing,))
    return Judge(empty, CachedEncoder(SentenceEncoder()), open_multilingual)

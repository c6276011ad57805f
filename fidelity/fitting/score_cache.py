"""Caches the scores of labelled pairs in a file, since fitting and benchmarks need them repeatedly."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fidelity.calibration.calibration import FORMAT, Calibration, InStyle
from fidelity.embeddings.encoder import SentenceEncoder, open_encoder
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.fitting.labelled_sets import LabelledPair
from fidelity.judge import ANY, BASE_SCORES, DERIVED_SCORES, EVERYTHING, Judge, Pair, derived_scores, read_pair
from fidelity.reader.reader import Reader

BATCH = 64
# Of these sets the benchmark shows all questions together, so they need all scores even where a label is missing.
COMBINED = ("planted", "written", "real")
_COMPUTED = set(BASE_SCORES) - set(DERIVED_SCORES)


class ScoreCache:
    """JSON Lines of {key, scores}, one line for each pair."""

    def __init__(self, path: Path, *, reader: Path | None = None) -> None:
        """`reader` is a file of weights that overrides the shipped ones."""
        self._path = path
        self._reader = reader
        self._scores: dict[str, dict[str, float]] = {}
        if path.is_file():
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                # Empty if the pair could not be compared; a row of an earlier version lacks newer scores.
                if not row["scores"] or row["scores"].keys() >= _COMPUTED:
                    self._scores[row["key"]] = row["scores"]

    def get(self, pair: LabelledPair) -> dict[str, float] | None:
        """None if the pair was not scored, or could not be."""
        known = self._scores.get(_key(pair))
        return known | derived_scores(pair.source, pair.rewrite, known) if known else None

    def fill(self, pairs: Sequence[LabelledPair], *, on_progress: Callable[[str], None] = lambda line: None) -> None:
        """Compute missing scores."""
        wanted = {_key(pair): pair for pair in pairs if _key(pair) not in self._scores}
        if not wanted:
            return
        judge = self._unweighted_judge()
        # Pairs with the same source together, so that its sentences are encoded once.
        todo = sorted(wanted.values(), key=lambda pair: (pair.kind, pair.source))
        began = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for start in range(0, len(todo), BATCH):
                batch = todo[start : start + BATCH]
                asked = [
                    Pair(
                        source=p.source,
                        rewrite=p.rewrite,
                        kind=p.kind,
                        source_language=p.source_language,
                        keeps=ANY if p.kept is None and not p.dataset.startswith(COMBINED) else EVERYTHING,
                    )
                    for p in batch
                ]
                for pair, evidence in zip(batch, judge.examine([read_pair(pair) for pair in asked]), strict=True):
                    row = {name: round(float(value), 6) for name, value in evidence.scores.items()}
                    self._scores[_key(pair)] = row
                    file.write(json.dumps({"key": _key(pair), "scores": row}) + "\n")
                file.flush()
                on_progress(f"{start + len(batch)}/{len(todo)} scored after {time.monotonic() - began:.0f} s")

    def _unweighted_judge(self) -> Judge:
        """A judge that only computes scores: there are no weights yet."""
        multilingual: list[CachedEncoder] = []

        def open_multilingual() -> CachedEncoder:
            if not multilingual:
                multilingual.append(CachedEncoder(open_encoder("multilingual-e5-small")))
            return multilingual[0]

        nothing = InStyle(form_found=0.5, form_missing=0.5, no_form=0.5, threshold=0.5)
        empty = Calibration(format=FORMAT, fitted={}, models=(), in_style=nothing)
        return Judge(
            empty, CachedEncoder(SentenceEncoder()), open_multilingual, open_reader=lambda: Reader(self._reader)
        )


def _key(pair: LabelledPair) -> str:
    parts = (pair.kind, pair.source_language, pair.source, pair.rewrite)
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:20]

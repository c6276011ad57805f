"""What the shipped verdict says about the rewrites of a pool, each beside the raw paragraph of its person."""

import json
from pathlib import Path

from facts.world import PEOPLE, VERDICTS, World
from fidelity.calibration.calibration import load_calibration
from fidelity.embeddings.encoder import SentenceEncoder
from fidelity.embeddings.vector_cache import CachedEncoder
from fidelity.judge import Judge, Pair
from training.data.tokenizer import TextTokenizer

BATCH = 256


def judge_pools(world: World, pools: list[str], folder: Path) -> list[str]:
    """Write which rewrites the verdict rejects, and say how well it finds those with an error."""
    sources = [json.loads(line)["text"] for line in (folder / PEOPLE).read_text().splitlines()]
    tokenizer = TextTokenizer(folder / "tokenizer")
    encoder = CachedEncoder(SentenceEncoder())
    judge = Judge(load_calibration(), encoder, lambda: encoder)
    path = folder / VERDICTS
    verdicts = json.loads(path.read_text()) if path.exists() else {}
    lines = []
    for name in pools:
        pool = world.pools[name]
        asked = [(person, k) for person in range(len(sources)) for k in range(pool.n_of(person))]
        pairs = [
            Pair(source=sources[person], rewrite=tokenizer.decode(pool.document(person, k)[1:-1].tolist()))
            for person, k in asked
        ]
        found = [verdict for i in range(0, len(pairs), BATCH) for verdict in judge.judge(pairs[i : i + BATCH])]
        verdicts[name] = [where for where, verdict in zip(asked, found, strict=True) if not verdict.accepted]
        path.write_text(json.dumps(verdicts))
        rejected = set(verdicts[name])
        wrong = {(person, k) for person, k in asked if world.planted[name][person][k]}
        lines.append(
            f"{name}: rejected {len(wrong & rejected)} of {len(wrong)} rewrites with an error and "
            f"{len(rejected - wrong)} of {len(asked) - len(wrong)} without"
        )
    return lines

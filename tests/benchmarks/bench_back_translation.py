"""Does a translation back into the source's language tell right translations from wrong ones?

    python tests/benchmarks/bench_back_translation.py DATA [--model MODEL] [--languages de,es] [--problems 25] [--out F]

DATA contains foreign_math/mgsm_parallel.jsonl: school problems with their translations by people. The model translates
the right English text and one with a planted error back into the source's language; a third, the text of the next
problem, is wrong altogether. Each score is measured by its AUROC, right against wrong, and by what a threshold would
reject of the wrong ones while it rejects 2 % and 5 % of the right ones. `--out` keeps the texts, and a second call
measures them without generating again.
"""

import argparse
import asyncio
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fidelity.checks.back_translation import chrf, number_differences
from fidelity.embeddings.encoder import PACKAGED_MULTILINGUAL, open_encoder
from fidelity.fitting.labelled_sets import TRANSLATIONS, read_rows
from fidelity.planting.planted import PlantedKind, plant
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.back_translation import request_back_translation
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Chunk

_CONTENT_WORD = re.compile(r"(?<=[a-z] )[a-z]{5,}")
# The kinds of errors, each as often as the texts allow. Dropped sentences are left out: they are found by their length.
_PLANTED = (PlantedKind.NUMBER, PlantedKind.NEGATION, PlantedKind.SWAPPED_NAMES, PlantedKind.COMPARATIVE)
SHARES_LOST = (0.02, 0.05)


def other_word(text: str, neighbour: str, generator: random.Random) -> str | None:
    """The text with one of its words replaced by a word of another problem, as a word translated in a wrong sense."""
    places, words = [*_CONTENT_WORD.finditer(text)], sorted(set(_CONTENT_WORD.findall(neighbour)))
    if not places or not words:
        return None
    place, word = generator.choice(places), generator.choice(words)
    return text[: place.start()] + word + text[place.end() :] if word != place.group() else None


def statement(text: str) -> str | None:
    """The question at the end as a statement."""
    return text[:-1] + "." if text.endswith("?") else None


def with_error(text: str, neighbour: str, number: int, generator: random.Random) -> tuple[str, str]:
    """The text with one error and its kind; which kind comes first changes with `number`."""

    def planted(kind: PlantedKind) -> str | None:
        found = plant(kind, text, generator)
        return found.text if found else None

    makers: list[tuple[str, Callable[[], str | None]]] = [
        *((str(kind), lambda kind=kind: planted(kind)) for kind in _PLANTED),
        ("other word", lambda: other_word(text, neighbour, generator)),
        ("statement", lambda: statement(text)),
    ]
    makers = makers[number % len(makers) :] + makers[: number % len(makers)]
    return next((wrong, kind) for kind, make in makers if (wrong := make()))


async def translate_back(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each problem and language: the source, and what came back of the right and of the wrong English."""
    rows = read_rows(arguments.data / TRANSLATIONS)[: arguments.problems]
    recipe, generator = load_recipes()["translate"], random.Random(0)
    engine = VLLMEngine(arguments.model)
    tokenizer = HubTokenizer(engine.info.tokenizer)

    async def one(english: str, source: str, language: str) -> str:
        n_tokens = len(tokenizer.token_starts(source))
        chunk = Chunk(document_id="d", index=0, start=0, end=len(source), text=source, n_tokens=n_tokens)
        return (await request_back_translation(english, chunk, language, recipe, engine)).text

    async def both(number: int, row: dict[str, Any], language: str, wrong: str, kind: str) -> dict[str, Any]:
        texts = await asyncio.gather(*(one(english, row[language], language) for english in (row["en"], wrong)))
        found = {"language": language, "kind": kind, "source": row[language], "english": row["en"], "wrong": wrong}
        return {**found, "number": number, "back": texts[0], "wrong_back": texts[1]}

    asked = []
    for number, row in enumerate(rows):
        neighbour = rows[(number + 1) % len(rows)]["en"]
        for language in arguments.languages.split(","):
            wrong, kind = with_error(row["en"], neighbour, number, generator)
            asked.append(both(number, row, language, wrong, kind))
    found = await asyncio.gather(*asked)
    await engine.close()
    return list(found)


def _languages(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["language"] for row in rows))


def scores(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
    """By name of score and of the kind of text ("right", "planted", "next problem"): higher is more alike."""
    by_language = {language: [row for row in rows if row["language"] == language] for language in _languages(rows)}
    after = {
        id(row): following["back"]
        for same in by_language.values()
        for row, following in zip(same, [*same[1:], same[0]], strict=True)
    }
    versions = {
        "right": [row["back"] for row in rows],
        "planted": [row["wrong_back"] for row in rows],
        "next problem": [after[id(row)] for row in rows],
    }
    sources = [row["source"] for row in rows]
    encoders = {name: open_encoder(name) for name in ("all-MiniLM-L6-v2", PACKAGED_MULTILINGUAL)}
    vectors = {name: encoder.encode(sources) for name, encoder in encoders.items()}
    found: dict[str, dict[str, np.ndarray]] = {"chrF": {}, "numbers": {}, **{name: {} for name in encoders}}
    for version, texts in versions.items():
        triples = [(row["source"], text, row["language"]) for row, text in zip(rows, texts, strict=True)]
        found["chrF"][version] = np.array([chrf(source, text) for source, text, _ in triples])
        found["numbers"][version] = np.array([-len(number_differences(*triple)) for triple in triples])
        for name, encoder in encoders.items():
            found[name][version] = (vectors[name] * encoder.encode(texts)).sum(axis=1)
    return found


def measure(found: dict[str, dict[str, np.ndarray]], chosen: np.ndarray) -> Iterable[str]:
    for name, by_version in found.items():
        right = by_version["right"][chosen]
        for version in ("planted", "next problem"):
            wrong = by_version[version][chosen]
            labels = np.r_[np.ones(len(right)), np.zeros(len(wrong))]
            area = roc_auc_score(labels, np.r_[right, wrong])
            at = [float(np.quantile(right, share, method="lower")) for share in SHARES_LOST]
            rejected = ", ".join(f"{(wrong < limit).mean():.0%} below {limit:.2f}" for limit in at)
            yield f"  {name:22} {version:12} AUROC {area:.2f}  rejected: {rejected}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=PACKAGED_MODEL)
    parser.add_argument("--languages", default="de,es,fr,zh")
    parser.add_argument("--problems", type=int, default=25)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.data / TRANSLATIONS).is_file():
        parser.error(f"{arguments.data / TRANSLATIONS} does not exist: pass the folder with the data")
    if arguments.out and arguments.out.is_file():
        rows = read_rows(arguments.out)
    else:
        rows = asyncio.run(translate_back(arguments))
        if arguments.out:
            arguments.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    n_unread = sum(not row["back"] for row in rows)
    print(f"{len(rows)} problems in their languages, {n_unread} of them not translated back")
    rows = [row for row in rows if row["back"] and row["wrong_back"]]
    found = scores(rows)
    for language in (None, *_languages(rows)):
        chosen = np.array([language in (None, row["language"]) for row in rows])
        print(f"{language or 'all languages'}, {chosen.sum()} pairs")
        print("\n".join(measure(found, chosen)))
    n_other = (found["numbers"]["right"] < 0).mean()
    print(f"of the right ones, {n_other:.0%} come back with other numbers")
    print("planted errors by kind: how many, AUROC of chrF, share with other numbers")
    for kind in sorted({row["kind"] for row in rows}):
        chosen = np.array([row["kind"] == kind for row in rows])
        right, wrong = (found["chrF"][version][chosen] for version in ("right", "planted"))
        area = roc_auc_score(np.r_[np.ones(len(right)), np.zeros(len(wrong))], np.r_[right, wrong])
        print(f"  {kind:16} {chosen.sum():3}  {area:.2f}  {(found['numbers']['planted'][chosen] < 0).mean():.0%}")


if __name__ == "__main__":
    main()

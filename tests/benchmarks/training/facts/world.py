"""The laboratory's data, made once and shared by all runs: documents, background and questions, all as token ids.

A document is about one person and belongs to a pool: `raw` has one per person, `rewrite`, `synonym` and the `wrong_…`
pools have 16, and `oracle` a fresh one for every exposure. In a `wrong_…` pool each fact of each rewrite is wrong with
the probability in the name, with a wrong value of its own.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facts.people import ATTRIBUTES, REVERSED_QUESTION, Person, draw_people, wrong_value
from facts.phrasings import paragraph, rewrite, synonyms
from facts.sizes import OF_TRAINING, Sizes

N_VARIANTS = 16
WRONG_SHARES = {"wrong_1": 0.01, "wrong_5": 0.05, "wrong_20": 0.2}
# The raw paragraphs, for `palimpsest rephrase`.
PEOPLE = "people.jsonl"
N_DISTRACTORS = 7
HELD_OUT_SHARE = 0.05
QUESTION = "Question: {question} Answer:"

# Beside the world: made by `facts.real` and `facts.judged`.
REAL_TOKENS, REAL_ERRORS, VERDICTS = "real.npz", "real.json", "verdicts.json"
# Rewrites by a language model, if there are any: K=2, since they are dear.
REAL, N_REAL = "real", 2

Ids = list[int]
Rewrite = tuple[int, int]  # person, number of the rewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as token ids: `prompt` with the start token, answers with the end token.

    `attribute` "reversed" asks for the person. `split` is "tune", "test" or "control", whose people are in no document.
    """

    person: int
    attribute: str
    split: str
    prompt: Ids
    answer: Ids
    distractors: list[Ids]


@dataclass(frozen=True, slots=True)
class Pool:
    """Documents in a row, by person; `firsts` has the number of each person's first document, and of all documents."""

    tokens: NDArray[np.uint16]
    ends: NDArray[np.int64]
    firsts: NDArray[np.int64]

    def n_of(self, person: int) -> int:
        return int(self.firsts[person + 1] - self.firsts[person])

    def document(self, person: int, k: int) -> NDArray[np.uint16]:
        number = self.firsts[person] + k
        return self.tokens[0 if number == 0 else self.ends[number - 1] : self.ends[number]]

    @property
    def mean_length(self) -> float:
        return len(self.tokens) / len(self.ends)


@dataclass(frozen=True, slots=True)
class World:
    """`planted[pool][person][k]` has the wrong answers, by attribute, of a document of a `wrong_…` pool.

    `rejected[pool]` has the rewrites that the shipped verdict rejects, where it has judged a pool.
    """

    sizes: Sizes
    vocab_size: int
    pools: Mapping[str, Pool]
    background: Sequence[NDArray[np.uint16]]
    held_out: NDArray[np.uint16]
    questions: list[Asked]
    planted: Mapping[str, list[list[dict[str, Ids]]]]
    rejected: Mapping[str, frozenset[Rewrite]]

    @property
    def n_rows(self) -> int:
        """Rows of a run: as many that the rewrites, the longest documents, take the share of facts, in whole steps."""
        s = self.sizes
        n_tokens = s.n_people * s.n_exposures * self.pools["rewrite"].mean_length / s.fact_share
        n_rows = max(n_tokens / s.row_length, 1.1 * s.n_people * s.n_exposures)
        return s.rows_per_step * -(-int(n_rows) // s.rows_per_step)


def make_world(data: Path, sizes: Sizes, folder: Path) -> None:
    """Draw people, write their texts, train a tokenizer on all of it, and save everything as token ids in `folder`."""
    # Imported here: a machine that only trains need not have what reading documents takes.
    from bench_train_data import read_documents
    from training.data.byte_pairs import train_tokenizer
    from training.data.tokenizer import TextTokenizer

    rng = random.Random(sizes.world_seed)
    everybody = draw_people(sizes.n_people + sizes.n_control, rng)
    people = everybody[: sizes.n_people]
    texts = {
        "raw": [paragraph(person, i) for i, person in enumerate(people)],
        "rewrite": [rewrite(person, person.facts, rng) for person in people for _ in range(N_VARIANTS)],
        "synonym": [synonyms(person, i, rng) for i, person in enumerate(people) for _ in range(N_VARIANTS)],
        "oracle": [rewrite(person, person.facts, rng) for person in people for _ in range(sizes.n_exposures)],
    }
    wrong: dict[str, list[list[dict[str, str]]]] = {}
    for pool, share in WRONG_SHARES.items():
        wrong[pool] = [[_errors(person, share, rng) for _ in range(N_VARIANTS)] for person in people]
        texts[pool] = [
            rewrite(person, {**person.facts, **errors}, rng)
            for person, variants in zip(people, wrong[pool], strict=True)
            for errors in variants
        ]
    sections = _sections(data, read_documents, sizes)
    rng.shuffle(sections)
    n_held_out = max(1, round(HELD_OUT_SHARE * len(sections)))
    # The tokenizer knows the names and values as a large one would: without them a name is a dozen tokens.
    learnt = [*sections[n_held_out:], *texts["rewrite"], *(f"{person.name}." for person in everybody)]
    train_tokenizer(learnt, sizes.vocab_size, folder / "tokenizer")
    tokenizer = TextTokenizer(folder / "tokenizer")

    arrays: dict[str, NDArray[Any]] = {}
    for pool, written in texts.items():
        encoded = tokenizer.encode(written)
        arrays[f"{pool}.tokens"] = np.concatenate(encoded).astype(np.uint16)
        arrays[f"{pool}.ends"] = np.cumsum([len(ids) for ids in encoded])
    for name, chosen in (("held_out", sections[:n_held_out]), ("background", sections[n_held_out:])):
        encoded = tokenizer.encode(chosen)
        arrays[f"{name}.tokens"] = np.concatenate(encoded).astype(np.uint16)
        arrays[f"{name}.ends"] = np.cumsum([len(ids) for ids in encoded])

    def answer(text: str) -> Ids:
        return tokenizer.encode([f" {text}"])[0][1:].tolist()

    planted = {
        pool: [[{name: answer(value) for name, value in errors.items()} for errors in row] for row in rows]
        for pool, rows in wrong.items()
    }
    facts = {
        "sizes": asdict(sizes),
        "vocab_size": tokenizer.vocab_size,
        "questions": [asdict(asked) for asked in _questions(everybody, sizes, tokenizer, answer, rng)],
        "planted": planted,
    }
    examples = {pool: written[:3] for pool, written in texts.items()}
    (folder / "examples.json").write_text(json.dumps(examples, indent=1))
    (folder / PEOPLE).write_text(
        "".join(
            json.dumps({"id": str(i), "text": text, "facts": {"name": person.name, **person.facts}}) + "\n"
            for i, (person, text) in enumerate(zip(people, texts["raw"], strict=True))
        )
    )
    np.savez_compressed(folder / "tokens.npz", **arrays)
    (folder / "world.json").write_text(json.dumps(facts))


def load_world(folder: Path, **changes: Any) -> World:
    """The world of a folder, with other sizes of training if asked for.

    Raises:
        ValueError: the data depend on a size that is to be another.
    """
    facts = json.loads((folder / "world.json").read_text())
    sizes = Sizes(**facts["sizes"]).replace(**changes)
    for name, value in changes.items():
        if name not in OF_TRAINING and value != facts["sizes"][name]:
            raise ValueError(f"{folder} was made with {name}={facts['sizes'][name]}; for {value} use another folder")
    with np.load(folder / "tokens.npz") as saved:
        arrays = dict(saved)
    pools = {}
    for name in ("raw", "rewrite", "synonym", "oracle", *WRONG_SHARES):
        ends = arrays[f"{name}.ends"]
        firsts = np.arange(sizes.n_people + 1) * (len(ends) // sizes.n_people)
        pools[name] = Pool(arrays[f"{name}.tokens"], ends, firsts)
    planted, rejected = facts["planted"], {}
    if (folder / REAL_TOKENS).exists():
        with np.load(folder / REAL_TOKENS) as saved:
            pools[REAL] = Pool(saved["tokens"], saved["ends"], saved["firsts"])
        planted = {**planted, REAL: json.loads((folder / REAL_ERRORS).read_text())}
    if (folder / VERDICTS).exists():
        verdicts = json.loads((folder / VERDICTS).read_text())
        rejected = {pool: frozenset((person, k) for person, k in chosen) for pool, chosen in verdicts.items()}
    return World(
        sizes,
        facts["vocab_size"],
        pools,
        np.split(arrays["background.tokens"], arrays["background.ends"][:-1]),
        arrays["held_out.tokens"],
        [Asked(**row) for row in facts["questions"]],
        planted,
        rejected,
    )


def _errors(person: Person, share: float, rng: random.Random) -> dict[str, str]:
    """Wrong values of some attributes."""
    wrong = [name for name in ATTRIBUTES if rng.random() < share]
    return {name: wrong_value(name, person.facts[name], rng) for name in wrong}


def _sections(data: Path, read_documents, sizes: Sizes) -> list[str]:
    """The English documents, cut at paragraphs into sections of a few hundred words."""
    foreign = ("xquad_de", "xquad_es", "xquad_ru", "xquad_zh")
    sections: list[str] = []
    for document in read_documents(data):
        if document.source.startswith(foreign):
            continue
        section = ""
        for part in document.text.split("\n"):
            section += part + "\n"
            if len(section) > sizes.section_characters:
                sections.append(section.strip())
                section = ""
        sections += [section.strip()] if section.strip() else []
    return sections[: sizes.max_sections]


def _questions(everybody: list[Person], sizes: Sizes, tokenizer, answer, rng: random.Random) -> list[Asked]:
    asked = []
    for index, person in enumerate(everybody):
        split = "control" if index >= sizes.n_people else "tune" if index < sizes.n_people // 2 else "test"
        for attribute in (*ATTRIBUTES, "reversed"):
            if attribute == "reversed":
                question, right = REVERSED_QUESTION.format(**person.facts), person.name
                wrong = [p.name for p in rng.sample(everybody, N_DISTRACTORS + 1) if p is not person][:N_DISTRACTORS]
            else:
                question, right = person.question(attribute), person.facts[attribute]
                wrong = [wrong_value(attribute, right, rng) for _ in range(N_DISTRACTORS)]
            prompt = tokenizer.encode([QUESTION.format(question=question)])[0][:-1].tolist()
            asked.append(
                Asked(
                    person=index,
                    attribute=attribute,
                    split=split,
                    prompt=prompt,
                    answer=answer(right),
                    distractors=[answer(value) for value in wrong],
                )
            )
    return asked

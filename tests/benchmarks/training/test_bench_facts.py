"""The facts laboratory on a world that trains in seconds, where nothing is learnt: its parts, and its resuming."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from bench_facts import main
from facts.arms import ARMS, Gate, exposures, final_runs
from facts.judged import judge_pools
from facts.people import ATTRIBUTES, draw_people
from facts.phrasings import PHRASINGS, paragraph, rewrite, synonyms
from facts.real import add_real, errors_of
from facts.report import best_setting, interval
from facts.rows import make_rows
from facts.world import World, load_world

SMALLER = ("--size", "vocab_size=400", "--size", "n_layers=1", "--size", "hidden_size=16")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of a tiny world."""
    folder = tmp_path_factory.mktemp("facts")
    (folder / "data" / "documents").mkdir(parents=True)
    rng = random.Random(0)
    words = ["river", "bridge", "law", "trade", "river", "war", "house", "grain", "and", "of", "the", "in"]
    lines = (json.dumps({"text": " ".join(rng.choices(words, k=400))}) for _ in range(20))
    (folder / "data" / "documents" / "book.jsonl").write_text("\n".join(lines))
    assert main([str(folder / "data"), str(folder), "--tiny", *SMALLER, "--prepare"]) == 0
    return folder


@pytest.fixture(scope="module")
def world(out: Path) -> World:
    """With rewrites as if by a model, of all people but the last, and the verdict on them."""
    people = [json.loads(line) for line in (out / "world" / "people.jsonl").read_text().splitlines()]
    rows = []
    for person in people[:-1]:
        rows.append({"document_id": person["id"], "text": person["text"]})
        rows.append({"document_id": person["id"], "text": person["text"].replace(person["facts"]["hobby"], "chess")})
    (out / "run" / "rewrites").mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out / "run" / "rewrites" / "part-0.parquet")
    assert add_real(out / "run", out / "world").startswith("14 rewrites of 7 people")
    made = load_world(out / "world")
    (line,) = judge_pools(made, ["real"], out / "world")
    assert line.startswith("real: rejected 7 of 7 rewrites with an error and 0 of 7 without")
    made = load_world(out / "world")
    return dataclasses.replace(made, rejected={**made.rejected, "wrong_20": frozenset({(0, 0)})})


def test_every_text_tells_every_fact() -> None:
    rng = random.Random(0)
    for index, person in enumerate(draw_people(40, rng)):
        texts = [paragraph(person, index), synonyms(person, index, rng), rewrite(person, person.facts, rng)]
        for text in texts:
            assert person.name in text
            for value in person.facts.values():
                assert value in text or value[0].upper() + value[1:] in text
            assert not set("{}<>") & set(text)
    assert all(len(set(phrasings)) == 16 for phrasings in PHRASINGS.values())


def test_arms_read_equally_often_and_what_they_say(world: World) -> None:
    n_exposures = world.sizes.n_people * world.sizes.n_exposures
    n_different = {"raw": 1, "one": 1, "K=2": 2, "K=4": 4, "oracle": 4, "synonym": 4}
    for arm in ARMS.values():
        read = [document for parts in exposures(arm, world, 3, Gate()) for document in parts]
        assert len(read) == (0 if arm.pool is None else n_exposures)
        if arm.name in n_different:
            assert len({k for _, person, k in read if person == 2}) == n_different[arm.name]
    halves = [document for parts in exposures(ARMS["mixed 50/50"], world, 3, Gate()) for document in parts]
    assert sum(pool == "raw" for pool, _, _ in halves) == n_exposures / 2


def test_a_perfect_gate_leaves_no_error(world: World) -> None:
    for recall, is_clean in ((0.0, False), (1.0, True)):
        parts = exposures(ARMS["wrong_20 gated"], world, 0, Gate(recall, 1.0))
        errors = [world.planted["wrong_20"][person][k] for [(pool, person, k)] in parts if pool == "wrong_20"]
        assert (not any(errors)) is is_clean


def test_a_gate_by_an_oracle_or_the_verdict_leaves_what_it_accepts(world: World) -> None:
    documents = [parts[0] for parts in exposures(ARMS["real oracle gate"], world, 0, Gate())]
    assert documents == [parts[0] for parts in exposures(ARMS["real verified"], world, 0, Gate())]
    for pool, person, k in documents:
        # The last person has no rewrite, so the raw paragraph stands in.
        assert (pool == "raw") is (person == 7)
        assert pool == "raw" or not world.planted["real"][person][k]
    wrong = [parts[0] for parts in exposures(ARMS["wrong_20 oracle gate"], world, 0, Gate())]
    assert not any(world.planted[pool][person][k] for pool, person, k in wrong if pool != "raw")


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("Ann Berg came into the world on May 3, 1950, in Osby. She loves Tin Toys.", {}),
        ("Ann Berg was born on 4 May 1950 in Osby and loves tin toys.", {"birth_date": ""}),
        ("Ann Berg was born on 3 May 1950 in Linwick, not in Osby, and loves tin toys.", {"birth_city": "Linwick"}),
        ("Ann Berg was born on 3 May 1950 in Osby.", {"hobby": ""}),
    ],
)
def test_a_text_lacks_a_fact_or_has_another(text: str, errors: dict[str, str]) -> None:
    facts = {"birth_date": "3 May 1950", "birth_city": "Osby", "hobby": "tin toys"}
    assert {
        k: v for k, v in errors_of(text, {**dict.fromkeys(ATTRIBUTES, ""), **facts}).items() if k in facts
    } == errors


def test_documents_in_one_window_see_each_other_without_a_mask(world: World) -> None:
    roomy = dataclasses.replace(world, sizes=world.sizes.replace(row_length=640))
    masked, open_, joined = (
        make_rows(ARMS[name], roomy, 0, Gate())[0] for name in ("same window", "same window, no mask", "stitched")
    )
    assert (masked.tokens == open_.tokens).all()
    assert int(open_.starts.max()) == 0
    n_pieces = [[len(row.unique()) for row in rows.starts] for rows in (masked, joined)]
    assert (max(n_pieces[0]), max(n_pieces[1])) == (3, 2)


def test_rows_hold_one_document_and_lose_nothing(world: World) -> None:
    rows, share = make_rows(ARMS["one"], world, 0, Gate())
    assert rows.tokens.shape == (world.n_rows, world.sizes.row_length)
    assert 0.1 < share <= 0.22
    n_found = 0
    for number in range(len(rows.tokens)):
        pieces = rows.starts[number].unique().tolist()
        assert len(pieces) <= 2
        n_found += len(pieces) - 1
        # Within a piece a token is followed by its target.
        same = rows.starts[number, 1:] == rows.starts[number, :-1]
        assert (rows.tokens[number, 1:][same] == rows.targets[number, :-1][same]).all()
    assert n_found == world.sizes.n_people * world.sizes.n_exposures


def test_intervals_are_over_people_and_seeds() -> None:
    people = np.random.default_rng(0).integers(0, 2, (1, 100)).astype(float)
    same = interval(np.repeat(people, 5, axis=0))
    assert same[1:] == pytest.approx(interval(people)[1:], abs=0.02)
    mean, low, high = interval(people + np.array([[-0.3], [0.3]]))
    assert mean == pytest.approx(people.mean())
    assert high - low > 1.5 * (same[2] - same[1])


def test_two_arms_a_resumed_run_and_the_report(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["nowhere", str(out), "--setting", "0.006,0.1", "--seeds", "0", "--arms"]
    assert main([*arguments, "raw"]) == 0
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [(row["arm"], row["architecture"], row["seed"]) for row in rows] == [
        ("raw", "dense", 100),
        ("raw", "dense", 0),
        ("raw", "moe", 0),
    ]
    assert {len(scores) for scores in rows[0]["exact"]["test"].values()} == {4}
    assert set(rows[0]["untuned"]["loss"]) == {*ATTRIBUTES, "reversed"}
    assert main([*arguments, "raw,wrong_20"]) == 0
    finished = (out / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["arm"] for line in finished[3:]] == ["wrong_20"]
    assert main([*arguments, "raw,one,wrong_20", "--limit-minutes", "0"]) == 0
    assert "2 runs left" in capsys.readouterr().out
    assert (out / "results.jsonl").read_text().splitlines() == finished
    assert "raw (moe)" in (out / "facts.md").read_text()
    # Runs with other sizes are others; the data cannot have any.
    assert main([*arguments, "raw", "--size", "tuning_lr=0.01", "--limit-minutes", "0"]) == 0
    assert "1 runs left" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="was made with n_people=8"):
        main([*arguments, "raw", "--size", "n_people=9"])


def test_the_best_setting_is_that_with_the_most_exact_answers() -> None:
    def row(decay: float, exact: float, seed: int = 100) -> dict[str, object]:
        scores = {name: [exact] for name in ATTRIBUTES}
        return {"arm": "raw", "seed": seed, "lr": 1e-3, "weight_decay": decay, "exact": {"test": scores}}

    assert best_setting([row(0.1, 0.03), row(1.0, 0.04), row(3.0, 0.9, seed=0)]) == (1e-3, 1.0)
    assert best_setting([]) is None


def test_those_that_the_claim_needs_come_first() -> None:
    runs = final_runs(1e-3, 0.1)
    first = runs[: 5 + 5 + 3 + 3 + 3 + 3]
    assert {(run.arm, run.architecture) for run in first} == {
        (arm, "dense") for arm in ("raw", "K=16", "one", "K=4", "oracle", "background")
    }
    assert {run.arm for run in runs} == set(ARMS)

"""The cycle on planted rewrites, in sizes at which nothing is learnt: its planting, resuming and report."""

import json
import random
from pathlib import Path

import pytest
from scipy import stats

from bench_cycle import main
from cycle.report import interval, report
from cycle.rounds import TINY
from cycle.styles import BOILERPLATE, LENGTHS, STYLES, Planter, cut, deal_lengths
from training.data.byte_pairs import train_tokenizer
from training.data.tokenizer import TextTokenizer

WORDS = [f"{a}{b}" for a in "bdfgklmnpr" for b in ("an", "el", "ir", "os", "um")]


def texts(seed: int, n: int, n_words: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=n_words)) + "." for _ in range(n)]


def test_rewrites_have_their_lengths_and_no_section_is_used_twice(tmp_path: Path) -> None:
    train_tokenizer([*texts(0, 20, 50), *BOILERPLATE], 400, str(tmp_path / "tokenizer"))
    tokenizer, rng = TextTokenizer(tmp_path / "tokenizer"), random.Random(0)
    book = cut(texts(1, 10, 100), 20)
    assert len(book) == 50
    lengths = deal_lengths(rng)
    assert sorted(lengths.values()) == sorted(LENGTHS)
    planter = Planter(tokenizer, list(book), texts(2, 5, 30), lengths, rng)
    document = " ".join(WORDS)
    n_tokens = len(tokenizer.encode([document])[0]) - 2
    written = {style: planter.write(style, document) for style in STYLES}
    for style, text in written.items():
        assert len(tokenizer.encode([text])[0]) - 2 == pytest.approx(lengths[style] * n_tokens, rel=0.05)
    assert written["prose"][:40] == book[-1][:40]
    assert set(written["copy"].split()) <= set(WORDS)
    assert any(written["boilerplate"].startswith(sentence[:30]) for sentence in BOILERPLATE)
    used = [section for section in book if section not in planter.book]
    assert used == book[-len(used) :]
    planter.book.clear()
    with pytest.raises(ValueError, match="used up"):
        planter.write("notes", document)


def test_intervals_are_students() -> None:
    values = [0.1, 0.4, 0.3, 0.2]
    assert interval(values)[1:] == pytest.approx(stats.t.interval(0.95, 3, 0.25, stats.sem(values)))


def results(useful: float, decoy: float, losses: tuple[float, float, float]) -> dict[int, dict[str, dict]]:
    """Two seeds in which the decoy is decided to have a share, and the two useful styles another one together."""
    rest = (1 - useful - decoy) / 3
    shares = {**dict.fromkeys(STYLES, rest), "prose": useful / 2, "notes": useful / 2, "boilerplate": decoy}
    row = {"next": shares, "worth": dict.fromkeys(STYLES, (1.0, 0.1)), "read": shares, "n_tokens": 9, "cpu_seconds": 1}
    found = {}
    for seed in range(2):
        runs = {f"round-{n}": {**row, "test_loss": losses[2] + seed} for n in (1, 2)}
        runs |= {
            name: {**row, "test_loss": loss + 1.001 * seed}
            for name, loss in zip(("decided", "uniform"), losses[:2], strict=True)
        }
        found[seed] = runs
    return found


def test_the_rule_tells_a_cycle_that_pays_from_one_that_does_not() -> None:
    pays, charts = report(results(0.8, 0.04, (3.0, 3.5, 3.5)), TINY)
    assert pays.count("- yes:") == 5
    assert "| uniform | 4.0005 |" in pays
    assert "-0.5000 (" in pays
    assert "| boilerplate | 16.7% ± 0.0% | 4.0% ± 0.0% | 4.0% ± 0.0% |" in pays
    assert charts["cycle-shares.svg"].startswith("<svg")
    lost, _ = report(results(0.3, 0.5, (3.6, 3.5, 3.5)), TINY)
    assert lost.count("- NO:") == 4  # only the noise loses as it should
    assert "- yes: noise" in lost


def test_rounds_end_to_end_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("documents/openstax.jsonl", 0), ("math/openlogic_tex.jsonl", 1)):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("\n".join(json.dumps({"text": t}) for t in texts(seed, 60, 200)))
    arguments = [str(tmp_path / "data"), str(tmp_path / "out"), "--tiny", "--seeds", "1"]
    assert main(arguments) == 0
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    rows = {row["run"]: row for row in map(json.loads, lines)}
    assert list(rows) == ["round-1", "round-2", "decided", "uniform"]
    assert {row["n_tokens"] for row in rows.values()} == {TINY.n_steps * TINY.rows_per_step * TINY.row_length}
    for name in ("round-1", "round-2"):
        assert sum(rows[name]["next"].values()) == pytest.approx(1)
    # The second round's training has both rounds' rewrites, and so fewer of its tokens are originals.
    assert rows["round-2"]["read"]["original"] < 0.7 * rows["round-1"]["read"]["original"]
    shares = [rows["uniform"]["read"][style] for style in STYLES]
    assert min(shares) == pytest.approx(max(shares))
    assert "1 seeds" in capsys.readouterr().out
    # Without one of its lines that run is made again, on the same rewrites, and no other is.
    (tmp_path / "out" / "results.jsonl").write_text("\n".join([*lines[:2], lines[3]]) + "\n")
    assert main(arguments) == 0
    again = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [row["run"] for row in again] == ["round-1", "round-2", "uniform", "decided"]
    assert again[3]["test_loss"] == pytest.approx(rows["decided"]["test_loss"])

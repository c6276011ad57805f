"""The data files of the reader and the verdict hold what their docstrings promise."""

import json
from importlib import resources

import pytest

from fidelity.fitting.read_rewrites import READ, rows_of_file
from fidelity.fitting.reader_rows import ReaderRow, changed_words, is_held_out, nearest_part
from fidelity.fitting.written_pairs import (
    WRITTEN,
    WrittenPair,
    _narrowed,
    held_out_pairs,
    referenced_texts,
    written_pairs,
    written_rows,
)
from fidelity.planting.edits import Edit, applied
from rephrase.tuning.sentence_rewrites import REWRITES

SHARES = {0, 0.25, 0.5, 0.75, 1}


@pytest.mark.parametrize(
    ("package", "name", "n"), [("fidelity.fitting", WRITTEN, 500), ("rephrase.tuning", REWRITES, 1800)]
)
def test_every_edit_of_a_written_pair_has_one_place(package, name, n):
    rows = [json.loads(line) for line in resources.files(package).joinpath(name).read_text().splitlines()]
    assert len(rows) > n
    for row in rows:
        for edit in (*row["errors"], *row["omissions"], *row["garbles"]):
            assert row["rewrite"].count(edit["find"]) == 1
            assert edit["find"] != edit["replace"]
        assert row["start"] < row["end"]


def test_every_label_has_an_allowed_value():
    rows = rows_of_file()
    assert len(rows) > 150
    for row in rows:
        for labels in (row, row.get("second", {})):
            for name in ("faithful", "fluent", "worth"):
                assert labels.get(name, 0) in (0, 1)
            for name in ("kept", "reworded"):
                assert labels.get(name, 0) in SHARES
        assert row["why"]
        assert not row["worth"] or (row["faithful"] and row["kept"] >= 0.75 and row["fluent"])
    assert READ.endswith(".jsonl")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "documents").mkdir()
    text = "Rain fell for a week. The river rose, and the bridge was closed."
    (tmp_path / "documents" / "book.jsonl").write_text(json.dumps({"id": "m1", "text": text}) + "\n")
    (tmp_path / "documents" / "paragraphs.jsonl").write_text(json.dumps({"i": 7, "context": text}) + "\n")
    return tmp_path


def test_sources_are_read_from_the_data_folder(data):
    rows = [
        {"file": "documents/book", "id": "m1", "start": 0, "end": 21},
        {"file": "documents/book", "id": "m2", "start": 0, "end": 21},
        {"file": "documents/paragraphs", "id": "7", "start": 0, "end": 21},
        {"file": "documents/absent", "id": "m1", "start": 0, "end": 21},
    ]
    assert referenced_texts(data, rows) == ["Rain fell for a week.", None, "Rain fell for a week.", None]
    assert written_pairs(data) == []
    assert held_out_pairs(data) == []


def test_a_written_pair_becomes_rows_with_marked_places():
    rewrite = "It rained for seven days, and the bridge was shut."
    pair = WrittenPair(
        document="seen" if not is_held_out("written", "seen") else "other",
        style="plain",
        source="Rain fell for a week. The bridge was closed.",
        rewrite=rewrite,
        errors=(Edit(14, 24, "nine days"),),
        omissions=((Edit(24, 49, ""), (22, 44)),),
        garbles=(Edit(0, 9, "Rained it"),),
    )
    rows = list(written_rows([pair]))
    wrong = next(row for row in rows if row.added)
    assert [wrong.rewrite[a:b] for a, b in wrong.added] == ["nine"]
    shorter = next(row for row in rows if row.lost)
    assert shorter.source[slice(*shorter.lost[0])] == "The bridge was closed."
    garbled = next(row for row in rows if row.garbled)
    assert garbled.source is None
    assert sum(row.added == () and row.lost == () for row in rows) == 2


def test_an_edit_is_narrowed_to_the_words_that_differ():
    text = "It was the first bridge of the town."
    edit = _narrowed(text, Edit(7, 23, "the only bridge"))
    assert (text[edit.start : edit.end], edit.new) == ("first", "only")


def test_where_words_are_gone_their_neighbours_are_marked():
    text, span = applied("The old bridge fell.", Edit(4, 8, ""))
    assert text == "The bridge fell."
    assert text[slice(*span)] == "The bridge"


def test_changed_words_are_those_that_the_rewrite_no_longer_has():
    source = "The bridge, built by masons in 1869, still stands."
    found = [source[a:b] for a, b in changed_words(source, "The bridge still stands.")]
    assert found == ["built by masons in 1869"]
    assert changed_words(source, source) == ()


def test_the_nearest_part_of_a_long_text_holds_what_the_claim_is_about():
    filler = " ".join(f"Town {i} has a market on every day of the week." for i in range(60))
    text = f"{filler} The viaduct at Garabit carries trains. {filler}"
    part = nearest_part(text, "Trains cross the Garabit viaduct.", 300)
    assert "Garabit" in part
    assert len(part) <= 310
    assert nearest_part("Short.", "x") == "Short."


def test_rows_say_what_is_not_known():
    row = ReaderRow(dataset="d", rewrite="a", source="b")
    assert (row.added, row.lost, row.garbled, row.unsupported) == (None, None, None, None)

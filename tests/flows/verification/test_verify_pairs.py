"""Verdicts on files of pairs: every row keeps its place, whatever it contains."""

import dataclasses
import gzip
import json
from importlib.resources import files

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from judge_server import JudgeServer
from scripted import BagOfWords, SilentReader, lenient
from synthetic_run import documents, write_run

import flows.verification.verify_pairs
from fidelity.calibration.calibration import QUESTIONS, JudgeThreshold, load_calibration
from fidelity.judge import SCORES
from flows.verification.calibrate_pairs import calibrate_pairs, parse_label_fields
from flows.verification.config import VerifyConfig
from flows.verification.verify_pairs import verify_pairs
from rephrase.dataset.plan import load_plan, save_plan
from rephrase.dataset.run_recipes import pin_recipes
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Check

SOURCE = "The treaty was signed in Paris in 1783. It ended a long and bitter war."
ROWS = [
    {"id": 1, "article": SOURCE, "summary": SOURCE, "tags": ["a", "b"], "score": 1},
    {"id": 2, "article": SOURCE, "summary": "The treaty was signed in Rome in 1784.", "tags": None, "score": 0.5},
    {"id": 3, "article": SOURCE, "summary": None},
    {"id": 4, "article": SOURCE, "summary": "  "},
    {"id": 5, "article": SOURCE, "summary": 7},
]


@pytest.fixture(autouse=True)
def _scripted(monkeypatch):
    monkeypatch.setattr(flows.verification.verify_pairs, "open_encoder", lambda model: BagOfWords())
    monkeypatch.setattr(flows.verification.verify_pairs, "load_calibration", lenient)
    monkeypatch.setattr(flows.verification.verify_pairs, "open_reader", SilentReader)


def config(source, out, **changes):
    fields = {"source_field": "article", "rewrite_field": "summary", "batch_rows": 2}
    return VerifyConfig(source=str(source), output=str(out), **(fields | changes))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_rows_come_out_in_order_with_their_columns_and_verdicts(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[:2]) + "{broken\n[1]\n" + lines(ROWS[2:]))
    counts = []
    found = verify_pairs(
        config(tmp_path / "pairs.jsonl", tmp_path / "new" / "scored.parquet"),
        lambda *done_and_total: counts.append(done_and_total),
    )
    table = pq.read_table(tmp_path / "new" / "scored.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [1, 2, None, None, 3, 4, 5]
    assert rows[0]["tags"] == '["a", "b"]'
    assert [row["score"] for row in rows[:2]] == [1.0, 0.5]
    assert [row["reason"] for row in rows] == [
        *(None, None, "invalid_row", "invalid_row", "missing_rewrite", "empty_rewrite"),
        "missing_rewrite" if rows[6]["summary"] is None else "rewrite_not_text",
    ]
    assert [row["accepted"] for row in rows] == [True, True, *[False] * 5]
    assert all((row["probability"] is None) == (index > 1) for index, row in enumerate(rows))
    assert {f"score_{name}" for name in SCORES} <= set(table.column_names)
    assert {f"probability_{question}" for question in QUESTIONS} <= set(table.column_names)
    assert rows[0]["score_support_min"] > 0.9 > rows[1]["score_support_min"]
    assert (found.n_pairs, found.n_accepted, found.n_unreadable) == (7, 2, 5)
    assert counts[-1] == (7, 7)


def test_a_language_model_is_asked_about_what_all_other_checks_accept(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "of someone else")
    rows = [*ROWS[:2], {"id": 6, "article": SOURCE, "summary": "I cannot help with that request."}]
    (tmp_path / "pairs.jsonl").write_text(lines(rows))
    with JudgeServer() as server:
        asked = {"judge_endpoints": (server.url,), "judge_model": "judge", "keeps": "any", "batch_rows": 1}
        found = verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet", **asked))
    same, wrong, refusal = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert (same["accepted"], same["score_judge_support_min"]) == (True, 1.0)
    assert (wrong["accepted"], wrong["reason"]) == (False, "judged_unfaithful")
    assert wrong["score_judge_support_min"] == pytest.approx(0.1)
    assert (refusal["reason"], refusal["score_judge_support_min"]) == ("refusal", None)
    assert server.asked == [(SOURCE, ROWS[1]["summary"])]
    assert server.keys == {"Bearer secret"}
    assert (found.n_seen["judge"], found.n_seen["questions to the judge"]) == (2, 1)


def test_a_judge_with_the_weights_of_another_is_refused(tmp_path, monkeypatch):
    def fitted(path=None):
        return lenient().model_copy(update={"judge": JudgeThreshold(model="other", min_yes=0.3)})

    monkeypatch.setattr(flows.verification.verify_pairs, "load_calibration", fitted)
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[:1]))
    asked = {"judge_endpoints": ("http://127.0.0.1:9/v1",), "judge_model": "judge"}
    with pytest.raises(ValueError, match="fitted with the judge 'other', not 'judge'"):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet", **asked))


def test_a_pair_on_which_a_check_fails_counts_as_readable(tmp_path, monkeypatch):
    def fails(source, rewrite, **options):
        raise RecursionError("too deep")

    monkeypatch.setattr("fidelity.judge.compare_facts", fails)
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[:2]))
    found = verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet"))
    assert (found.n_pairs, found.n_accepted, found.n_unreadable) == (2, 0, 0)
    assert found.reasons == {"check_failed": 2}


def test_discrepancies_point_at_their_place_in_the_rewrite(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS[1:2]))
    verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet"))
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    places = {row["summary"][d["rewrite_start"] : d["rewrite_end"]] for d in row["discrepancies"] if d["rewrite_end"]}
    assert any("1784" in place for place in places)


def test_parquet_keeps_its_types_and_compressed_lines_are_read(tmp_path):
    table = pa.table({"article": [SOURCE], "summary": [SOURCE], "when": pa.array([5], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "pairs.parquet")
    verify_pairs(config(tmp_path / "pairs.parquet", tmp_path / "s.parquet"))
    assert pq.read_schema(tmp_path / "s.parquet").field("when").type == pa.timestamp("us")
    (tmp_path / "pairs.jsonl.gz").write_bytes(gzip.compress(lines(ROWS[:1]).encode()))
    assert verify_pairs(config(tmp_path / "pairs.jsonl.gz", tmp_path / "t.parquet")).n_pairs == 1


def test_a_failure_leaves_no_half_file(tmp_path, monkeypatch):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS))

    def stopped(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet"), stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_an_invalid_configuration_is_reported(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(lines(ROWS))
    with pytest.raises(ValueError, match=r"no field 'text'.*article"):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "s.parquet", source_field="text"))
    with pytest.raises(FileNotFoundError, match=r"plan\.json"):
        verify_pairs(config(tmp_path, None, is_run=True))
    with pytest.raises(ValueError, match="is one of the files to read"):
        verify_pairs(config(tmp_path / "pairs.jsonl", tmp_path / "x" / ".." / "pairs.jsonl"))
    assert (tmp_path / "pairs.jsonl").read_text() == lines(ROWS)


def test_a_finished_run_is_judged_again_chunk_by_chunk(tmp_path):
    storage = write_run(tmp_path / "out", documents(12))
    found = verify_pairs(VerifyConfig(source=storage.url, is_run=True))
    rows = pq.read_table(tmp_path / "out" / "scored.parquet").to_pylist()
    assert found.n_pairs == len(rows) == 24
    texts = {record["id"]: record["text"] for record in documents(12)}
    assert {(row["document_id"], row["chunk_index"]) for row in rows} == {(name, i) for name in texts for i in (0, 1)}
    for row in rows:
        assert row["source"] in texts[row["document_id"]]
        # Both contain the same words: the made-up rewrites are the sentences from last to first.
        assert sorted(row["rewrite"].replace(".", "").split()) == sorted(row["source"].replace(".", "").split())
        assert row["score_similarity"] > 0.99
        assert row["accepted_before"] == (row["reason_before"] is None)
    assert 0 < sum(row["accepted_before"] for row in rows) < 24
    assert found.n_accepted == 24


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no finished run"):
        verify_pairs(VerifyConfig(source=str(tmp_path), is_run=True))


def test_weights_are_fitted_to_labels_and_kept_for_the_other_kinds(tmp_path, monkeypatch):
    monkeypatch.setattr("fidelity.fitting.score_cache.SentenceEncoder", BagOfWords)
    monkeypatch.setattr("fidelity.fitting.score_cache.Reader", lambda weights: SilentReader())
    rows = []
    for i in range(60):
        source = f"The bridge of town {i} was built in {1800 + i} by {i + 3} masons. It still stands."
        rows.append(
            {"source": source, "rewrite": f"In {1800 + i} {i + 3} masons built the bridge of town {i}.", "ok": True}
        )
        rows.append(
            {"source": source, "rewrite": f"In {1700 + i} {i + 9} masons built the bridge of town {i}.", "ok": 0}
        )
    (tmp_path / "labelled.jsonl").write_text(lines([*rows, {"source": "x", "ok": True}]))
    logged = []
    options = {
        "source_field": "source",
        "rewrite_field": "rewrite",
        "kind": "knowledge",
        "max_false_rejects": 0.2,
        "plant": False,
        "log": logged.append,
    }
    out = tmp_path / "weights.json"
    with JudgeServer() as server:
        asked = {"judge_endpoints": (server.url,), "judge_model": "judge"}
        figures = calibrate_pairs(
            str(tmp_path / "labelled.jsonl"), out, label_fields={"faithful": "ok"}, **options, **asked
        )
    assert (figures["faithful_rows"], figures["faithful_yes"]) == (120, 60)
    assert figures["faithful_auroc"] > 0.95
    assert (tmp_path / "weights-faithful.svg").read_text().startswith("<svg")
    assert any("row 120" in line and "left out" in line for line in logged)
    fitted = load_calibration(str(out))
    assert figures["judge_auroc"] > 0.95
    assert fitted.judge == JudgeThreshold(model="judge", min_yes=figures["judge_threshold"])
    assert 0.1 < fitted.judge.min_yes < 0.9  # what the server says of wrong and of right ones
    with pytest.raises(ValueError, match="labels of faithful"):
        calibrate_pairs("labelled.jsonl", out, label_fields={"fluent": "ok"}, **options, **asked)
    shipped = load_calibration()
    for question in ("faithful", "complete", "fluent"):
        for kind in ("knowledge", "math", "translation"):
            kept = fitted.model(question, kind) == shipped.model(question, kind)
            assert kept == ((question, kind) != ("faithful", "knowledge"))

    monkeypatch.setattr(flows.verification.verify_pairs, "load_calibration", load_calibration)
    (tmp_path / "new.jsonl").write_text(lines([{"article": r["source"], "summary": r["rewrite"]} for r in rows[:20]]))
    verify_pairs(config(tmp_path / "new.jsonl", tmp_path / "s.parquet", calibration=str(out), keeps="any"))
    accepted = pq.read_table(tmp_path / "s.parquet")["accepted"].to_pylist()
    assert sum(accepted[0::2]) >= 9
    assert sum(accepted[1::2]) <= 1

    (tmp_path / "bad.jsonl").write_text(lines([rows[0] | {"ok": "maybe"}]))
    with pytest.raises(ValueError, match="row 0: 'ok' is 'maybe'"):
        calibrate_pairs(str(tmp_path / "bad.jsonl"), out, label_fields={"faithful": "ok"}, **options)


def test_a_label_field_names_its_question():
    assert parse_label_fields(["ok"]) == {"faithful": "ok"}
    assert parse_label_fields(["faithful=a", "complete=b", "fluent=c"]) == {
        "faithful": "a",
        "complete": "b",
        "fluent": "c",
    }
    with pytest.raises(ValueError, match=r"'true=a'.*'true' is not one of faithful, complete, fluent"):
        parse_label_fields(["true=a"])
    with pytest.raises(ValueError, match="one column for 'fluent'"):
        parse_label_fields(["fluent=a", "fluent=b"])


def test_one_cell_that_cannot_be_read_costs_its_row_only(tmp_path):
    texts = pa.array([SOURCE.encode(), b"\xff\xfe", SOURCE.encode()]).view(pa.string())
    dates = pa.array([0, 0, 10**9], pa.int32()).view(pa.date32())  # the last is after the year 9999
    table = pa.table({"id": [1, 2, 3], "article": texts, "summary": [SOURCE] * 3, "day": dates})
    pq.write_table(table, tmp_path / "pairs.parquet")
    verify_pairs(config(tmp_path / "pairs.parquet", tmp_path / "scored.parquet"))
    rows = pq.read_table(tmp_path / "scored.parquet").to_pylist()
    assert [row["reason"] for row in rows] == [None, "invalid_row", "invalid_row"]
    assert "'article' cannot be read" in rows[1]["detail"]
    assert "'day' cannot be read" in rows[2]["detail"]


def test_odd_values_of_json_and_a_cut_file_keep_the_other_rows(tmp_path):
    odd = [
        '{"n": 0.5}',
        '{"n": 9007199254740993}',
        '{"n": NaN, "\\ud800": 1}',
        '{"article": "\\ud800", "summary": "x"}',
    ]
    pair = json.dumps({"article": SOURCE, "summary": SOURCE})
    data = gzip.compress(("\n".join([*odd, pair]) + "\n").encode())
    (tmp_path / "pairs.jsonl.gz").write_bytes(data[:-3])
    verify_pairs(config(tmp_path / "pairs.jsonl.gz", tmp_path / "scored.parquet"))
    rows = pq.read_table(tmp_path / "scored.parquet").to_pylist()
    assert rows[1]["n"] == 9007199254740992.0
    assert rows[4]["accepted"]
    assert "cannot be read further" in rows[5]["detail"]
    assert rows[3]["reason"] == "invalid_unicode"


def test_a_label_that_cannot_be_read_is_left_out_and_said(tmp_path):
    from flows.verification.calibrate_pairs import _labelled

    rows = [{"source": SOURCE, "rewrite": SOURCE, "good": value} for value in (1, "perhaps", None, "no", 2)]
    (tmp_path / "pairs.jsonl").write_text(lines(rows))
    said = []
    pairs = list(
        _labelled(str(tmp_path / "pairs.jsonl"), "source", "rewrite", {"faithful": "good"}, "knowledge", said.append)
    )
    assert [pair.faithful for pair in pairs] == [True, False]
    assert [line.split(":")[0] for line in said] == ["row 1", "row 2", "row 4"]


def test_the_chunks_of_a_run_are_judged_by_what_its_own_recipe_asks_for(tmp_path, monkeypatch):
    """And by the embedding model that checked it."""
    opened = []
    monkeypatch.setattr(
        flows.verification.verify_pairs, "open_encoder", lambda model: opened.append(model) or BagOfWords()
    )
    run = write_run(tmp_path / "out", documents(2))
    plan = load_plan(run)
    fidelity = {**plan.config["fidelity"], "encoder": "my-encoder"}
    save_plan(run, dataclasses.replace(plan, config={**plan.config, "fidelity": fidelity}))
    verify_pairs(VerifyConfig(source=run.url, is_run=True))
    rows = pq.read_table(tmp_path / "out" / "scored.parquet").to_pylist()
    assert {(row["kind"], row["keeps"]) for row in rows} == {("knowledge", 1.0)}
    own = load_recipes()["rephrase"].model_copy(update={"keeps": 0.3, "checks": (Check.FORMULAS, Check.FACTS)})
    pin_recipes(run, {"rephrase": own})
    verify_pairs(VerifyConfig(source=run.url, is_run=True))
    rows = pq.read_table(tmp_path / "out" / "scored.parquet").to_pylist()
    assert {(row["kind"], row["keeps"]) for row in rows} == {("math", 0.3)}
    assert opened == ["my-encoder", "my-encoder"]
    given = tmp_path / "own.toml"
    given.write_text((files("rephrase.prompting") / "recipes" / "rephrase.toml").read_text("utf-8"))
    verify_pairs(VerifyConfig(source=run.url, is_run=True, recipe_files=(str(given),)))
    rows = pq.read_table(tmp_path / "out" / "scored.parquet").to_pylist()
    assert {(row["kind"], row["keeps"]) for row in rows} == {("knowledge", 1.0)}

"""The counts behind a report's figures, against plain recounts over the rows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import documents, write_run

from fidelity.calibration.calibration import load_calibration
from flows.report.histogram import MAX_BINS, Histogram
from flows.report.run_report import Thresholds
from flows.report.sample import share_evenly
from flows.report.tally import ACCEPTED, tally
from flows.report.throughput import throughput
from flows.results.diversity import measure_diversity
from rephrase.dataset.rows import Row
from rephrase.dataset.run_recipes import run_recipes
from rephrase.dataset.shards import commit_part, read_rejects, read_rewrites
from rephrase.prompting.recipes import load_recipes
from rephrase.storage.storage import Storage


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Storage:
    records = [*documents(120), {"id": "d0", "text": "a second d0"}, {"id": "empty", "text": " "}]
    return write_run(tmp_path_factory.mktemp("run") / "out", records, n_variants=2)


def rows(tables) -> list[Row]:
    return [row for table in tables for row in table.to_pylist()]


def test_the_tally_counts_what_the_rows_hold(run):
    found = tally(run, 50, 0)
    rewrites, rejects = rows(read_rewrites(run)), rows(read_rejects(run))
    accepted = [(row, chunk) for row in rewrites for chunk in row["chunks"] if chunk["accepted"]]
    rejected = [row for row in rejects if row["stage"] == "rewrite"]
    by_style = Counter(row["style"] for row, _ in accepted)
    assert by_style == sum_by(found.chunks, lambda spec, reason: spec.style if reason == ACCEPTED else None)
    assert Counter(row["reason"] for row in rejected) == sum_by(found.chunks, lambda _, reason: reason or None)
    assert found.records == {"duplicate_id": 1, "empty_text": 1}
    scores = found.scores["similarity", "rephrase"]
    assert scores.n_accepted == len(accepted)
    assert scores.n_rejected == sum(row["reason"] == "dissimilar" for row in rejected)
    assert found.ratios.n_accepted == len(accepted)
    assert found.attempts[False] == {3: len(rejected)}
    assert found.n_rewrites == len(rewrites)
    assert found.completeness[True] == sum(row["n_chunks"] == row["n_chunks_accepted"] for row in rewrites)
    assert found.n_rows == len(accepted) + len(rejects)


def sum_by(counts, key) -> Counter[str]:
    found: Counter[str] = Counter()
    for (spec, reason), count in counts.items():
        if (name := key(spec, reason)) is not None:
            found[name] += count
    return found


def test_the_sample_is_repeatable_and_its_locations_are_those_of_accepted_chunks_and_rejects(run):
    found = tally(run, 40, seed=7).sampler
    locations = found.draw()
    assert len(locations) == len(set(locations)) == 40
    assert locations == tally(run, 40, seed=7).sampler.draw()
    assert locations != tally(run, 40, seed=8).sampler.draw()
    assert sum(location.kind == "rewrites" for location in locations) == 20
    tables = {part: table.to_pylist() for part, table in enumerate(read_rewrites(run))}
    for location in locations:
        if location.kind == "rewrites":
            assert tables[location.part][location.row]["chunks"][location.chunk]["accepted"]
    assert len(tally(run, 10_000, 0).sampler.draw()) == found.n_seen


@given(
    st.dictionaries(st.tuples(st.just("r"), st.text(max_size=3)), st.integers(0, 50), max_size=8), st.integers(0, 90)
)
def test_shares_are_as_even_as_the_sizes_allow(sizes, n):
    shares = share_evenly(sizes, n)
    assert sum(shares.values()) == min(n, sum(sizes.values()))
    for name, share in shares.items():
        assert share <= sizes[name]
        assert share == sizes[name] or share >= max(shares.values()) - 1


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), min_size=1, max_size=5), st.booleans())
def test_a_histogram_loses_no_value_whatever_the_range(batches, accepted):
    histogram = Histogram()
    for batch in batches:
        histogram.add(np.array(batch), accepted)
    counts = histogram.accepted if accepted else histogram.rejected
    assert counts.total() == sum(map(len, batches))
    assert max(counts) - min(counts) < MAX_BINS
    for value in batches[0]:
        near = int(np.floor(value / histogram.width))
        assert counts[near] or counts[near + 1] or counts[near - 1]


def test_a_value_at_the_threshold_falls_into_the_bin_above_it():
    histogram = Histogram(0.02)
    histogram.add(np.array([0.7, 0.6999, np.nan]), True)
    assert histogram.accepted == {35: 1, 34: 1}


def commit(started_at: float, ended_at: float, n_tokens: int) -> Row:
    return {"started_at": started_at, "ended_at": ended_at, "n_completion_tokens": n_tokens, "n_tokens_resumed": 0}


def test_speed_keeps_all_tokens_and_leaves_pauses_out():
    commits = [commit(1000, 1010, 100), commit(1005, 1015, 200), commit(99_000, 99_005, 300)]
    found = throughput(commits, n_bins=20)
    assert found.bin_s == 1.0
    assert sum(found.tokens_per_s) == pytest.approx(600)
    assert found.tokens_per_s[0] == pytest.approx(10)
    assert found.tokens_per_s[7] == pytest.approx(30)
    assert found.tokens_per_s[-1] == pytest.approx(60)
    assert found.pauses == (15.0,)
    assert throughput([]) is None


def test_templates_and_copies_are_measured(tmp_path):
    storage = Storage(tmp_path)
    words = " ".join(f"w{i}" for i in range(20))
    written = [
        {
            "source": "corpus.jsonl",
            "record": i,
            "recipe": "rephrase",
            "text": f"Here we go {words}",
            "source_text": words,
            "n_tokens": 3,
        }
        for i in range(3)
    ]
    other = {**written[0], "record": 3, "text": f"Once upon a time {words[::-1]}"}
    commit_part(storage, 0, [*written, other], [])
    (found,) = measure_diversity(storage)
    assert found.openings[0] == ("here we go", 0.75)
    assert found.distinct_3 < 0.75
    assert 0.5 < found.source_overlap < 0.75
    assert (found.variant_overlap, found.near_duplicates) == (None, 0.0)  # each document has one variant


def test_variants_are_compared_within_their_documents(tmp_path):
    def row(record, variant, text, **more):
        shared = {"source": "corpus.jsonl", "record": record, "variant": variant, "recipe": "rephrase"}
        return {**shared, "text": text, "source_text": "s", "n_tokens": 3, **more}

    storage = Storage(tmp_path)
    rewrites = [
        row(0, 0, "one two three four five"),  # shares one of three sequences with the next, and one of two back
        row(0, 1, "now three four five"),
        row(1, 0, "one two three four five"),  # as the first document's, but of another one
    ]
    repeated = row(0, 2, "one two three four five.", stage="variant", reason="near_duplicate")
    again = row(1, 2, "one two three four five!", stage="variant", reason="near_duplicate")
    commit_part(storage, 0, rewrites, [repeated, again, row(1, 1, "Bad.", stage="rewrite", reason="unfaithful")])
    (found,) = measure_diversity(storage)
    assert found.variant_overlap == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.near_duplicates == pytest.approx(2 / 5)


SHIPPED = load_calibration().model("faithful", "knowledge").threshold


@pytest.mark.parametrize(
    ("n_parameters", "faithful", "reworded"), [(None, SHIPPED, 0.6), (1.5e9, 0.66, 0.6), (135e6, 0.66, 0.4)]
)
def test_thresholds_are_those_of_the_wording_of_the_run(tmp_path, n_parameters, faithful, reworded):
    wording = load_recipes()["rephrase"].for_model(n_parameters)
    config = {"fidelity": {}, "recipe rephrase": wording.prompt_hash}
    recipes = run_recipes(Storage(tmp_path), config)  # of a run that has not recorded them
    limits = Thresholds(config, recipes)
    (found,) = limits("probability_faithful", "rephrase")
    assert found[0] == faithful
    (found,) = limits("reworded", "rephrase")
    assert found[0] == reworded
    (found,) = Thresholds({"fidelity": {}}, load_recipes())("probability_faithful", "rephrase")
    assert found[0] == SHIPPED
    assert limits("probability_faithful", "none") == []
    assert Thresholds({"fidelity": {"min_probability": 0.5}}, recipes)("probability_faithful", "rephrase") == []

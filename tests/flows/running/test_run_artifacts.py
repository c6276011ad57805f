"""The artifacts shown in Prefect's UI."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.rephrasing import describe_commit, part_label
from flows.results.samples import Sample, find_samples, samples_markdown
from flows.running.run_artifacts import recipe_rows
from rephrase.corpus.reading import ReadOptions
from rephrase.dataset.plan import make_plan
from rephrase.dataset.shards import commit_part, read_commits
from rephrase.storage.storage import Storage


@given(st.text(alphabet=st.sampled_from("`~<>|*ab \n\r\t\x1b\u202e漢")))
def test_hostile_text_cannot_close_its_code_block(text):
    sample = Sample(heading=text, style="faq", source=text, rewrite=text)
    (block,) = MarkdownIt().enable("table").parse(samples_markdown([sample]))
    assert (block.type, block.info) == ("fence", "text")
    assert not {"\x1b", "\u202e"} & {*block.content}


def test_a_source_is_shown_beside_its_rewrite():
    sample = Sample(
        heading="A [b]title[/b]", style="faq", source="<script>alert(1)</script> " * 5, rewrite="new words " * 20
    )
    lines = samples_markdown([sample]).split("\n")
    assert lines[1] == "A [b]title[/b]"
    assert max(map(len, lines)) <= 88
    assert re.fullmatch(r"<script>alert\(1\)</script>\s+new words .*", lines[4])


def rewrite(style, document="d", recipe="rephrase"):
    chunk = {"accepted": True, "start": 0, "end": 6, "text_start": 0, "text_end": 7}
    return {
        "document_id": document,
        "recipe": recipe,
        "style": style,
        "text": "Rewrite",
        "source_text": "Source and more",
        "chunks": [{"accepted": False, "start": 0, "end": 0}, chunk],
        "n_tokens": 5,
    }


def test_samples_are_of_different_styles_and_show_the_accepted_chunk(tmp_path):
    storage = Storage(tmp_path)
    commit_part(storage, 0, [rewrite("faq"), rewrite("faq"), rewrite("diary")], [], n_records=3)
    commit_part(storage, 1, [], [{"reason": "empty"}], n_records=1)
    commit_part(storage, 2, [rewrite("letter"), rewrite("poem")], [], n_records=2)
    samples = []
    for commit in read_commits(storage).values():
        samples = find_samples(storage, commit, samples, 3)
    assert [sample.style for sample in samples] == ["faq", "diary", "letter"]
    assert (samples[0].source, samples[0].rewrite) == ("Source", "Rewrite")


def test_the_source_of_a_later_step_is_what_the_step_before_wrote(tmp_path):
    storage = Storage(tmp_path)
    note = {**rewrite("faq", recipe="translate+learning_note"), "source_text": "Quelle", "steps": [{"text": "Origin"}]}
    commit = commit_part(storage, 0, [note], [], n_records=1)
    (sample,) = find_samples(storage, commit, [], 3)
    assert (sample.source, sample.rewrite) == ("Origin", "Rewrite")


def test_recipes_are_counted_over_all_parts_with_the_most_common_reason_first(tmp_path):
    storage = Storage(tmp_path)
    rejects = [
        {"recipe": "rephrase", "reason": reason, "n_tokens": 2} for reason in ("empty", "truncated", "truncated")
    ]
    commit_part(storage, 0, [rewrite("faq")], rejects, n_records=4)
    commit_part(storage, 1, [rewrite("faq"), rewrite("x", recipe="translate")], [{"reason": "empty_text"}], n_records=3)
    assert [tuple(row.values()) for row in recipe_rows(read_commits(storage))] == [
        ("(none)", "empty_text", 1, 0),
        ("rephrase", "accepted", 2, 10),
        ("rephrase", "truncated", 2, 4),
        ("rephrase", "empty", 1, 2),
        ("translate", "accepted", 1, 5),
    ]


def test_the_label_of_a_part_names_its_files_and_records(tmp_path):
    for name, n in [("a", 5), ("b{x}", 1), ("c", 1), ("d", 7)]:
        (tmp_path / f"{name}.jsonl").write_text("".join('{"text": "0123456789"}\n' for _ in range(n)))
    plan = make_plan(str(tmp_path), ReadOptions(), {}, part_bytes=40)
    assert [part_label(plan, part) for part in plan.parts] == [
        "part-00000: a.jsonl 1 to 4",
        "part-00001: a.jsonl 5 to d.jsonl, 4 files, 4 records",
        "part-00002: d.jsonl 2 to 5",
        "part-00003: d.jsonl 6 to 7",
    ]
    plan = make_plan(str(tmp_path), ReadOptions(), {}, part_bytes=50)
    assert [part_label(plan, part) for part in plan.parts] == [
        "part-00000: a.jsonl 1 to 5",
        "part-00001: b{x}.jsonl 1 to d.jsonl, 3 files, 5 records",
        "part-00002: d.jsonl 4 to 7",
    ]


@pytest.mark.parametrize(("reasons", "end"), [({}, "in 2 s"), ({"empty": 3}, "in 2 s; rejected: empty 3")])
def test_a_commit_is_described_in_one_sentence(reasons, end):
    commit = {
        **dict.fromkeys(("n_documents_accepted", "n_records", "n_rewrites", "n_tokens"), 1000),
        "rejects_by_reason": reasons,
        "started_at": 1.0,
        "ended_at": 3.0,
    }
    assert (
        describe_commit(commit) == f"committed: 1,000 of 1,000 records accepted, 1,000 rewrites of 1,000 tokens {end}"
    )

"""The data card: what Hugging Face reads, and what belongs to the user."""

import dataclasses

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from synthetic_run import documents, write_run

from flows.results.data_card import BEGIN, CARD_NAME, END, write_data_card
from flows.results.summary import summarize
from rephrase.dataset.audit import audit
from rephrase.dataset.plan import load_plan, save_plan
from rephrase.dataset.run_recipes import pin_recipes
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.prompting.recipes import load_recipes
from rephrase.storage.storage import Storage


@pytest.fixture
def run(tmp_path) -> Storage:
    return write_run(tmp_path / "out", [*documents(30), {"id": "empty", "text": ""}])


def write(run: Storage, *arguments: str) -> bool:
    plan = load_plan(run)
    assert plan
    return write_data_card(run, plan, summarize(run), *arguments)


def text(run: Storage) -> str:
    return run.read(CARD_NAME).decode()


def test_hugging_face_loads_the_card_and_the_rows_it_names(run, tmp_path):
    assert write(run, "CC-BY-4.0", "Histories of\ntowns | and <rivers>.")
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    assert "Histories of towns &#124; and &lt;rivers>." in card.text
    assert "made-up" in card.text
    rewrites = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    expected = [row["text"] for table in read_rewrites(run, ["text"]) for row in table.to_pylist()]
    assert rewrites["text"] == expected
    rejects = load_dataset(str(tmp_path / "out"), "rejects", cache_dir=str(tmp_path / "cache"))["train"]
    assert rejects.num_rows == sum(table.num_rows for table in read_rejects(run)) > 1


def test_written_again_it_keeps_what_the_user_gave_and_wrote(run):
    write(run, "Town Licence 7", "Histories of towns.")
    card = text(run).replace("tags:", "homepage: example\ntags:").replace(BEGIN, f"My words before.\n\n{BEGIN}")
    run.write(CARD_NAME, (card.replace("rewrites of", "REWRITES OF") + "\nMy words after.\n").encode())
    assert write(run)
    again = DatasetCard(text(run))
    assert again.data.license == "other"
    assert again.data.to_dict()["license_name"] == "Town Licence 7"
    assert again.data.to_dict()["homepage"] == "example"
    assert "Histories of towns." in again.text
    assert again.text.startswith("My words before.")
    assert again.text.endswith("My words after.\n")
    assert "REWRITES OF" not in again.text
    assert (again.text.count(BEGIN), again.text.count(END)) == (1, 1)
    write(run, "mit")
    assert DatasetCard(text(run)).data.license == "mit"
    assert "Town Licence" not in text(run)


@pytest.mark.parametrize(
    "own", ["# My notes\n", "---\nlicense: [\n---\n" + BEGIN + END, f"{BEGIN}\nthe end mark is gone\n\nMy words.\n"]
)
def test_a_readme_of_the_users_own_is_left_alone(run, own):
    run.write(CARD_NAME, own.encode())
    assert not write(run, "mit")
    assert text(run) == own


def test_a_card_changes_neither_plan_nor_summary_nor_audit(run):
    before = summarize(run), load_plan(run)
    write(run)
    assert (summarize(run), load_plan(run)) == before
    assert audit(run).problems == []


def test_an_unfinished_run_is_marked_as_in_progress(run):
    run.remove("commits/part-00000.json")
    write(run)
    assert "The run is in progress" in text(run)


def test_of_a_run_that_accepted_nothing_only_the_rejects_are_offered(run):
    """`load_dataset` without the name of a configuration would give the rejects as if they were the rewrites."""
    plan = load_plan(run)
    assert write_data_card(run, plan, dataclasses.replace(summarize(run), n_rewrites=0))
    assert text(run).count("load_dataset(") == 1
    assert 'load_dataset("out", "rejects")' in text(run)


def test_a_recipe_is_described_as_worded_for_the_model_of_the_run(run):
    """Also one of the user's own, whose file may be gone; of an earlier version's run, a built-in one by its hash."""
    plan = load_plan(run)
    small = load_recipes()["rephrase"].for_model(135e6)
    save_plan(run, dataclasses.replace(plan, config={**plan.config, "recipe rephrase": small.prompt_hash}))
    assert write(run)
    assert "Styles: question answer." in text(run)
    own = small.model_copy(update={"description": "Ask in my way."})
    pin_recipes(run, {"rephrase": own})
    save_plan(run, dataclasses.replace(plan, config={**plan.config, "recipe rephrase": own.prompt_hash}))
    assert write(run)
    assert "Ask in my way." in text(run)
    assert "custom recipe" not in text(run)


def test_the_name_of_a_file_has_no_effect_on_who_shows_the_card(run):
    plan = load_plan(run)
    named = [dataclasses.replace(file, name="a\x1b[2J\u202e`|\n# b.jsonl") for file in plan.inputs]
    assert write_data_card(run, dataclasses.replace(plan, inputs=tuple(named)), summarize(run))
    assert "`aU+001B[2JU+202E # b.jsonl`" in text(run)

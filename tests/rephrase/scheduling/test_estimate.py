"""The estimate of a corpus that is read as a whole matches what a run then does."""

import dataclasses
import json

import pytest
from scripted import ScriptedEngine, WordTokenizer, accept

from rephrase.corpus.inputs import list_inputs
from rephrase.corpus.reading import ReadOptions
from rephrase.corpus.sampling import sample_corpus
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import make_plan
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Domain
from rephrase.rewriting import RewriteTools
from rephrase.run_context import RunContext
from rephrase.scheduling.cost import Prices
from rephrase.scheduling.estimate import Estimate, RouteEstimate, estimate, measure_routes, measure_speed, time_and_cost
from rephrase.scheduling.scheduler import Scheduler
from rephrase.storage.storage import Storage

RECIPES = {name: recipe.model_copy(update={"chunk_tokens": 16}) for name, recipe in load_recipes().items()}


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    texts = [" ".join(f"Sentence {j} of text {i} says that." for j in range(3 + 5 * i)) for i in range(6)]
    path.write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate([*texts, ""])))
    return path


def estimate_of(corpus, **options):
    files, _ = list_inputs(str(corpus))
    return estimate(sample_corpus(files, ReadOptions()), RECIPES, "auto", WordTokenizer(), **options)


async def run(corpus, out, n_variants):
    engine = ScriptedEngine(delay_s=0.001)
    plan = make_plan(str(corpus), ReadOptions(), {})
    run_context = RunContext(
        storage=Storage(out),
        plan=plan,
        reader=PartReader(plan, ReadOptions()),
        recipes=RECIPES,
        recipe_choice="auto",
        n_variants=n_variants,
        tools=RewriteTools(engine=engine, tokenizer=WordTokenizer(), check=accept, n_retries=2, seed=0),
        near_duplicates=lambda texts: {},
        scheduler=Scheduler(engine),
        progress=Progress(),
    )
    return await run_part(plan.parts[0], run_context), engine


async def test_documents_and_chunks_match_the_run_and_its_commits_give_the_rest(corpus, tmp_path):
    commit, engine = await run(corpus, tmp_path / "out", n_variants=2)
    (route,) = estimate_of(corpus, n_variants=2).routes
    assert (route.route, route.n_documents, route.n_chunks) == ("rephrase", 6, commit["n_chunks"])
    assert route.accepted_share is None
    lengths = [len(WordTokenizer().token_starts(prompt.system + " " + prompt.user)) for prompt in engine.prompts]
    assert route.n_prompt_tokens == pytest.approx(sum(lengths), rel=0.15)
    assert route.n_completion_tokens_at_most >= commit["n_completion_tokens"]

    (known,) = estimate_of(corpus, n_variants=2, measured=measure_routes([commit])).routes
    assert known.accepted_share == commit["n_chunks_accepted"] / commit["n_chunks"]
    assert known.n_completion_tokens == pytest.approx(commit["n_completion_tokens"])
    assert known.n_prompt_tokens == pytest.approx(commit["n_prompt_tokens"])
    assert known.n_tokens == pytest.approx(commit["n_tokens"])
    assert measure_speed([commit]) == pytest.approx(commit["n_completion_tokens"] / commit["engine_s"])


def test_the_speed_of_a_run_is_that_of_all_its_routes_by_the_time_that_each_took():
    fast = {"n_completion_tokens": 99_000, "engine_s": 99.0}
    slow = {"n_completion_tokens": 100, "engine_s": 1.0}
    commits = [{"usage": {"rephrase": fast}}, {"usage": {"translate": slow, "unchanged": {}}}]
    assert measure_speed(commits) == pytest.approx(991.0)
    assert measure_speed([{}]) is None


def test_records_that_are_not_documents_are_counted(corpus):
    assert estimate_of(corpus).n_unreadable == 1


def test_a_route_of_two_recipes_has_the_chunks_of_both(tmp_path):
    path = tmp_path / "math.jsonl"
    path.write_text(json.dumps({"text": "Der Satz sagt, dass die Summe der Winkel in jedem Dreieck gleich ist. " * 4}))
    files, _ = list_inputs(str(path))
    sample = sample_corpus(files, ReadOptions(domain=Domain.MATH))
    (both,) = estimate(sample, RECIPES, "auto", WordTokenizer()).routes
    (one,) = estimate(sample, RECIPES, "translate", WordTokenizer()).routes
    assert both.route == "translate+learning_note"
    assert both.n_chunks == 2 * one.n_chunks
    assert both.n_source_tokens == one.n_source_tokens


def test_time_is_work_over_speed_and_at_least_the_longest_chain(monkeypatch):
    monkeypatch.setattr("rephrase.scheduling.estimate.N_SIMULATED_CHUNKS", 4000)

    def found(n_documents, chain):
        total = n_documents * sum(chain)
        route = RouteEstimate(
            route="rephrase",
            n_documents=n_documents,
            n_chunks=n_documents * len(chain),
            n_source_tokens=total,
            n_prompt_tokens=2 * total,
            n_completion_tokens=total,
            n_completion_tokens_at_most=total,
            accepted_share=None,
            n_tokens=None,
        )
        return Estimate(routes=[route], n_records=n_documents, n_unreadable=0, chains=[chain], weights=[n_documents])

    def take(estimate, n_engines=1):
        prices = Prices(per_hour=3600, per_million_prompt_tokens=1e6)
        return time_and_cost(estimate, n_engines=n_engines, tokens_per_s=100, requests_per_engine=10, prices=prices)

    large = found(100_000, [100] * 5)
    assert take(large).seconds == pytest.approx(5e5, rel=0.001)
    assert take(large, n_engines=4).seconds == pytest.approx(5e5 / 4, rel=0.001)
    assert take(large, n_engines=4).cost == pytest.approx(5e5 + 2 * 5e7, rel=0.001)
    single = dataclasses.asdict(take(found(1, [100] * 5)))
    assert single["seconds"] == pytest.approx(50)  # alone it has a tenth of the speed
    assert single["bound_s"] == pytest.approx(50)


def test_translations_that_are_translated_back_take_as_many_tokens_again(tmp_path):
    path = tmp_path / "corpus.jsonl"
    text = "Der Satz sagt, dass die Summe der beiden Zahlen immer gleich dem Produkt ist und nie kleiner wird."
    path.write_text(json.dumps({"id": "d", "text": text, "language": "de"}) + "\n")
    files, _ = list_inputs(str(path))
    once, back = (
        estimate(
            sample_corpus(files, ReadOptions()),
            RECIPES,
            "translate",
            WordTokenizer(),
            n_retries=0,
            translate_back=again,
        ).routes[0]
        for again in (False, True)
    )
    assert back.n_completion_tokens == pytest.approx(once.n_completion_tokens + once.n_source_tokens)
    assert back.n_prompt_tokens > once.n_prompt_tokens + once.n_source_tokens
    assert back.n_completion_tokens_at_most > once.n_completion_tokens_at_most + once.n_source_tokens

"""Of several candidates the best that passes is taken."""

import asyncio
import dataclasses
import re

from scripted import ScriptedEngine, WordTokenizer, accept

from rephrase.passages import Passage, rewrite_passage
from rephrase.prompting.context import Context
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Chunk, Completion, Document, Variant, Verdict

RECIPE = load_recipes()["rephrase"]
PASSAGE = Passage(
    document=Document(id="d", text="One two.", source="s"),
    source=Chunk(document_id="d", index=0, start=0, end=8, text="One two.", n_tokens=3),
    variant=Variant(index=0, recipe="rephrase", style="lecture", perspective="expert"),
    context=Context(),
    written="",
)


async def best(
    answers, probabilities, *, n_candidates, n_retries=0, threshold=0.5, recipe=RECIPE, passage=PASSAGE, check_back=None
):
    found = iter(answers)
    engine = ScriptedEngine(lambda prompt, sampling: next(found))

    async def check(chunk, completion, requirements):
        probability = probabilities[completion.text]
        accepted = probability >= threshold
        return Verdict(
            accepted=accepted,
            reason=None if accepted else "unfaithful",
            probability=probability,
            probabilities={"faithful": probability},
        )

    attempt = await rewrite_passage(
        passage,
        recipe,
        recipe.requirements(passage.variant.style),
        engine=engine,
        tokenizer=WordTokenizer(),
        check=check,
        check_back=check_back,
        n_candidates=n_candidates,
        n_retries=n_retries,
        seed=0,
    )
    return attempt, engine


async def test_the_likeliest_of_the_accepted_is_taken():
    attempt, engine = await best("abc", {"a": 0.6, "b": 0.9, "c": 0.3}, n_candidates=3, n_retries=2)
    assert (attempt.text, attempt.verdict.accepted, attempt.n_attempts) == ("b", True, 1)
    assert attempt.usage.n_completion_tokens == 3
    assert engine.most_running == 3  # drawn at once


async def test_of_two_alike_the_one_that_the_model_is_surer_of_is_taken():
    def drawn(text, logprob):
        return Completion(
            text=text, finish_reason="stop", n_prompt_tokens=1, n_completion_tokens=1, logprob=logprob
        )  # fmt: skip

    attempt, _ = await best([drawn("a", -40.0), drawn("b", -10.0)], {"a": 0.7, "b": 0.7}, n_candidates=2)
    assert attempt.text == "b"
    # It does not outweigh the verdict.
    attempt, _ = await best([drawn("a", -40.0), drawn("b", -10.0)], {"a": 0.9, "b": 0.6}, n_candidates=2, threshold=0.8)
    assert attempt.text == "a"


async def test_the_logprob_is_asked_for_where_there_is_a_choice():
    asked = []
    for n in (1, 2):
        engine = ScriptedEngine(lambda prompt, sampling: asked.append(sampling.logprob) or "x")
        await rewrite_passage(
            PASSAGE, RECIPE, RECIPE.requirements("lecture"), engine=engine, tokenizer=WordTokenizer(), check=accept,
            n_candidates=n, n_retries=0, seed=0,
        )  # fmt: skip
    assert asked == [False, True, True]


async def test_a_retry_draws_as_many_again_and_the_best_of_the_rejected_is_shown():
    attempt, engine = await best(
        "abcd", dict(zip("abcd", (0.1, 0.2, 0.4, 0.3), strict=True)), n_candidates=2, n_retries=1
    )
    assert (attempt.text, attempt.verdict.accepted, attempt.n_attempts) == ("c", False, 2)
    assert len(engine.prompts) == 4


def test_all_candidates_have_seeds_of_their_own():
    seeds = []

    async def draw():
        engine = ScriptedEngine(lambda prompt, sampling: seeds.append(sampling.seed) or "x")

        async def reject(chunk, completion, requirements):
            return Verdict(accepted=False, reason="unfaithful")

        await rewrite_passage(
            PASSAGE,
            RECIPE,
            RECIPE.requirements("lecture"),
            engine=engine,
            tokenizer=WordTokenizer(),
            check=reject,
            n_candidates=3,
            n_retries=1,
            seed=0,
        )

    asyncio.run(draw())
    assert len(set(seeds)) == 6


async def test_a_model_may_write_a_part_of_which_a_template_makes_the_rewrite():
    templates = {"lecture": "Q: {{ answer }}\nA: {{ passage }}"}
    attempt, _ = await best(
        ["**Question:** What comes first?\nAnd more."],
        {"Q: What comes first?\nA: One two.": 1.0},
        n_candidates=1,
        recipe=RECIPE.model_copy(update={"compose": templates}),
    )
    assert attempt.text == "Q: What comes first?\nA: One two."


GERMAN = dataclasses.replace(
    PASSAGE,
    document=Document(id="d", text="Eins und zwei.", source="s", language="de"),
    variant=Variant(index=0, recipe="translate", style="faithful", perspective=""),
)


def reject_back(chunk, back, language, requirements, verdict):
    accepted = (back.text, language) == ("Eins und zwei", "de")
    return dataclasses.replace(verdict, accepted=accepted, reason=None if accepted else "back_translation")


async def test_each_accepted_translation_is_translated_back_and_one_that_comes_back_right_is_taken():
    recipe = load_recipes()["translate"]
    probabilities = {"One and two.": 0.6, "Wrong.": 0.9, "Bad.": 0.1}
    options = {"recipe": recipe, "passage": GERMAN, "n_candidates": 3}
    # The three candidates first, then those that the checks accept, in the order in which they were accepted.
    answers = ["Wrong.", "One and two.", "Bad.", "Falsch", "Eins und zwei"]
    attempt, engine = await best(answers, probabilities, check_back=reject_back, **options)
    assert (attempt.text, attempt.verdict.accepted) == ("One and two.", True)
    assert len(engine.prompts) == 5
    assert attempt.usage.n_completion_tokens == 1 + 3 + 1 + 1 + 3

    attempt, engine = await best(answers, probabilities, **options)  # switched off
    assert (attempt.text, len(engine.prompts)) == ("Wrong.", 3)


async def test_a_text_that_is_english_already_is_not_translated_back():
    english = dataclasses.replace(GERMAN, document=dataclasses.replace(GERMAN.document, language="en"))
    attempt, engine = await best(
        ["One and two."],
        {"One and two.": 0.9},
        n_candidates=1,
        recipe=load_recipes()["translate"],
        passage=english,
        check_back=reject_back,
    )
    assert attempt.verdict.accepted
    assert len(engine.prompts) == 1


async def test_the_copy_penalty_of_a_recipe_spares_names_numbers_quotations_and_code():
    text = 'The king of France said "go on" to 300 men and ran `make all` in camp.'
    chunk = dataclasses.replace(PASSAGE.source, text=text, end=len(text))
    sampling = RECIPE.sampling.model_copy(update={"copy_penalty": 1.5})
    seen = []

    async def draw(recipe):
        engine = ScriptedEngine(lambda prompt, sampling: seen.append(sampling.copy_penalty) or "x")
        await rewrite_passage(
            dataclasses.replace(PASSAGE, source=chunk),
            recipe,
            recipe.requirements("lecture"),
            engine=engine,
            tokenizer=WordTokenizer(),
            check=accept,
            n_candidates=1,
            n_retries=0,
            seed=0,
        )

    await draw(RECIPE)
    await draw(RECIPE.model_copy(update={"sampling": sampling}))
    none, penalty = seen
    assert none is None
    assert (penalty.amount, penalty.passage) == (1.5, text)
    words = [re.match(r"\w+", text[start:])[0] for start in penalty.word_starts]
    assert words == ["The", "king", "of", "said", "to", "men", "and", "ran", "in", "camp"]

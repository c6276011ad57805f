"""Estimate what a run will take from a sample of its corpus: chunks, tokens, time and cost."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rephrase.corpus.chunking import chunk_document
from rephrase.corpus.language import likely_language
from rephrase.corpus.sampling import CorpusSample
from rephrase.models.tokenizer import Tokenizer
from rephrase.prompting import glossary
from rephrase.prompting.back_translation import max_back_tokens, source_language
from rephrase.prompting.context import Context, tail
from rephrase.prompting.recipes import Recipe, draw_variants
from rephrase.prompting.routing import PASS_THROUGH, route_document
from rephrase.records import Chunk, Document, Prompt
from rephrase.scheduling.cost import Prices, total_usage
from rephrase.scheduling.simulation import BatchSpeed, Chain, simulate

# Tokens of a rewrite per token of its source, in one attempt, where no earlier run was measured. Nemotron-CC
# (arXiv 2412.02595) reports 0.83 for Wikipedia style.
ASSUMED_GROWTH = 0.83
# Tokens that the chat template adds to a message.
CHAT_TOKENS = 5
# About this many chunks are simulated one by one; for the rest, the engines are assumed to be full.
N_SIMULATED_CHUNKS = 150_000
# As on a GPU bound by memory bandwidth, where a step takes as long for one request as for a full batch. This is the
# worst case: the longest tail.
SHAPE = BatchSpeed(fixed_s=1.0, per_request_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStatistics:
    """Averages per chunk of one route in an earlier run, over all attempts."""

    accepted_share: float
    n_prompt_tokens: float
    n_completion_tokens: float
    n_tokens: float  # accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEstimate:
    """The estimate for all documents of one route. Acceptance and accepted tokens are None without an earlier run."""

    route: str
    n_documents: float
    n_chunks: float
    n_source_tokens: float
    n_prompt_tokens: float
    n_completion_tokens: float
    n_completion_tokens_at_most: float
    accepted_share: float | None
    n_tokens: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    routes: list[RouteEstimate]
    n_records: float
    n_unreadable: float
    chains: list[Chain]  # of the sample: the tokens to generate for each chunk
    weights: list[float]  # how many chains of the corpus each one represents


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAndCost:
    seconds: float
    bound_s: float
    cost: float
    tokens_per_s: float


def measure_routes(commits: Iterable[Mapping[str, Any]]) -> dict[str, RouteStatistics]:
    """The statistics of each route, from the commits of an earlier run."""
    usages: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for commit in commits:
        for route, usage in commit.get("usage", {}).items():
            usages[route].append(usage)
    found = {}
    for route, parts in usages.items():
        total = total_usage(parts)
        if n := total["n_chunks"]:
            found[route] = RouteStatistics(
                accepted_share=total["n_chunks_accepted"] / n,
                n_prompt_tokens=total["n_prompt_tokens"] / n,
                n_completion_tokens=total["n_completion_tokens"] / n,
                n_tokens=total["n_tokens"] / n,
            )
    return found


def measure_speed(commits: Iterable[Mapping[str, Any]]) -> float | None:
    """The tokens per second that the engine of an earlier run generated, over all its routes."""
    total = total_usage([usage for commit in commits for usage in commit.get("usage", {}).values()])
    return total["n_completion_tokens"] / total["engine_s"] if total["engine_s"] else None


def estimate(
    sample: CorpusSample,
    recipes: Mapping[str, Recipe],
    recipe_choice: str,
    tokenizer: Tokenizer,
    *,
    n_variants: int = 1,
    n_candidates: int | None = None,
    n_retries: int = 2,
    seed: int = 0,
    measured: Mapping[str, RouteStatistics] | None = None,
    style_shares: Mapping[str, Mapping[str, float]] | None = None,
    translate_back: bool = False,
) -> Estimate:
    """Chunk the documents of the sample, render their prompts, and scale up to the corpus.

    With `translate_back`, every translation is taken to be accepted and translated back, where its recipe asks for it.
    """
    measured, style_shares = measured or {}, style_shares or {}
    sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    chains: list[Chain] = []
    weights: list[float] = []
    n_unreadable = 0.0
    for document, weight in zip(sample.records, sample.weights, strict=True):
        if not isinstance(document, Document):
            n_unreadable += weight
            continue
        document = replace(document, detected_language=likely_language(document.text))
        route = route_document(document, recipe_choice)
        name = "+".join(route) or PASS_THROUGH
        total = sums[name]
        total["n_documents"] += weight
        if not route:
            total["n_source_tokens"] += weight * len(tokenizer.token_starts(document.text))
            continue
        known = measured.get(name)
        for variant in draw_variants(recipes[route[-1]], document.id, n_variants, seed, style_shares.get(route[-1])):
            chain: list[int] = []
            for step, recipe in enumerate(recipes[name] for name in route):
                # A later step rewrites the output of the previous one, which is about as long as the source.
                chunks = chunk_document(document, tokenizer, recipe.chunk_tokens, recipe.unit)
                written = ""
                own = variant
                if recipe.name != variant.recipe:
                    (own,) = draw_variants(recipe, document.id, 1, seed, style_shares.get(recipe.name))
                n_drawn = n_candidates or recipe.candidates
                for chunk in chunks:
                    n_out = 0.0
                    for passage in passages(chunk, recipe, tokenizer):
                        context = Context(written=tail(written, tokenizer, recipe.context_tokens))
                        prompt = recipe.render(document, own, context, passage.text.strip())
                        n_out += n_drawn * ASSUMED_GROWTH * passage.n_tokens
                        total["n_prompt_tokens"] += (
                            0 if known else weight * n_drawn * n_prompt_tokens(prompt, tokenizer)
                        )
                        total["n_completion_tokens_at_most"] += (
                            weight * n_drawn * (1 + n_retries) * recipe.max_output_tokens(passage, own.style)
                        )
                        language = (
                            source_language(document, passage) if translate_back and recipe.translates_back else None
                        )
                        if language:
                            # A translation is about as long as its source, and so is what comes back.
                            prompt = recipe.render_back_translation(passage.text.strip(), language)
                            n_out += n_drawn * passage.n_tokens
                            total["n_prompt_tokens"] += (
                                0 if known else weight * n_drawn * n_prompt_tokens(prompt, tokenizer)
                            )
                            total["n_completion_tokens_at_most"] += (
                                weight * n_drawn * (1 + n_retries) * max_back_tokens(passage)
                            )
                        written = passage.text
                    if chunk is not chunks[-1] and (asked := recipe.render_glossary(chunk.text, chunk.text)):
                        # How many of its tokens a glossary takes is not known: most models list a few terms.
                        total["n_prompt_tokens"] += 0 if known else weight * n_prompt_tokens(asked, tokenizer)
                        total["n_completion_tokens_at_most"] += weight * glossary.MAX_TOKENS
                    n_out = known.n_completion_tokens if known else n_out
                    chain.append(max(1, round(n_out)))
                    total["n_chunks"] += weight
                    total["n_source_tokens"] += weight * chunk.n_tokens if step == 0 else 0
                    total["n_prompt_tokens"] += weight * known.n_prompt_tokens if known else 0
                    total["n_completion_tokens"] += weight * n_out
            chains.append(chain)
            weights.append(weight)
    routes = []
    for name, total in sorted(sums.items(), key=lambda item: -item[1]["n_documents"]):
        known = measured.get(name)
        names = ("n_documents", "n_chunks", "n_source_tokens", "n_prompt_tokens", "n_completion_tokens")
        routes.append(
            RouteEstimate(
                route=name,
                **{key: total.get(key, 0.0) for key in (*names, "n_completion_tokens_at_most")},
                accepted_share=known.accepted_share if known else None,
                n_tokens=known.n_tokens * total["n_chunks"] if known else None,
            )
        )
    return Estimate(
        routes=routes,
        n_records=sample.n_records,
        n_unreadable=n_unreadable,
        chains=chains,
        weights=weights,
    )


def passages(chunk: Chunk, recipe: Recipe, tokenizer: Tokenizer) -> list[Chunk]:
    """What is asked for one by one: the chunk, or the pieces of it that are rewritten."""
    return [piece.passage for piece in recipe.pieces(chunk, tokenizer) if piece.prose] or [chunk]


def n_prompt_tokens(prompt: Prompt, tokenizer: Tokenizer) -> int:
    """With what the chat template adds."""
    return sum(CHAT_TOKENS + len(tokenizer.token_starts(message["content"])) for message in prompt.messages())


def time_and_cost(
    found: Estimate,
    *,
    n_engines: int,
    tokens_per_s: float,
    requests_per_engine: int,
    prices: Prices,
    seed: int = 0,
) -> TimeAndCost:
    """Time and cost by simulating the scheduler.

    Of a large corpus, some documents are simulated one by one, including the ramp-up and ramp-down of the engines; for
    the rest, the engines are assumed to be full.

    Args:
        tokens_per_s: generated by one engine with `requests_per_engine` concurrent requests.
        prices: `per_hour` is the price of one engine.
    """
    n_tokens = sum(route.n_completion_tokens for route in found.routes)
    if not found.chains or not n_tokens:
        return TimeAndCost(seconds=0.0, bound_s=0.0, cost=0.0, tokens_per_s=0.0)
    n_chains = sum(found.weights)
    mean_length = sum(map(len, found.chains)) / len(found.chains)
    n_simulated = max(1, min(round(n_chains), round(N_SIMULATED_CHUNKS / mean_length)))
    drawn: Sequence[Chain] = found.chains
    if n_simulated != len(drawn):
        drawn = random.Random(seed).choices(found.chains, weights=found.weights, k=n_simulated)
    speed = SHAPE.scaled_to(tokens_per_s, requests_per_engine)
    parts = [drawn[i : i + 32] for i in range(0, len(drawn), 32)]
    simulated = simulate(parts, speed, requests_per_engine, n_engines=n_engines)
    peak = tokens_per_s * n_engines
    rest_s = max(0.0, n_tokens - simulated.n_tokens) / peak
    seconds = simulated.makespan_s + rest_s
    return TimeAndCost(
        seconds=seconds,
        bound_s=max(n_tokens / peak, simulated.bound_s),
        cost=prices.cost(
            engine_s=seconds * n_engines,
            n_prompt_tokens=sum(route.n_prompt_tokens for route in found.routes),
            n_completion_tokens=n_tokens,
        ),
        tokens_per_s=n_tokens / seconds,
    )

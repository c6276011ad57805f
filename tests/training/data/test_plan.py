import numpy as np
import pytest

from training.data.mixture import Mixture, MixtureRule
from training.data.plan import plan_tokens
from training.data.sampler import DocumentSampler
from training.data.token_store import TokenStore

CAPPED = Mixture(
    (
        MixtureRule(recipe="original", weight=0.6, max_epochs=2),
        MixtureRule(style="notes", weight=0.3),
        MixtureRule(weight=0.1, max_epochs=20),
    )
)


@pytest.mark.parametrize("n_tokens", [500, 3_000, 6_000, 20_000])
def test_the_plan_is_what_the_sampler_draws(store: TokenStore, n_tokens: int) -> None:
    plan = plan_tokens(store, CAPPED, 0.1, n_tokens)
    sampler = DocumentSampler(store, CAPPED, seed=1, held_out_share=0.1, n_tokens=n_tokens)
    drawn = np.zeros(len(store.streams))
    while drawn.sum() < n_tokens and (piece := sampler.draw()) is not None:
        drawn[store.stream_D[piece.document]] += piece.end
    shares = [stream.share for stream in plan.streams]
    assert shares == pytest.approx(drawn / drawn.sum(), abs=60 / n_tokens + 0.005)
    assert plan.n_tokens == n_tokens


def test_what_cannot_be_met_is_said(store: TokenStore) -> None:
    said = plan_tokens(store, CAPPED, 0.1, 6_000).warnings(100)
    assert any("original · original gets" in line and "not 60.0%" in line for line in said)
    assert any("end after 2 epochs" in line for line in said)
    once = Mixture((MixtureRule(style="notes", weight=0), MixtureRule(weight=1, max_epochs=1)))
    plan = plan_tokens(store, once, 0.1, 1_000_000)
    said = plan.warnings(1000)
    last = int(1000 * plan.n_tokens / 1_000_000)
    assert said[0].startswith(f"the data ends at step {last} of 1,000")
    assert any("notes has" in line and "weight 0" in line for line in said)
    many = plan_tokens(store, Mixture(), 0.1, 1_000_000)
    assert sum("is read" in line for line in many.warnings(100)) == 3
    assert plan_tokens(store, Mixture(), 0.1, 1_000).warnings(100) == []


def test_the_plan_as_json_and_as_a_line(store: TokenStore) -> None:
    plan = plan_tokens(store, Mixture(), 0.2, 10_000)
    n_unique = sum(stream.n_tokens for stream in plan.streams)
    assert f"10,000 tokens from 3 streams of {n_unique:,} tokens, {10_000 / n_unique:.2f} epochs" in plan.line()
    row = plan.to_json(10)["streams"][0]
    assert row["stream"] == str(store.streams[0])
    assert row["n_epochs"] == pytest.approx(10_000 / n_unique)

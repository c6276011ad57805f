"""Token utility: the ledger, alignment, learning speed, repetition, value, recommendation and report."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from markdown_it import MarkdownIt

from training.data.batch import Batch
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig
from training.data.mixture import Mixture
from training.data.texts import Stream
from training.data.token_store import TokenStore
from training.model.config import ModelConfig
from training.model.decoder import Decoder
from training.optimizer.schedule import constant, wsd
from training.utility import ledger as ledger_module
from training.utility.alignment import probed_layers, scoring, target_gradients
from training.utility.learning_speed import fit_power_law, learning_speed
from training.utility.ledger import N_REPETITIONS, UtilityLedger
from training.utility.recommend import recommend_mixture
from training.utility.repetition import PUBLISHED_R_STAR, RepetitionDiscount, fit_discount, max_useful_epochs
from training.utility.report import SCHEMA, loss_curves, mean_rates, repeat_or_rephrase, write_report
from training.utility.value import token_values

STREAMS = [Stream("a", "original", "original"), Stream("a", "knowledge", "good"), Stream("a", "knowledge", "bad")]


def batch_of(store: TokenStore) -> Batch:
    loader = Loader(store, Mixture(), LoaderConfig(row_length=40, rows_per_step=4, held_out_share=0.3))
    return next(iter(loader)).batch


@pytest.mark.parametrize("n_dense_layers", [1, 2])
def test_token_scores_sum_to_the_product_of_gradients(
    tiny: ModelConfig, store: TokenStore, n_dense_layers: int
) -> None:
    """DoGE's score of each stream, with one backward pass for each stream."""
    model = Decoder(tiny.replace(n_dense_layers=n_dense_layers)).initialise(2)
    batch, target = batch_of(store), held_out_rows(store, 0.3, 40, 2)[0]
    layers = probed_layers(model)
    gradients = target_gradients(model, layers, target)
    weights = torch.full(batch.tokens_BS.shape, 3.0)
    with scoring(layers, gradients) as collected:
        model.loss(batch.tokens_BS, batch.targets_BS, weights, batch.boundaries).total.backward()
    for stream in range(3):
        mask = (batch.stream_BS == stream).float()
        loss = model.loss(batch.tokens_BS, batch.targets_BS, mask, batch.boundaries).total
        own = torch.autograd.grad(loss, [layer.weight for layer in layers])
        expected = sum(float((a * b).sum()) for a, b in zip(own, gradients, strict=True))
        assert float((collected.scores_BS / 3.0 * mask).sum()) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_measuring_does_not_change_training(tiny: ModelConfig, store: TokenStore) -> None:
    model = Decoder(tiny).initialise(2).train()
    target_gradients(model, probed_layers(model), held_out_rows(store, 0.3, 40, 2)[0])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(kept.max_H.max() == -torch.inf for kept in model.logit_maxima())
    assert all(gate.load_E.sum() == 0 for gate in model.gates())
    assert model.training


def test_ledger_keeps_its_sums_when_bins_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "N_BINS", 4)
    ledger, total = UtilityLedger(2), torch.zeros(4, 2, N_REPETITIONS, dtype=torch.float64)
    for _ in range(19):
        sums = torch.rand(4, 2 * N_REPETITIONS, dtype=torch.float64)
        ledger.add_step(sums)
        total += sums.view_as(total)
    assert ledger.bin_steps == 8
    assert ledger.tokens_KRT.shape == (2, N_REPETITIONS, 4)
    torch.testing.assert_close(torch.stack([tensor.sum(2) for tensor in ledger.tensors().values()]), total)
    middles = ledger.bin_middles()
    assert len(middles) == 3
    assert (middles.diff() > 0).all()
    assert middles[-1] < total[0].sum()


def test_power_law_is_recovered_with_its_speed() -> None:
    n = np.linspace(1e5, 4e6, 40)
    noise = np.random.default_rng(0).normal(0, 0.002, 40)
    loss = 2.0 + 60.0 * n**-0.3
    law = fit_power_law(n, loss, np.ones(40))
    assert law is not None
    assert law.epsilon == pytest.approx(2.0, abs=0.06)
    assert law.alpha == pytest.approx(0.3, abs=0.03)
    measured = learning_speed(n, loss + noise, np.ones(40))
    assert measured is not None
    true_speed = 0.3 * 60.0 * 4e6**-1.3
    assert abs(measured[0] - true_speed) < 3 * measured[1]
    assert measured[1] < true_speed / 4


def test_speed_of_a_rising_loss_is_zero_and_of_few_points_unknown() -> None:
    n = np.linspace(1e5, 4e6, 40)
    rising = learning_speed(n, 2 + n / 4e6, np.ones(40))
    assert rising is not None
    assert rising[0] == 0
    assert learning_speed(n[:5], n[:5], np.ones(5)) is None


@pytest.mark.parametrize("r_star", [2.0, 5.0, 15.4])
def test_repetition_discount_is_recovered(r_star: float) -> None:
    repetition = np.arange(1.0, 8.0)
    error = np.full(7, 0.02)
    worth = np.exp(-repetition / r_star) + np.random.default_rng(1).normal(0, 0.02, 7)
    discount = fit_discount(repetition, worth, error)
    assert discount.measured
    assert discount.low / 1.1 <= r_star <= discount.high * 1.1
    # D' at many epochs tends to U·(1 + R*).
    assert discount.effective_tokens(100.0, 1e6) == pytest.approx(100.0 * (1 + discount.r_star))
    assert discount.effective_tokens(100.0, 1.0) == 100.0


def test_without_a_measurement_the_published_discount_is_used() -> None:
    nothing = np.full(7, np.nan)
    discount = fit_discount(np.arange(1.0, 8.0), nothing, nothing)
    assert (discount.r_star, discount.measured) == (PUBLISHED_R_STAR, False)
    assert max_useful_epochs(discount) == 11


def planted_ledger(worth_of_repetition: float = 0.5) -> UtilityLedger:
    """Good text scores twice as much as originals, bad text nothing; gradients shrink tenfold over the run."""
    ledger, rng = UtilityLedger(3), np.random.default_rng(0)
    for step in range(60):
        sums = torch.zeros(4, 3, N_REPETITIONS, dtype=torch.float64)
        size = 10 ** (-step / 60)
        for stream, score in enumerate((1.0, 2.0, 0.0)):
            repetition = 1 if stream == 0 and step >= 30 else 0
            n = 1000.0
            scores = n * size * (score * worth_of_repetition**repetition + rng.normal(0, 0.1))
            sums[:, stream, repetition] = torch.tensor([n, n * (3 + 1e3 / (step + 10)), n, scores])
            if stream == 0 and step >= 30:  # some originals are still new
                sums[:, 0, 0] = torch.tensor([n, n * 3, n, n * size * (score + rng.normal(0, 0.1))])
        ledger.add_step(sums.flatten(1))
    return ledger


def test_values_rank_what_was_planted_whatever_the_time() -> None:
    measured = token_values(planted_ledger())
    good, original, bad = (measured.value_KR[k, 0] for k in (1, 0, 2))
    assert good / original == pytest.approx(2.0, abs=0.15)
    assert abs(bad) < 4 * measured.current_error_K[2]
    assert (measured.current_error_K < 0.1).all()
    assert measured.value_KR[0, 1] / original == pytest.approx(0.5, abs=0.1)
    assert measured.discount.measured
    assert measured.discount.worth(1) == pytest.approx(0.5, abs=0.1)


def test_recommendation_is_a_mixture_that_follows_value_within_limits() -> None:
    discount = RepetitionDiscount(2.0, 1.5, 3.0, measured=True)
    mixture = recommend_mixture(STREAMS, np.array([0.5, 0.25, 0.25]), np.array([1.0, 2.0, -3.0]), discount)
    shares = Mixture.from_json(mixture.to_json()).shares(STREAMS, np.array([100, 100, 100]))
    weights = [share.weight for share in shares]
    assert weights == pytest.approx(np.array([0.5, 0.5, 0.25 / 4]) / (0.5 + 0.5 + 0.25 / 4), abs=1e-3)
    assert [share.max_epochs for share in shares] == [2, 2, 2]
    unknown = recommend_mixture(STREAMS, np.array([0.5, 0.25, 0.25]), np.full(3, np.nan), discount)
    assert [rule.weight for rule in unknown.rules[:3]] == pytest.approx([0.5, 0.25, 0.25])


def test_a_recommended_mixture_reads_names_as_they_are_and_new_streams_too() -> None:
    odd = [Stream("data[1].jsonl", "knowledge", "plain"), Stream("data*?.jsonl", "knowledge", "plain")]
    discount = RepetitionDiscount(2.0, 1.5, 3.0, measured=True)
    mixture = recommend_mixture(odd, np.array([0.6, 0.4]), np.array([1.0, 1.0]), discount)
    again = Mixture.from_json(json.loads(json.dumps(mixture.to_json())))
    new = [*odd, Stream("data1.jsonl", "knowledge", "plain"), Stream("new.jsonl", "math", "notes")]
    shares = again.shares(new, np.array([300, 300, 200, 200]))
    assert [share.weight for share in shares] == pytest.approx([0.6 * 0.6, 0.6 * 0.4, 0.2, 0.2])


def test_report_recommends_repeating_or_rephrasing(tmp_path: Path) -> None:
    ledger = planted_ledger()
    write_report(tmp_path, ledger, STREAMS, constant(60, 0))
    table = pq.read_table(tmp_path / "utility.parquet")
    assert table.schema.equals(SCHEMA)
    rows = {(row["style"], row["repetition"]): row for row in table.to_pylist()}
    assert set(rows) == {("original", 0), ("original", 1), ("good", 0), ("bad", 0)}
    assert rows["good", 0]["n_tokens"] == 60_000
    assert rows["good", 0]["learning_speed"] > 0
    text = (tmp_path / "utility.md").read_text()
    assert text.index("| good |") < text.index("| original | original | 0 ") < text.index("| bad |")
    assert "For the next million tokens of a, knowledge: another rephrasing" in text
    assert "confidence 9" in text or "confidence 100%" in text
    assert "2.7 times as much" in text
    assert rows["good", 0]["taught"] > rows["original", 0]["taught"] > abs(rows["bad", 0]["taught"])
    assert sum(abs(row["taught"]) for row in rows.values()) == pytest.approx(1)


def test_names_with_signs_of_markdown_stay_in_their_cells(tmp_path: Path) -> None:
    odd = [stream._replace(source="a|b\\|c\n<i>&#124;") for stream in STREAMS]
    write_report(tmp_path, planted_ledger(), odd, constant(60, 0))
    text = (tmp_path / "utility.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 6
    assert {row.count("|") for row in rows} == {10}
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    assert rendered.count("<td>a|b\\|c &lt;i&gt;&amp;#124;</td>") == 4
    assert "<i>" not in rendered


def test_a_falling_learning_rate_is_not_taken_for_learning(tmp_path: Path) -> None:
    """The decay over the last fifth lowers the loss by 0.3 on top of the law by which it falls."""
    ledger, schedule = UtilityLedger(1), wsd(60, 5)
    for step in range(60):
        sums = torch.zeros(4, 1, N_REPETITIONS, dtype=torch.float64)
        loss = 3.0 + 0.5 * (step + 0.5) ** -0.5 + 0.3 * (schedule.factor(step) - 1) * (step > 20)
        sums[:2, 0, 0] = torch.tensor([1e3, 1e3 * loss])
        ledger.add_step(sums.flatten(1))
    write_report(tmp_path, ledger, STREAMS[:1], schedule)
    (row,) = pq.read_table(tmp_path / "utility.parquet").to_pylist()
    write_report(tmp_path, ledger, STREAMS[:1], constant(60, 5))
    (as_if_constant,) = pq.read_table(tmp_path / "utility.parquet").to_pylist()
    true_speed = 0.25 * 48.5**-0.5 / 0.0485  # nats per million tokens at step 48, where the decay begins
    assert row["learning_speed"] == pytest.approx(true_speed, rel=0.1)
    assert as_if_constant["learning_speed"] > 2 * true_speed


def test_the_question_is_answered_where_first_readings_have_ended(tmp_path: Path) -> None:
    """A stream read for the fourth time in the later half, whose first readings met later ones in the first."""
    ledger, rng = UtilityLedger(3), np.random.default_rng(0)
    for step in range(60):
        sums = torch.zeros(4, 3, N_REPETITIONS, dtype=torch.float64)
        readings = {0: 900.0, 1: 50.0, 2: 50.0} if step < 20 else {step // 20 + 1: 1000.0}
        for r, n in readings.items():
            score = n * (math.exp(-r / 3) + rng.normal(0, 0.02))
            sums[:, 1, r] = torch.tensor([n, n * 3, n, score])
        sums[:, 0, 0] = torch.tensor([500.0, 1500.0, 500.0, 500.0])
        ledger.add_step(sums.flatten(1))
    measured = token_values(ledger)
    assert measured.discount.measured
    assert measured.discount.r_star == pytest.approx(3, rel=0.2)
    write_report(tmp_path, ledger, STREAMS, constant(60, 0))
    assert "For the next million tokens of a, knowledge: another rephrasing" in (tmp_path / "utility.md").read_text()


def test_the_rates_of_a_run_that_began_at_a_checkpoint_are_those_of_its_steps() -> None:
    ledger, schedule = UtilityLedger(1), wsd(60, 5)
    for _ in range(12):
        ledger.add_step(torch.ones(4, N_REPETITIONS, dtype=torch.float64))
    rates = mean_rates(ledger, schedule, first_step=48)
    assert rates[:12].tolist() == pytest.approx([schedule.factor(step) for step in range(48, 60)])
    assert rates[0] > rates[11]
    assert mean_rates(ledger, schedule)[0] == pytest.approx(1 / 5)  # the warm-up


def test_the_chart_has_all_sources_of_a_recipe_and_style() -> None:
    ledger = UtilityLedger(2)
    for _ in range(2):
        sums = torch.zeros(4, 2, N_REPETITIONS, dtype=torch.float64)
        sums[:2, :, 0] = torch.tensor([[100.0, 300.0], [100.0 * 8, 300.0 * 4]])
        ledger.add_step(sums.flatten(1))
    chart = loss_curves(ledger, [Stream("a", "knowledge", "good"), Stream("b", "knowledge", "good")])
    alone = UtilityLedger(1)
    for _ in range(2):
        alone.add_step(torch.tensor([[400.0], [400.0 * 5], [0.0], [0.0]]) * torch.eye(N_REPETITIONS)[0])
    assert chart == loss_curves(alone, [Stream("c", "knowledge", "good")])
    assert "knowledge/good" in chart


def test_what_was_measured_once_is_no_reason_to_repeat_or_rephrase() -> None:
    ledger = UtilityLedger(3)
    sums = torch.zeros(4, 3, N_REPETITIONS, dtype=torch.float64)
    sums[:, :, 0] = torch.tensor([10.0, 30.0, 10.0, 20.0])[:, None]
    ledger.add_step(sums.flatten(1))
    measured = token_values(ledger)
    assert np.isfinite(measured.value_KR[:, 0]).all()
    assert np.isnan(measured.error_KR).all()
    assert repeat_or_rephrase(ledger, STREAMS, measured) == []

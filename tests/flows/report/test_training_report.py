"""The report of a training run, from files written by the trainer's own code."""

import json
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import open_browser, open_page

from flows.report.training_report import training_report
from training.loop.run_options import RunOptions
from training.loop.telemetry import Telemetry
from training.utility.report import SCHEMA

N_STEPS = 30


@pytest.fixture
def run(tmp_path):
    """Logits that exceed the threshold, a stream with a hostile name, and streams of different value."""
    folder = tmp_path / "run"
    telemetry = Telemetry(folder, 0, N_STEPS)
    options = replace(RunOptions(preset="nano", tokenizer="t", n_steps=N_STEPS), clip_threshold=10.0)
    (folder / "run.json").write_text(json.dumps(options.to_json()))
    for step in range(1, N_STEPS + 1):
        figures = {"loss": 10 - step / 5, "lr": 1e-3, "grad_norm": 1.0, "n_tokens": 1000, "tokens_per_s": 500.0}
        logits = {"max_logit": step / 2, "share_clipped": float(step > 20), "max_logits": [[step / 2, 1.0], [2.0, 3.0]]}
        telemetry.write(step, "train", {**figures, **logits, "expert_load": 1.5})
        if step % 10 == 0:
            telemetry.write(
                step, "held_out", {"<script>a</script> · rephrase · lecture": 9.0, "b · rephrase · faq": 7.0}
            )
            loss, exact = 3 - step / 10 + (step == 30) * 0.5, step / 100
            telemetry.write(step, "questions", {"the town loss": loss, "the town exact": exact, "all loss": loss})
    telemetry.close()
    shared = {"recipe": "rephrase", "loss": 5.0, "last_loss": 4.0, "n_tokens": 100, "learning_speed": None}
    rows = [
        {**shared, "source": "a", "style": "lecture", "repetition": 0, "value": 1.5, "value_error": 0.1},
        {**shared, "source": "a", "style": "faq", "repetition": 0, "value": 0.5, "value_error": None} | {"taught": 0.6},
        {**shared, "source": "a", "style": "faq", "repetition": 1, "value": None, "value_error": None, "loss": 3.0},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "utility.parquet")
    stream = {"stream": "a · rephrase · lecture", "n_tokens": 500, "asked_share": 0.39, "share": 0.17, "n_epochs": 2.0}
    plan = {"streams": [{**stream, "max_epochs": 2}], "warnings": ["the data ends at step 20 of 30"]}
    (folder / "token_plan.json").write_text(json.dumps({**plan, "n_held_out": 8, "n_documents": 80}))
    return folder


def test_it_summarises_the_run_and_names_the_most_valuable_stream(run):
    page = training_report(run, "palimpsest report run")
    assert "30 steps on 30,000 tokens lowered the loss from 9.80 to 4.20 nats per token" in page
    assert "The largest attention logit was 15.0; heads were clipped in 10 steps." in page
    assert "The next token is worth most from rephrase · lecture · a." in page
    assert "Over the whole run, rephrase · faq · a taught most: 60% of all." in page
    assert "the data ends at step 20" in page
    assert re.search(r"rephrase · lecture</td>.*39.0%.*17.0%.*2.00", page)
    assert "clipped above 10" in page
    assert "in progress" not in page
    assert "<script>a" not in page
    assert page.index("lecture · a: 1.50 ± 0.10") < page.index("faq · a: 0.50")


def test_questions_are_shown_at_the_first_the_last_and_the_best_evaluation(run):
    page = re.sub(r"</t[dr]>\s*(<tr>)?<td[^>]*>", " ", training_report(run, ""))
    assert "the town loss 2.00 0.50 0.50 at step 30" in page
    assert "the town exact 10% 30% 30% at step 30" in page
    assert "all loss 2.00 0.50 0.50 at step 30" in page
    (run / "metrics.jsonl").write_text(
        "".join(line + "\n" for line in (run / "metrics.jsonl").read_text().splitlines() if "questions" not in line)
    )
    assert "Closed-book questions" not in training_report(run, "")


def test_a_run_in_progress_has_a_report_without_utility(run):
    (run / "utility.parquet").unlink()
    options = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**options, "n_steps": 100}))
    page = training_report(run, "palimpsest report run")
    assert "in progress, step 30 of 100" in page
    assert "The run has not finished yet." in page


def test_a_run_without_a_step_is_an_error(run):
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match="holds no figures yet"):
        training_report(run, "")


def test_its_charts_fit_a_narrow_page_in_a_browser(run, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(training_report(run, ""), "utf-8")
    with open_browser() as browser:
        page = open_page(browser, viewport={"width": 400, "height": 800})
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        assert page.locator("svg.chart").count() >= 9
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        for box in page.locator("svg.chart path").evaluate_all("ps => ps.map(p => p.getAttribute('d'))"):
            assert not re.search("nan|inf", box)
        assert problems == []

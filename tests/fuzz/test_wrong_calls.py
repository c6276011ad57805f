"""A wrong call ends with a sentence, before anything is generated: no traceback, no hang, no silence.

Here a few calls of each command that once went wrong, or are drawn; `make test-fuzz` makes all of them.
"""

from wrong_calls import FINE, run_calls, sample, wrong_calls

# A busy machine may need half a minute for what takes a second.
LIMIT_S = 300.0
KNOWN = [
    ("verify", "pairs.jsonl", "--source-field", "source", "--out", "scored.parquet", "--calibration", "/dev/zero"),
    ("rephrase", "corpus.jsonl", "new", "--recipes", "fifo"),
    ("rephrase", "", "new"),
    ("rephrase", "s3://", "new"),
    ("rephrase", "corpus.jsonl", "new", "--seed", str(2**63)),
    ("rephrase", "corpus.jsonl", "new", "--calibration", "deep.json"),
    ("rephrase", "corpus.jsonl", "corpus.jsonl"),
    ("rephrase", "corpus.jsonl", "run/inside"),
    ("plan", "corpus.jsonl", "--tokens-per-s", "inf"),
    ("serve", "--every", "inf", "--source", "a", "--output", "b"),
    ("serve", "--config", "deep.json"),
    ("recipes", "show", "none", "--on", "corpus.jsonl"),
    ("train", "run", "trained", "--n-steps", "1", "--lr", "nan"),
    ("train", "run", "trained", "--n-steps", "1", "--row-length", "0"),
]


def test_wrong_calls_end_with_a_sentence():
    calls = list(run_calls(KNOWN, LIMIT_S))
    assert [str(call) for call in calls if call.outcome != "sentence"] == []


def test_drawn_calls_of_every_command_end_well():
    drawn = [call for call in sample(40, seed=1) if call[0] not in ("doctor", "train")][:20]
    calls = list(run_calls(drawn, LIMIT_S))
    assert [str(call) for call in calls if call.outcome not in FINE] == []


def test_every_command_and_option_is_tried():
    tried = {word for call in wrong_calls() for word in call}
    assert {"rephrase", "calibrate", "--seed", "--max-false-rejects", "--lr", "--label-field", "--every"} <= tried
    assert len(wrong_calls()) > 2000

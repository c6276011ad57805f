import glob
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from training.data.mixture import Mixture, MixtureRule
from training.data.texts import Stream

STREAMS = [Stream("a", "original", "original"), Stream("a", "knowledge", "plain"), Stream("b", "knowledge", "plain")]
N_TOKENS = np.array([600, 300, 100])


def test_without_rules_every_token_counts_the_same() -> None:
    assert [share.weight for share in Mixture().shares(STREAMS, N_TOKENS)] == pytest.approx([0.6, 0.3, 0.1])


def test_a_rules_weight_is_shared_by_tokens_and_the_first_match_wins() -> None:
    mixture = Mixture(
        (MixtureRule(recipe="original", weight=1, max_epochs=4), MixtureRule(weight=3), MixtureRule(weight=99))
    )
    shares = mixture.shares(STREAMS, N_TOKENS)
    assert [share.weight for share in shares] == pytest.approx([0.25, 0.75 * 0.75, 0.75 * 0.25])
    assert [share.max_epochs for share in shares] == [4, None, None]


def test_weight_of_a_rule_without_tokens_goes_to_the_others() -> None:
    mixture = Mixture((MixtureRule(source="c", weight=8), MixtureRule(source="b", weight=1), MixtureRule(weight=1)))
    assert [share.weight for share in mixture.shares(STREAMS, N_TOKENS)] == pytest.approx([1 / 3, 1 / 6, 0.5])


def test_weight_null_is_the_share_of_the_tokens() -> None:
    mixture = Mixture(
        (MixtureRule(recipe="original", weight=2), MixtureRule(source="b", weight=None), MixtureRule(weight=6))
    )
    shares = mixture.shares(STREAMS, N_TOKENS)
    assert [share.weight for share in shares] == pytest.approx([0.9 * 0.25, 0.9 * 0.75, 0.1])
    alone = Mixture((MixtureRule(weight=None),)).shares(STREAMS, N_TOKENS)
    assert [share.weight for share in alone] == pytest.approx([0.6, 0.3, 0.1])


def test_file_round_trip() -> None:
    mixture = Mixture((MixtureRule(recipe="math", weight=0.5, max_epochs=2), MixtureRule(weight=None)))
    assert Mixture.from_json(mixture.to_json()) == mixture


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"version": 2, "rules": []}, "not a mixture"),
        ({"version": 1, "rules": [{"recipe": "math"}]}, "needs a weight"),
        ({"version": 1, "rules": [{"weight": 1, "stile": "x"}]}, "stile"),
        ({"version": 1, "rules": [{"weight": -1}]}, "is -1"),
        ({"version": 1, "rules": [{"weight": "0.5"}]}, "is '0.5'; it must be a number"),
        ({"version": 1, "rules": [{"weight": 1, "max_epochs": 0}]}, "max_epochs"),
        ({"version": 1, "rules": [{"weight": 1, "max_epochs": 1.5}]}, "1.5; it must be a whole number"),
        ({"version": 1, "rules": [{"weight": 1, "source": 5}]}, "source of a mixture rule is 5"),
        ({"version": 1, "rules": [3]}, "mixture rule 3 needs a weight"),
    ],
)
def test_bad_files_are_rejected(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture.from_json(value)


def test_an_unmatched_stream_is_an_error() -> None:
    with pytest.raises(ValueError, match="a · original · original"):
        Mixture((MixtureRule(recipe="knowledge", weight=1),)).shares(STREAMS, N_TOKENS)
    with pytest.raises(ValueError, match="no weight to any stream"):
        Mixture((MixtureRule(weight=0),)).shares(STREAMS, N_TOKENS)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mixture.json"
    for text in ('{"version": 1, "ru', '{"version": 1, "rules": [{"weight": -2}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"the mixture .*mixture.json cannot be read: "):
            Mixture.read(path)


def test_rules_that_name_a_stream_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recommended mixture has a rule for each stream, and there may be thousands; the first rule still decides."""
    streams = [Stream(f"file[{i}]*.jsonl", "knowledge", "plain") for i in range(300)]
    named = [MixtureRule(source=glob.escape(s.source), recipe=s.recipe, style=s.style, weight=1) for s in streams]
    compared: list[str] = []

    def counted(name: str, pattern: str) -> bool:
        compared.append(name)
        return fnmatchcase(name, pattern)

    monkeypatch.setattr("training.data.mixture.fnmatchcase", counted)
    first = MixtureRule(source="file[[]7]*", weight=0)
    shares = Mixture((first, *named, MixtureRule(weight=99))).shares(streams, np.full(300, 10))
    assert [share.weight for share in shares] == pytest.approx([1 / 299] * 7 + [0] + [1 / 299] * 292)
    assert len(compared) <= 3 * len(streams)

import numpy as np
import pytest

from training.data.mixture import Mixture, MixtureRule
from training.data.sampler import DocumentSampler, Piece
from training.data.token_store import TokenStore

HALF_ORIGINALS = Mixture((MixtureRule(recipe="original", weight=0.5, max_epochs=3), MixtureRule(weight=0.5)))


def draws(sampler: DocumentSampler, n: int) -> list[Piece]:
    return [piece for piece in (sampler.draw() for _ in range(n)) if piece is not None]


def test_shares_hold_at_all_times(store: TokenStore) -> None:
    sampler = DocumentSampler(store, HALF_ORIGINALS, seed=1, held_out_share=0.0)
    n_tokens = np.zeros(3)
    for count, piece in enumerate(draws(sampler, 60), 1):
        n_tokens[store.stream_D[piece.document]] += piece.end
        if count > 20:
            assert n_tokens[
                store.streams.index(("corpus.jsonl", "original", "original"))
            ] / n_tokens.sum() == pytest.approx(0.5, abs=0.06)


def test_each_epoch_is_another_permutation_of_the_stream(store: TokenStore) -> None:
    only_notes = Mixture((MixtureRule(style="notes", weight=1), MixtureRule(weight=0)))
    pieces = draws(DocumentSampler(store, only_notes, seed=1, held_out_share=0.0), 80)
    first, second = [p.document for p in pieces[:40]], [p.document for p in pieces[40:]]
    assert sorted(first) == sorted(second) == sorted(set(first))
    assert first != second
    assert [p.repetition for p in pieces] == [0] * 40 + [1] * 40
    other_seed = draws(DocumentSampler(store, only_notes, seed=2, held_out_share=0.0), 40)
    assert [p.document for p in other_seed] != first


def test_first_and_later_readings_share_the_first_epoch(store: TokenStore) -> None:
    only_notes = Mixture((MixtureRule(style="notes", weight=1, max_epochs=4), MixtureRule(weight=0)))
    n_tokens = int((store.length_D[store.stream_D == [s.style for s in store.streams].index("notes")] - 1).sum())
    pieces = draws(DocumentSampler(store, only_notes, seed=1, held_out_share=0.0, n_tokens=4 * n_tokens), 10_000)
    readings: dict[int, list[int]] = {}
    for piece in pieces:
        readings.setdefault(piece.document, []).append(piece.repetition)
    assert len(readings) == 40
    assert all(repetitions == [0, 1, 2, 3] for repetitions in readings.values())
    first_epoch = [piece.repetition for piece in pieces[:46]]
    assert np.bincount(first_epoch).tolist() == [40, 2, 2, 2]  # two of forty are read early
    last_first = max(i for i, piece in enumerate(pieces) if piece.repetition == 0)
    assert sum(piece.repetition > 0 for piece in pieces[:last_first]) >= 5
    once = draws(DocumentSampler(store, only_notes, seed=1, held_out_share=0.0, n_tokens=n_tokens), 40)
    assert {piece.repetition for piece in once} == {0}


def test_a_state_of_version_0_1_reads_nothing_early(store: TokenStore) -> None:
    before, now = (DocumentSampler(store, HALF_ORIGINALS, 1, 0.1, n) for n in (None, 100_000))
    draws(before, 100)
    now.load_state_dict({"cursors": [cursor[:3] for cursor in before.state_dict()["cursors"]]})
    assert draws(now, 100) == draws(before, 100)


def test_caps_end_a_stream_and_then_the_run(store: TokenStore) -> None:
    mixture = Mixture((MixtureRule(recipe="original", weight=0.9, max_epochs=3), MixtureRule(weight=0.1, max_epochs=1)))
    pieces = draws(DocumentSampler(store, mixture, seed=1, held_out_share=0.0), 10_000)
    seen = np.bincount([p.document for p in pieces], minlength=len(store.length_D))
    is_original = np.array([store.streams[s].recipe == "original" for s in store.stream_D])
    assert set(seen[is_original]) == {3}
    assert set(seen[~is_original]) == {1}


def test_held_out_documents_are_never_drawn(store: TokenStore) -> None:
    pieces = draws(DocumentSampler(store, Mixture(), seed=1, held_out_share=0.3), 300)
    assert min(store.split_D[p.document] for p in pieces) >= 0.3


@pytest.mark.parametrize("n_before", [0, 1, 39, 40, 41, 200])
def test_a_restored_sampler_draws_the_same(store: TokenStore, n_before: int) -> None:
    sampler, restored = (DocumentSampler(store, HALF_ORIGINALS, 1, 0.1, n_tokens=n) for n in (20_000, None))
    draws(sampler, n_before)
    restored.load_state_dict(sampler.state_dict())
    assert draws(restored, 100) == draws(sampler, 100)


def test_all_held_out_is_an_error(store: TokenStore) -> None:
    store.split_D[:] = 0.0
    with pytest.raises(ValueError, match="nothing to train on"):
        DocumentSampler(store, Mixture(), seed=1, held_out_share=0.5)

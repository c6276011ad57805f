import json
import threading
from itertools import islice

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data.batch import Batch
from training.data.held_out import held_out_rows
from training.data.loader import Loader, LoaderConfig, StepData
from training.data.mixture import Mixture, MixtureRule
from training.data.token_store import TokenStore

CONFIG = LoaderConfig(row_length=24, rows_per_step=4, seed=3, held_out_share=0.1)
ONCE = Mixture((MixtureRule(weight=1, max_epochs=1),))


def steps(loader: Loader, n: int) -> list[StepData]:
    iterator = iter(loader)
    taken = list(islice(iterator, n))
    iterator.close()  # type: ignore[attr-defined]
    return taken


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in Batch.__slots__)


def test_every_token_carries_its_document_and_predicts_the_next(store: TokenStore) -> None:
    for step in steps(Loader(store, Mixture(), CONFIG), 5):
        batch = step.batch
        for b in range(4):
            for start in set(batch.starts_BS[b].tolist()):
                piece = (batch.starts_BS[b] == start).nonzero()[:, 0]
                assert piece.tolist() == list(range(start, start + len(piece)))
                (document,) = set(batch.document_BS[b, piece].tolist())
                (stream,) = set(batch.stream_BS[b, piece].tolist())
                assert store.stream_D[document] == stream
                ids = batch.tokens_BS[b, piece].tolist() + batch.targets_BS[b, piece[-1:]].tolist()
                text = store.tokens(document, 0, int(store.length_D[document])).tolist()
                assert any(text[i : i + len(ids)] == ids for i in range(len(text)))
                assert batch.targets_BS[b, piece[:-1]].tolist() == ids[1:-1]


def test_one_epoch_shows_every_position_at_most_once_and_nearly_all(store: TokenStore) -> None:
    batches = [step.batch for step in Loader(store, ONCE, CONFIG)]
    available = int((store.length_D[store.split_D >= 0.1] - 1).sum())
    shown = sum(batch.tokens_BS.numel() for batch in batches)
    assert available - 4 * 24 < shown <= available
    assert all((batch.repetition_BS == 0).all() for batch in batches)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(n_before=st.integers(1, 30), buffered=st.integers(0, 3))
def test_resume_is_exact_through_json(store: TokenStore, n_before: int, buffered: int) -> None:
    straight = steps(Loader(store, Mixture(), CONFIG), n_before + buffered + 1)
    resumed = Loader(store, Mixture(), CONFIG)
    resumed.load_state_dict(json.loads(json.dumps(straight[n_before - 1].next_state)))
    for a, b in zip(straight[n_before:], steps(resumed, buffered + 1), strict=True):
        assert same(a.batch, b.batch)
        assert a.next_state == b.next_state


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_see_what_one_process_sees(store: TokenStore, world_size: int) -> None:
    alone = steps(Loader(store, Mixture(), CONFIG), 4)
    ranks = [steps(Loader(store, Mixture(), CONFIG, rank, world_size), 4) for rank in range(world_size)]
    for index, step in enumerate(alone):
        together = torch.cat([rank[index].batch.tokens_BS for rank in ranks])
        assert torch.equal(together, step.batch.tokens_BS)
        assert all(rank[index].next_state == step.next_state for rank in ranks)


def test_state_of_other_data_or_another_seed_is_rejected(store: TokenStore) -> None:
    state = Loader(store, Mixture(), CONFIG).state_dict()
    loader = Loader(store, Mixture(), LoaderConfig(row_length=24, rows_per_step=4, seed=4))
    with pytest.raises(ValueError, match="seed 3 and this run has 4"):
        loader.load_state_dict(state)
    with pytest.raises(ValueError, match="data other"):
        Loader(store, Mixture(), CONFIG).load_state_dict({**state, "data": "other"})


def test_an_error_while_reading_reaches_the_trainer_and_no_thread_is_left(
    store: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk gone")

    def loaders() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "loader"}

    monkeypatch.setattr(TokenStore, "tokens", broken)
    before = loaders()
    with pytest.raises(OSError, match="disk gone"):
        steps(Loader(store, Mixture(), CONFIG), 1)
    assert loaders() <= before


def test_rows_must_divide_among_ranks(store: TokenStore) -> None:
    with pytest.raises(ValueError, match="4 rows per step do not divide evenly among 3"):
        Loader(store, Mixture(), CONFIG, 0, 3)


def test_held_out_rows_are_disjoint_from_training_and_padded_at_the_end(store: TokenStore) -> None:
    held_out = held_out_rows(store, 0.3, 24, max_rows=100)
    trained = {
        int(d)
        for step in Loader(store, ONCE, LoaderConfig(row_length=24, rows_per_step=1, held_out_share=0.3))
        for d in step.batch.document_BS.unique()
    }
    assert set(held_out) == {0, 1, 2}
    for stream, batch in held_out.items():
        real = batch.stream_BS >= 0
        assert set(batch.stream_BS[real].tolist()) == {stream}
        assert not trained & set(batch.document_BS[real].tolist())
        expected = store.length_D[(store.stream_D == stream) & (store.split_D < 0.3)] - 1
        assert int(real.sum()) == int(expected.sum())
    assert held_out_rows(store, 0.3, 24, max_rows=1)[0].tokens_BS.shape == (1, 24)

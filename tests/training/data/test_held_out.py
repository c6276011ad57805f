import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from rephrase.records import Document
from rephrase.storage.storage import Storage
from training.data.held_out import effective_share
from training.data.texts import TextOptions, document_texts
from training.data.token_store import TokenStore, tokenise_texts
from training.data.tokenizer import TextTokenizer


@pytest.fixture
def open_store(tokenizer: TextTokenizer, tmp_path: Path) -> Callable[..., TokenStore]:
    def of(documents: Sequence[Document], options: TextOptions = TextOptions()) -> TokenStore:
        cache = Storage(tmp_path / "tokens")
        return TokenStore.open(cache, tokenise_texts(document_texts(documents, options), "x", tokenizer, cache))

    return of


def document(index: int, text: str, **metadata: str) -> Document:
    return Document(id=f"d{index}", text=text, source="a.jsonl", metadata=metadata)


def words(seed: int, n_words: int = 40) -> list[str]:
    return [f"w{number}" for number in random.Random(seed).choices(range(60), k=n_words)]


def test_copies_and_near_copies_are_on_one_side(open_store: Callable[..., TokenStore]) -> None:
    documents = []
    for i in range(30):
        near = words(i, 150)
        near[20] = "w0"
        documents += [document(3 * i + k, " ".join(w)) for k, w in enumerate((words(i, 150), words(i, 150), near))]
    store = open_store(documents)
    assert np.ptp(store.split_D.reshape(30, 3), axis=1).max() == 0
    assert len(set(store.split_D.tolist())) == 30


def test_translations_are_on_one_side_by_their_field(open_store: Callable[..., TokenStore]) -> None:
    documents = [document(i, " ".join(words(i)), of=f"t{i // 2}") for i in range(40)]
    assert len(set(open_store(documents).split_D.tolist())) == 40
    store = open_store(documents, TextOptions(split_by="of"))
    assert np.ptp(store.split_D.reshape(20, 2), axis=1).max() == 0
    assert len(set(store.split_D.tolist())) == 20


def test_at_least_eight_documents_are_held_out(open_store: Callable[..., TokenStore]) -> None:
    store = open_store([document(i, " ".join(words(i))) for i in range(40)])
    share = effective_share(store, 0.01)
    assert (store.split_D < share).sum() == 8
    assert effective_share(store, 0.5) == 0.5
    assert effective_share(store, 0.0) == 0.0


def test_too_few_documents_are_refused_with_the_number_needed(open_store: Callable[..., TokenStore]) -> None:
    store = open_store([document(i, " ".join(words(i // 2))) for i in range(30)])
    with pytest.raises(ValueError, match=r"15 different documents are too few.*until there are 16"):
        effective_share(store, 0.01)
    assert effective_share(store, 0.0) == 0.0


def test_a_large_group_of_near_copies_stays_in_training(open_store: Callable[..., TokenStore]) -> None:
    documents = [document(i, " ".join(words(i if i < 40 else 99))) for i in range(160)]
    store = open_store(documents)
    assert store.split_D[40:].min() == store.split_D[40:].max() > 0.999

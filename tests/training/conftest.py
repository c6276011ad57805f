import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rephrase.dataset.shards import commit_part
from rephrase.storage.storage import Storage
from training.data.boundaries import Boundaries
from training.data.token_store import TokenStore, tokenise_shards
from training.data.tokenizer import TextTokenizer
from training.model.config import ModelConfig


@pytest.fixture(autouse=True)
def _same_numbers_every_time() -> None:
    torch.manual_seed(0)


@pytest.fixture
def tiny() -> ModelConfig:
    """Two layers, one of them a mixture: milliseconds on a CPU."""
    return ModelConfig(
        vocab_size=61,
        hidden_size=32,
        n_layers=2,
        n_dense_layers=1,
        n_heads=2,
        q_rank=16,
        kv_rank=16,
        nope_head_dim=8,
        rope_head_dim=4,
        v_head_dim=12,
        dense_ffn_size=48,
        expert_ffn_size=24,
        n_experts=6,
        n_active_experts=2,
        context_length=64,
        init_std=0.1,
    )


@pytest.fixture
def packed() -> Boundaries:
    """Two rows of 10: pieces of 4 + 6 and of 7 + 1 + 2."""
    return Boundaries(torch.tensor([[0] * 4 + [4] * 6, [0] * 7 + [7] + [8] * 2]))


WORDS = [f"w{i}" for i in range(60)]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 61 whole words: `<end>` is 0 and `w5` is 6."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(
        models.WordLevel({"<end>": 0} | {word: i + 1 for i, word in enumerate(WORDS)}, unk_token="w0")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> TextTokenizer:
    return TextTokenizer(tokenizer_folder)


def sentence(seed: int, n_words: int) -> str:
    """Words with a little structure, so that a model can learn something."""
    rng = random.Random(seed)
    at = rng.randrange(60)
    words = []
    for _ in range(n_words):
        words.append(WORDS[at])
        at = (at + rng.choice([1, 1, 1, 7])) % 60
    return " ".join(words)


def commit_documents(shards: Storage, part: int, n_documents: int, styles: Sequence[str] = ("plain", "notes")) -> None:
    """Commit a part whose documents each have a rewrite in every style."""
    rows = []
    for d in range(n_documents):
        name = f"p{part}d{d}"
        for variant, style in enumerate(styles):
            text = sentence(hash((part, d, variant)) % 2**32, 8 + (7 * d + variant) % 40)
            source_text = sentence(part * 1000 + d, 12 + d % 30)
            row = {"id": f"{name}v{variant}", "text": text, "source_text": source_text, "document_id": name}
            rows.append({**row, "source": "corpus.jsonl", "recipe": "knowledge", "style": style, "n_tokens": 1})
    commit_part(shards, part, rows, [])


@pytest.fixture
def shards(tmp_path: Path) -> Storage:
    """Two committed parts of 20 documents in two styles."""
    storage = Storage(tmp_path / "out")
    for part in range(2):
        commit_documents(storage, part, 20)
    return storage


@pytest.fixture
def store(shards: Storage, tokenizer: TextTokenizer, tmp_path: Path) -> TokenStore:
    cache = Storage(tmp_path / "tokens")
    return TokenStore.open(cache, tokenise_shards(shards, tokenizer, cache))


@pytest.fixture
def commit() -> Callable[..., None]:
    return commit_documents

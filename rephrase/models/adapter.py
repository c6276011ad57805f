"""A LoRA adapter in PEFT's format: its folder, its rank and its version."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

# The adapter of the packaged model, and the value that leaves it out.
PACKAGED_ADAPTER = "questions"
NO_ADAPTER = "none"
CONFIG_NAME = "adapter_config.json"
_WEIGHT_NAMES = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter on this machine. `rank` is that of its widest module, `revision` a hash of its configuration and
    weights: two adapters of one size differ in nothing else."""

    name: str
    folder: str
    rank: int
    revision: str


def find_adapter(name: str) -> Adapter:
    """The packaged adapter, that in a folder, or that of a hub id, which is downloaded on first use.

    Raises:
        ValueError: there is no such adapter, or it is not a LoRA adapter.
    """
    if name == PACKAGED_ADAPTER:
        folder = Path(__file__).parent / PACKAGED_ADAPTER
    else:
        folder = Path(name) if Path(name).is_dir() else _downloaded(name)
    weights = next((folder / file for file in _WEIGHT_NAMES if (folder / file).is_file()), None)
    if weights is None or not (folder / CONFIG_NAME).is_file():
        raise ValueError(f"{name!r} is not a LoRA adapter: it lacks {CONFIG_NAME} or {_WEIGHT_NAMES[0]}")
    config = (folder / CONFIG_NAME).read_bytes()
    found = hashlib.sha256(config)
    with weights.open("rb") as file:
        found.update(hashlib.file_digest(file, "sha256").digest())
    return Adapter(name=name, folder=str(folder), rank=_rank(name, config), revision=found.hexdigest()[:12])


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG_NAME, *_WEIGHT_NAMES]))
    except (OSError, ValueError) as error:
        raise ValueError(f"there is no LoRA adapter {name!r}, neither a folder nor on the hub: {error}") from error


def _rank(name: str, config: bytes) -> int:
    try:
        values = json.loads(config)
        ranks = [values["r"], *(values.get("rank_pattern") or {}).values()]
        return max(int(rank) for rank in ranks)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name!r} is not a LoRA adapter: {CONFIG_NAME} states no rank `r`") from error


def merge_adapter(model: Path, adapter: Adapter, output: Path) -> None:
    """Write the model with the adapter's changes in its weights, each `scale * B @ A`, and its other files beside it.

    vLLM applies adapters on CPUs matrix by matrix and request by request, which takes several times as long as the
    model itself.
    """
    from safetensors.torch import load_file, save_file

    config = json.loads((Path(adapter.folder) / CONFIG_NAME).read_bytes())
    changes = load_file(Path(adapter.folder) / _WEIGHT_NAMES[0])
    weights = load_file(model / "model.safetensors")
    for name in [name for name in changes if name.endswith(".lora_A.weight")]:
        target = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
        change = changes[name.replace(".lora_A.", ".lora_B.")].float() @ changes[name].float()
        whole = weights[target].float() + config["lora_alpha"] / config["r"] * change
        weights[target] = whole.to(weights[target].dtype)
    for file in model.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, output)
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})

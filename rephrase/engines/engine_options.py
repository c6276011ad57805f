"""vLLM's own engine arguments, as a user gives them: `--engine-option kv_cache_dtype=fp8`, `[engine.options]`."""

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any

# What has an option of its own, since it decides more than an argument of vLLM.
_HAS_ITS_OPTION = {
    "model": "--model",
    "tokenizer": "--model",
    "max_model_len": "--max-context-tokens",
    "enable_lora": "--lora",
    "max_lora_rank": "--lora",
}
# What changes the generated text: pinned in the plan. All else changes the speed, or what fits into memory.
# Speculation is not among them: a drafted token is accepted with the probability that the model gives it.
_SHAPES_TEXT = frozenset(
    {
        *("revision", "code_revision", "tokenizer_revision", "tokenizer_mode", "trust_remote_code", "config_format"),
        *("hf_config_path", "hf_overrides", "model_class_overrides", "model_impl", "disable_sliding_window"),
        *("dtype", "quantization", "quantization_config", "kv_cache_dtype"),
        *("generation_config", "override_generation_config", "logits_processors"),
    }
)


def parse_option(text: str) -> tuple[str, Any]:
    """`name=value`, with a value in JSON, or a word: `kv_cache_dtype=fp8`, `enforce_eager=true`.

    Raises:
        ValueError: it is not of this form.
    """
    name, equals, value = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not name:
        raise ValueError(f"{text!r} is not an option: write name=value, such as kv_cache_dtype=fp8")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def require_known(options: Mapping[str, Any], known: Collection[str]) -> None:
    """
    Raises:
        ValueError: vLLM has no such argument, or it has an option of its own; the message says which.
    """
    for name in options:
        if name in _HAS_ITS_OPTION:
            raise ValueError(f"the engine option {name!r} is set by {_HAS_ITS_OPTION[name]}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the installed vLLM has no engine argument {name!r}{hint}")


def shaping_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that change the generated text. An automatic dtype depends on the machine and does not count."""
    return {
        name: value
        for name, value in sorted(options.items())
        if name in _SHAPES_TEXT and (name, value) != ("dtype", "auto")
    }

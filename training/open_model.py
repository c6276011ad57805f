"""Open a model for closed-book questions: a training run, or any Hugging Face causal language model."""

from pathlib import Path

import torch

from rephrase.models.resolve import resolve_model
from training.data.tokenizer import TextTokenizer
from training.evaluating.answering import LanguageModel, decoder_model
from training.export import load_model
from training.loop.starting import split_step


def open_model(name: str, device: str | None = None) -> LanguageModel:
    """The model of `RUN`, `RUN@step`, a Hugging Face folder or id, or the packaged model by its name.

    Raises:
        ValueError: there is no such model, or the run has no such checkpoint.
    """
    at = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run, step = split_step(name)
    if (Path(run) / "run.json").is_file():
        return _of_run(run, step, at)
    return _of_hugging_face(resolve_model(name), at)


def _of_run(run: str, step: int | None, device: torch.device) -> LanguageModel:
    decoder, options = load_model(run, step)
    return decoder_model(decoder.to(device), TextTokenizer(options.tokenizer))


def _of_hugging_face(name: str, device: torch.device) -> LanguageModel:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, trust_remote_code=False).to(device).eval()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} is neither a training run (no run.json) nor a Hugging Face causal language model: {error}"
        ) from error
    ends = {tokenizer.eos_token_id, getattr(model.generation_config, "eos_token_id", None)}

    def encode(text: str) -> list[int]:
        ids = list(tokenizer(text)["input_ids"])
        return ids[:-1] if len(ids) > 1 and ids[-1] == tokenizer.eos_token_id else ids

    return LanguageModel(
        logits=lambda tokens: model(input_ids=tokens, use_cache=False).logits,
        encode=encode,
        decode=lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)),
        ends=frozenset(id_ for id_ in ends if isinstance(id_, int)),
        device=device,
    )

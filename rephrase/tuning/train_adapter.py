"""Train an adapter for a model: python -m rephrase.tuning.train_adapter DATA [--model MODEL] [--output FOLDER]

LoRA (arXiv 2106.09685) on the very prompts of the built-in recipe for models of this size; the loss is that of what the
model writes. The smallest models learn to ask what a sentence answers, the others to reword. The packaged model takes
half an hour on two cores. The training state is saved every few minutes, so the command can be stopped and repeated.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from rephrase.models.adapter import PACKAGED_ADAPTER
from rephrase.models.resolve import PACKAGED_MODEL, n_parameters, resolve_model
from rephrase.models.tokenizer import HubTokenizer
from rephrase.prompting.context import Context, tail
from rephrase.prompting.recipes import Recipe, load_recipes
from rephrase.records import Document, Variant
from rephrase.tuning.questions import asked_questions
from rephrase.tuning.sentence_rewrites import SentenceRewrite, sentence_rewrites

RANK = 8
LEARNING_RATE = 8e-4
EPOCHS = 1
# Longer rows cost most; sentences of the packaged model's recipe rarely have them.
MAX_ROW_TOKENS = 96
BATCH_TOKENS = 1024
WARM_UP = 0.05
HELD_OUT = 40
# How often the sentence before is shown, where there is one: a model must also begin documents.
WITH_CONTEXT = 0.6
SAVE_EVERY_S = 600.0
OUTPUT = Path(__file__).parents[1] / "models" / PACKAGED_ADAPTER


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens of a prompt followed by its rewrite, which begins at `n_prompt`."""

    tokens: tuple[int, ...]
    n_prompt: int


def make_rows(rewrites: Sequence[SentenceRewrite], recipe: Recipe, folder: str, seed: int) -> list[Row]:
    tokenizer, end_of_turn = HubTokenizer(folder), AutoTokenizer.from_pretrained(folder).eos_token_id
    generator = random.Random(seed)
    rows = []
    for rewrite in rewrites:
        shown = rewrite.before if generator.random() < WITH_CONTEXT else ""
        variant = Variant(index=0, recipe=recipe.name, style=rewrite.style, perspective="")
        document = Document(id=rewrite.document, text="", source="", title=rewrite.title)
        context = Context(written=tail(shown, tokenizer, recipe.context_tokens))
        prompt = tokenizer.prompt_token_ids(recipe.render(document, variant, context, rewrite.source))
        answer = tokenizer.token_ids(rewrite.rewrite)
        rows.append(Row((*prompt, *answer, end_of_turn), len(prompt)))
    return [row for row in rows if len(row.tokens) <= MAX_ROW_TOKENS]


def batches(rows: Sequence[Row], seed: int) -> list[list[Row]]:
    """Rows of similar length, at most BATCH_TOKENS together with their padding, in random order."""
    generator = random.Random(seed)
    ordered = sorted(rows, key=lambda row: (len(row.tokens), generator.random()))
    found: list[list[Row]] = [[]]
    for row in ordered:
        if found[-1] and len(row.tokens) * (len(found[-1]) + 1) > BATCH_TOKENS:
            found.append([])
        found[-1].append(row)
    generator.shuffle(found)
    return found


def answer_loss(model: PeftModel, rows: Sequence[Row]) -> tuple[torch.Tensor, int]:
    """The summed cross-entropy of the rewrites, in nats, and their number of tokens."""
    length = max(len(row.tokens) for row in rows)
    tokens_BT = torch.zeros(len(rows), length, dtype=torch.long)
    target_BT = torch.full((len(rows), length), -100)
    mask_BT = torch.zeros(len(rows), length, dtype=torch.long)
    for i, row in enumerate(rows):
        n = len(row.tokens)
        tokens_BT[i, :n] = torch.tensor(row.tokens)
        mask_BT[i, :n] = 1
        target_BT[i, row.n_prompt - 1 : n - 1] = tokens_BT[i, row.n_prompt : n]
    causal: Any = model.get_base_model()
    hidden_BTD = causal.model(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
    chosen_BT = target_BT >= 0
    # The head's 49,152 words are most of the work: only where a rewrite is predicted.
    logits_NV = causal.lm_head(hidden_BTD[chosen_BT])
    return functional.cross_entropy(logits_NV, target_BT[chosen_BT], reduction="sum"), int(chosen_BT.sum())


def held_out_loss(model: PeftModel, rows: Sequence[Row]) -> float:
    with torch.no_grad():
        found = [answer_loss(model, batch) for batch in batches(rows, 0)]
    return float(sum(loss for loss, _ in found)) / sum(n for _, n in found)


def train(data: Path, output: Path, *, name: str = PACKAGED_MODEL, epochs: int = EPOCHS, seed: int = 0) -> None:
    folder = resolve_model(name)
    recipe = load_recipes()["rephrase"].for_model(n_parameters(folder))
    known = asked_questions(data) if recipe.compose else sentence_rewrites(data)
    rewrites = [rewrite for rewrite in known if rewrite.style in recipe.styles]
    random.Random(seed).shuffle(rewrites)
    documents = _some_documents(rewrites)
    held_out = make_rows([r for r in rewrites if r.document in documents], recipe, folder, seed)
    training = [rewrite for rewrite in rewrites if rewrite.document not in documents]

    torch.manual_seed(seed)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config)
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(weights.values(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    plan = [
        batch
        for epoch in range(epochs)
        for batch in batches(make_rows(training, recipe, folder, seed + epoch), seed + epoch)
    ]
    n_warm = max(1, int(WARM_UP * len(plan)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / n_warm, 1.0) * (1 - step / len(plan))
    )
    state = output.with_suffix(".state")
    first = _resume(state, weights, optimizer, schedule)
    print(f"{len(training)} rewrites, {len(held_out)} held out; steps {first} to {len(plan)}", flush=True)
    print(f"held-out loss {held_out_loss(model, held_out):.3f}", flush=True)
    began = saved = time.monotonic()
    for step in range(first, len(plan)):
        loss, n_tokens = answer_loss(model, plan[step])
        (loss / n_tokens).backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            seconds = (time.monotonic() - began) / (step - first + 1)
            print(f"step {step}: loss {loss.item() / n_tokens:.3f}, {seconds:.1f} s a step", flush=True)
        if time.monotonic() - saved > SAVE_EVERY_S:
            _save(state, step + 1, weights, optimizer, schedule)
            print(f"held-out loss {held_out_loss(model, held_out):.3f}", flush=True)
            saved = time.monotonic()
    print(f"held-out loss {held_out_loss(model, held_out):.3f}", flush=True)
    model.half().save_pretrained(str(output))
    # The base is found by its name: a folder of this machine means nothing elsewhere.
    config_file = output / "adapter_config.json"
    config_file.write_text(config_file.read_text("utf-8").replace(folder, name), "utf-8")


def _some_documents(rewrites: Sequence[SentenceRewrite]) -> set[str]:
    """Those with the fewest rewrites, HELD_OUT in all."""
    counts = Counter(rewrite.document for rewrite in rewrites)
    found: set[str] = set()
    n_rewrites = 0
    for document, n in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        if n_rewrites >= HELD_OUT:
            break
        found.add(document)
        n_rewrites += n
    return found


def _save(state: Path, step: int, weights: dict[str, torch.nn.Parameter], *others: object) -> None:
    torch.save({"step": step, "others": [other.state_dict() for other in others]}, state.with_suffix(".optimizer"))  # type: ignore[attr-defined]
    save_file({name: weight.detach().contiguous() for name, weight in weights.items()}, state)


def _resume(state: Path, weights: dict[str, torch.nn.Parameter], *others: object) -> int:
    if not state.exists():
        return 0
    for name, weight in load_file(state).items():
        weights[name].data.copy_(weight)
    saved = torch.load(state.with_suffix(".optimizer"), weights_only=True)
    for other, values in zip(others, saved["others"], strict=True):
        other.load_state_dict(values)  # type: ignore[attr-defined]
    return int(saved["step"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the sources of the rewrites")
    parser.add_argument("--model", default=PACKAGED_MODEL, help="packaged name, hub id or folder")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for the adapter")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    train(options.data, options.output, name=options.model, epochs=options.epochs)


if __name__ == "__main__":
    main()

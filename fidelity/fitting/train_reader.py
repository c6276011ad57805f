"""Train the reader: python -m fidelity.fitting.train_reader DATA [--out FILE]

DATA is a folder with public sets of labelled pairs and documents. About an hour on two quiet cores. Two readers are
trained from the same start, one with more rows of inference sets than the other, and their weights averaged: the
average is better than either on nearly every set (Wortsman et al. 2022, arXiv:2203.05482). The state is kept in files
beside OUT after each 200 steps, and a run that is started again goes on from there.
"""

import argparse
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fidelity.checks.sentences import split_sentences
from fidelity.fitting.labelled_sets import read_rows
from fidelity.fitting.reader_rows import (
    ReaderRow,
    document_rows,
    garbled_rows,
    nli_rows,
    set_rows,
    wikisplit_rows,
)
from fidelity.fitting.written_pairs import written_pairs, written_rows
from fidelity.planting.neighbours import WordNeighbours, frequent_words
from fidelity.reader.inputs import REWRITE_FIRST, Encoding, ReaderInput, batch_tensors
from fidelity.reader.network import (
    ADDED,
    GARBLED,
    LOST,
    MARKS,
    WEIGHTS,
    described,
    load_network,
    new_network,
    save_network,
    tokenizer,
    word_embeddings,
)

BATCH_TOKENS = 2400
LEARNING_RATE, HEAD_LEARNING_RATE = 1.5e-4, 1e-3
WARM_UP = 0.05
# A marked token is rarer than an unmarked one.
MARKED_WEIGHT = 2.0
UNKNOWN = -1.0
# Rows of SNLI and ConjNLI for each of the readers that are averaged.
NLI_ROWS = (5_000, 20_000)

Example = tuple[ReaderInput, torch.Tensor, torch.Tensor, bool]


def texts_of(data: Path) -> list[str]:
    """Prose of the documents; the paragraphs on which planted errors are measured are left out."""
    measured = {row["context"].strip() for row in _rows(data / "documents/xquad_en.jsonl")}
    texts = [
        paragraph["context"]
        for row in _rows(data / "documents/wikipedia_squad2_articles.jsonl")
        for paragraph in row["paragraphs"]
        if paragraph["context"].strip() not in measured
    ]
    for row in _rows(data / "documents/openstax_us_history.jsonl")[::2]:
        texts += [part for part in row["text"].split("\n\n") if len(part) > 200]
    for row in _rows(data / "math/d2l_en_md.jsonl"):
        texts += [part for part in row["text"].split("\n\n") if len(part) > 200 and "```" not in part]
    texts += [f"{row['question']} {row['answer']}" for row in _rows(data / "math/gsm8k_train_1500.jsonl")[::4]]
    return texts


def _rows(path: Path) -> list[dict[str, Any]]:
    return read_rows(path) if path.is_file() else []


def training_rows(data: Path, scale: float, seed: int, n_inference: int) -> list[ReaderRow]:
    """About 36,000 rows and `n_inference` of inference sets, in random order; `scale` times as many planted ones.

    Without any documents, none.
    """
    rng = random.Random(seed)
    texts = texts_of(data)
    if not texts:
        return []
    embeddings = word_embeddings()
    vocabulary = tokenizer().get_vocab()
    words = [word for word in frequent_words(texts, at_least=3, at_most=6000) if word in vocabulary]
    near = WordNeighbours(words, embeddings[[vocabulary[word] for word in words]])
    sentences = [
        text[start:end]
        for text in texts
        for start, end in split_sentences(text).spans
        if 40 < end - start < 300 and text[start].isupper() and text[end - 1] in '.!?”"' and "\n" not in text[start:end]
    ]
    rows = [
        *wikisplit_rows(data, near, rng, int(5500 * scale)),
        *document_rows(texts, near, rng, int(3500 * scale)),
        *garbled_rows(sentences, rng, int(6000 * scale)),
        *nli_rows(data, rng, int(n_inference * scale)),
        *itertools.chain.from_iterable(itertools.repeat(list(set_rows(data, rng)), 2)),
        *itertools.chain.from_iterable(itertools.repeat(list(written_rows(written_pairs(data))), 2)),
    ]
    rng.shuffle(rows)
    return rows


def example(row: ReaderRow, encoding: Encoding) -> Example:
    """The input, the labels of its tokens (tokens, marks) and of its sentences (sentences, marks), where known.

    The last value says that the label of the whole rewrite is known and those of its sentences are not.
    """
    ours = split_sentences(row.rewrite).spans or ((0, len(row.rewrite)),)
    theirs = split_sentences(row.source).spans if row.source is not None else ()
    found = encoding.encode(row.rewrite, row.source, ours, theirs)
    tokens = torch.full((len(found.ids), len(MARKS)), UNKNOWN)
    sentences = torch.full((len(found.sentences), len(MARKS)), UNKNOWN)
    for mark, spans, first, places, of in (
        (ADDED, row.added, REWRITE_FIRST, found.rewrite_spans, range(len(ours))),
        (GARBLED, row.garbled, REWRITE_FIRST, found.rewrite_spans, range(len(ours))),
        (LOST, row.lost, found.source_first, found.source_spans, range(len(ours), len(found.sentences))),
    ):
        if spans is None:
            continue
        for i, (start, end) in enumerate(places):
            tokens[first + i, mark] = float(any(start < b and end > a for a, b in spans))
        for i in of:
            a, b = found.sentences[i]
            if a < b:
                sentences[i, mark] = tokens[a:b, mark].max()
    as_whole = row.added is None and row.unsupported is not None
    if as_whole:
        sentences[: len(ours), ADDED] = float(bool(row.unsupported))
    return found, tokens, sentences, as_whole


def loss_of(token_odds: torch.Tensor, sentence_odds: torch.Tensor, batch: Sequence[Example]) -> torch.Tensor:
    """Mean binary cross-entropy of the known labels, of tokens and of sentences.

    Where only the whole rewrite has a label, its least supported sentence answers for it.
    """
    device = token_odds.device
    labels = torch.full(token_odds.shape, UNKNOWN)
    for row, (_, tokens, _, _) in enumerate(batch):
        labels[row, : len(tokens)] = tokens
    labels = labels.to(device)
    weight = torch.tensor(MARKED_WEIGHT, device=device)
    known = labels != UNKNOWN
    total = nn.functional.binary_cross_entropy_with_logits(token_odds[known], labels[known], pos_weight=weight)
    first, odds, targets = 0, [], []
    for found, _, sentences, as_whole in batch:
        mine = sentence_odds[first : first + len(found.sentences)]
        first += len(found.sentences)
        if as_whole:
            chosen = sentences[:, ADDED] != UNKNOWN
            odds.append(mine[chosen.to(device), ADDED].max()[None])
            targets.append(sentences[chosen, ADDED][:1])
        else:
            chosen = sentences != UNKNOWN
            odds.append(mine[chosen.to(device)])
            targets.append(sentences[chosen])
    return total + nn.functional.binary_cross_entropy_with_logits(torch.cat(odds), torch.cat(targets).to(device))


def batches(examples: Sequence[Example], rng: random.Random) -> Iterator[list[Example]]:
    """Examples of about the same length together, the batches in random order."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i][0].ids) + rng.uniform(-8, 8))
    found: list[list[int]] = [[]]
    for i in order:
        if (len(found[-1]) + 1) * len(examples[i][0].ids) > BATCH_TOKENS and found[-1]:
            found.append([])
        found[-1].append(i)
    rng.shuffle(found)
    for batch in found:
        yield [examples[i] for i in batch]


def train(rows: Sequence[ReaderRow], out: Path, *, seed: int = 0, n_epochs: int = 1, device: str = "cpu") -> None:
    """Prints the loss, the speed and the time that is left."""
    torch.manual_seed(seed)
    network, encoding = new_network().to(device), Encoding(tokenizer())
    pad = 0
    examples = [example(row, encoding) for row in rows]
    plan = [batch for epoch in range(n_epochs) for batch in batches(examples, random.Random(seed + epoch))]
    heads = [*network.tokens.parameters(), *network.sentences.parameters()]
    body = [p for p in network.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": LEARNING_RATE}, {"params": heads, "lr": HEAD_LEARNING_RATE}], weight_decay=0.01
    )
    warm = max(1, int(WARM_UP * len(plan)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.0, (len(plan) - step) / max(1, len(plan) - warm)))
    )
    state_file, start = out.with_suffix(".state"), 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        start = state["step"]
        print(f"going on after step {start} of {len(plan)}", flush=True)
    network.train()
    began, losses = time.monotonic(), []
    for step in range(start, len(plan)):
        batch = plan[step]
        inputs = batch_tensors([found for found, *_ in batch], pad)
        token_odds, sentence_odds = network(*(tensor.to(device) for tensor in inputs))
        loss = loss_of(token_odds, sentence_odds, batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if (step + 1) % 50 == 0:
            left = (time.monotonic() - began) / (step + 1 - start) * (len(plan) - step - 1)
            print(f"step {step + 1}/{len(plan)}  loss {torch.stack(losses[-200:]).mean():.4f}  "
                  f"{left / 60:.0f} min left", flush=True)  # fmt: skip
        if (step + 1) % 200 == 0 or step + 1 == len(plan):
            torch.save(
                {"network": network.state_dict(), "optimizer": optimizer.state_dict(),
                 "schedule": schedule.state_dict(), "step": step + 1},
                state_file,
            )  # fmt: skip
    trained_with = {"rows": dict(Counter(row.dataset for row in rows)), "seed": seed, "steps": len(plan)}
    unfinished = out.with_suffix(".unfinished")
    save_network(network.cpu(), unfinished, trained_with)
    unfinished.replace(out)


def average(parts: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights of several readers."""
    networks = [load_network(part) for part in parts]
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if values.is_floating_point() else values
        for name, values in states[0].items()
    }
    networks[0].load_state_dict(mean)
    save_network(networks[0], out, {"average of": [described(part) for part in parts]})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "reader" / WEIGHTS)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer planted rows")
    parser.add_argument("--epochs", type=int, default=1, help="how often the rows are read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, …")
    chosen = parser.parse_args(arguments)
    parts = []
    for number, n_inference in enumerate(NLI_ROWS, 1):
        options = f"seed{chosen.seed}-scale{chosen.scale:g}-epochs{chosen.epochs}"
        part = chosen.out.with_suffix(f".{number}-{options}.safetensors")
        parts.append(part)
        if part.exists():
            continue
        rows = training_rows(chosen.data, chosen.scale, chosen.seed, n_inference)
        if not rows:
            sys.exit(f"{chosen.data} contains none of the data sets: pass the folder with fidelity/ and documents/")
        print(f"reader {number} of {len(NLI_ROWS)}: {json.dumps(Counter(row.dataset for row in rows))}", flush=True)
        train(rows, part, seed=chosen.seed, n_epochs=chosen.epochs, device=chosen.device)
    average(parts, chosen.out)
    for part in parts:
        part.unlink()
        part.with_suffix(".state").unlink(missing_ok=True)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()

"""Every recipe on real text of its kind: acceptance, token cost, reject reasons, and an example.

    python tests/benchmarks/bench_recipes.py DATA [--documents 8] [--model MODEL] [--out FOLDER]

DATA contains documents/, math/ and foreign_math/ as JSON Lines. Examples are written to OUT/examples.md.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fidelity.checker import Checker, FidelityConfig
from fidelity.checks.preserve import lost_formula, lost_number
from fidelity.embeddings.encoder import SentenceEncoder
from rephrase.corpus.reading import Fields, ReadOptions
from rephrase.dataset.part_reader import PartReader
from rephrase.dataset.plan import make_plan
from rephrase.dataset.shards import read_rejects, read_rewrites
from rephrase.engines.vllm_engine import VLLMEngine
from rephrase.models.resolve import PACKAGED_MODEL
from rephrase.models.tokenizer import HubTokenizer
from rephrase.parts import run_part
from rephrase.progress import Progress
from rephrase.prompting.recipes import load_recipes
from rephrase.records import Domain
from rephrase.rewriting import RewriteTools
from rephrase.run_context import RunContext
from rephrase.scheduling.scheduler import Scheduler
from rephrase.storage.storage import Storage


@dataclass(frozen=True)
class Source:
    name: str
    file: str
    field: str
    domain: Domain
    choice: str = "auto"


SOURCES = [
    Source("Wikipedia", "documents/xquad_en.jsonl", "context", Domain.KNOWLEDGE),
    Source("US history", "documents/openstax_us_history.jsonl", "text", Domain.KNOWLEDGE),
    Source("Open Logic", "math/openlogic_tex.jsonl", "text", Domain.MATH, "learning_note"),
    Source("GSM8K", "math/gsm8k_train_1500.jsonl", "[question, answer]", Domain.MATH),
    Source("MATH", "math/math_500.jsonl", "[problem, solution]", Domain.MATH),
    *(
        Source(f"MGSM {code}", "foreign_math/mgsm_parallel.jsonl", code, Domain.MATH)
        for code in ("es", "de", "ru", "zh")
    ),
    Source("d2l zh", "foreign_math/d2l_zh_en_parallel.jsonl", "tgt", Domain.MATH),
]
# So that one long document does not dominate its source.
MAX_CHARACTERS = 1800


async def measure(
    source: Source, arguments: argparse.Namespace, tools: RewriteTools, checker: Checker, out: Path
) -> str:
    lines = []
    for line in (arguments.data / source.file).open(encoding="utf-8"):
        record = json.loads(line)
        names = source.field.strip("[]").split(", ")
        text = "\n\n".join(record[name] for name in names)[:MAX_CHARACTERS]
        lines.append(json.dumps({"text": text, "title": record.get("title")}, ensure_ascii=False))
        if len(lines) == arguments.documents:
            break
    folder = Path(tempfile.mkdtemp(prefix="recipes-"))
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = ReadOptions(fields=Fields(), domain=source.domain)
    plan = make_plan(str(folder / "corpus.jsonl"), options, {}, recipe_choice=source.choice, part_bytes=1 << 30)
    run_context = RunContext(
        storage=Storage(folder / "out"),
        plan=plan,
        reader=PartReader(plan, options),
        recipes=load_recipes(),
        recipe_choice=source.choice,
        n_variants=1,
        tools=tools,
        near_duplicates=checker.near_duplicates,
        scheduler=Scheduler(tools.engine),
        progress=Progress(),
    )
    began = time.monotonic()
    commit = await run_part(plan.parts[0], run_context)
    seconds = time.monotonic() - began
    rewrites = [row for table in read_rewrites(run_context.storage) for row in table.to_pylist()]
    rejects = [row for table in read_rejects(run_context.storage) for row in table.to_pylist()]
    reasons = Counter(row["reason"] for row in rejects)
    similar = [
        s["value"]
        for r in rewrites
        for c in r["chunks"]
        for s in c["scores"]
        if s["name"] == "similarity" and c["accepted"]
    ]
    pairs = [
        (
            (row["steps"][-1]["text"] if row["steps"] else row["source_text"])[c["start"] : c["end"]],
            row["text"][c["text_start"] : c["text_end"]],
        )
        for row in rewrites
        for c in row["chunks"]
        if c["accepted"]
    ]
    kept = sum(not lost_formula(a, b) and not lost_number(a, b) for a, b in pairs)
    with out.open("a", encoding="utf-8") as file:
        file.write(f"\n# {source.name}: {'+'.join(plan.routes)}\n")
        if pairs:
            file.write(f"\n## accepted\n\n{pairs[0][0].strip()}\n\n---\n\n{pairs[0][1]}\n")
        if rejects:
            first = rejects[0]
            file.write(
                f"\n## {first['reason']}: {first['detail']}\n\n{first['source_text']}\n\n---\n\n{first['text']}\n"
            )
    return (
        f"| {source.name} | {', '.join(plan.routes)} | {commit['n_chunks_accepted']}/{commit['n_chunks']} "
        f"| {commit['n_prompt_tokens']:,} | {commit['n_completion_tokens']:,} "
        f"| {sum(similar) / len(similar) if similar else float('nan'):.2f} | {kept}/{len(pairs)} "
        f"| {', '.join(f'{reason} {count}' for reason, count in reasons.most_common(4))} | {seconds:.0f} |"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=8, help="documents per source")
    parser.add_argument("--model", default=PACKAGED_MODEL)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "bench-recipes")
    arguments = parser.parse_args()
    if not (arguments.data / "math").is_dir():
        parser.error(f"{arguments.data} contains no math/: pass the folder with the data")
    engine = VLLMEngine(arguments.model)
    checker = Checker(SentenceEncoder(), FidelityConfig())
    tools = RewriteTools(
        engine=engine, tokenizer=HubTokenizer(engine.info.tokenizer), check=checker, n_retries=2, seed=0
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    examples = arguments.out / "examples.md"
    examples.write_text("")
    print(
        f"{engine.info.model}, {arguments.documents} documents per source, up to 3 attempts, examples in {examples}\n"
    )
    print(
        "| source | route | chunks accepted | tokens in | out | similarity | formulas and numbers kept | rejects | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for source in SOURCES:
        print(await measure(source, arguments, tools, checker, examples), flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())

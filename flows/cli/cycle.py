"""`palimpsest cycle`."""

from typing import Annotated, Any

import typer

from flows.cli.run_options import with_run_options
from flows.console import err, out, print_json, readable_errors

CYCLE = "Rounds and training"


@with_run_options(without=("target_tokens", "new_files"), own_first=True)
def cycle(
    values: dict[str, Any],
    rounds: Annotated[
        int,
        typer.Option(
            rich_help_panel=CYCLE, min=1, help="Number of rounds; run again with a larger number to add rounds."
        ),
    ] = 3,
    max_variants: Annotated[
        int,
        typer.Option(
            rich_help_panel=CYCLE,
            min=1,
            help="From the second round on, the measured worth of repetition decides how many rewrites each document "
            "gets, up to this many (or --variants, if that is more).",
        ),
    ] = 4,
    n_steps: Annotated[int, typer.Option(rich_help_panel=CYCLE, min=1, help="Training steps of each round.")] = 500,
    preset: Annotated[
        str, typer.Option(rich_help_panel=CYCLE, help="Shape of the trained model; `palimpsest presets` lists all.")
    ] = "nano",
    train: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=CYCLE,
            help="Any other option of `train`, as name=value, such as --train tokenizer=my-tokenizer; may be repeated.",
        ),
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", rich_help_panel=CYCLE, help="Print the rounds as JSON.")
    ] = False,
) -> None:
    """Rephrase a corpus, train on the result, and let training decide what is rewritten next, in rounds.

    Each round draws its styles by what their tokens were worth in the training of the round before; styles
    that were worth little, or were never seen, are still tried. A new model is trained in each round, on the rewrites
    of all rounds so far. OUTPUT is a local folder with a folder for each round; `cycle.md` in it says what was decided
    and why. **Run the same command again to resume.**

    Examples:

        palimpsest cycle corpus.jsonl out --rounds 3 --n-steps 2000

        palimpsest cycle corpus.jsonl out --rounds 4 --preset micro --train tokenizer=my-tokenizer --train lr=0.001
    """
    with readable_errors():
        from flows.local import run_cycle_locally
        from rephrase.engines.engine_options import parse_option

        training = {"n_steps": n_steps, "preset": preset, **dict(parse_option(text) for text in train or ())}
        done = run_cycle_locally(values, training, rounds=rounds, max_variants=max_variants, console=err)
        if json_output:
            print_json(done)
        else:
            from rich.markdown import Markdown

            from flows.results.cycle_report import cycle_markdown

            out.print(Markdown(cycle_markdown(done)))
            out.print(f"[dim]written: {values['output']}/cycle.md[/dim]", soft_wrap=True)

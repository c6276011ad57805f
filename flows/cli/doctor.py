"""`palimpsest doctor`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.console import out, print_json, readable_errors

if TYPE_CHECKING:
    from flows.doctor import Finding

SIGNS = {
    "ok": "[green]✓[/green]",
    "warning": "[yellow]![/yellow]",
    "problem": "[red]✗[/red]",
    "skipped": "[dim]–[/dim]",
}


def doctor(
    output: Annotated[str | None, typer.Argument(help="Output folder to test: local, s3://…, gs://…")] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Load the model into the engine and generate one completion.")
    ] = False,
    engine: Annotated[Literal["vllm", "openai"], typer.Option(help="As for rephrase.")] = "vllm",
    model: Annotated[str | None, typer.Option(help="As for rephrase.")] = None,
    endpoint: Annotated[list[str] | None, typer.Option(help="As for rephrase; one completion is requested.")] = None,
    encoder: Annotated[str, typer.Option(help="As for rephrase.")] = "all-MiniLM-L6-v2",
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Check everything a run needs and say how to fix what is wrong; the exit code is 1 if anything is.

    Checks Python and its packages, memory, disk, GPU, the Prefect server and the API address that its UI uses, the
    output folder (a small file is written, replaced, listed, read and removed), the models and the engine.

    Examples:

        palimpsest doctor out --deep

        palimpsest doctor s3://bucket/out --engine openai --endpoint http://gpu1:8000/v1
    """
    import dataclasses

    from flows.doctor import DoctorOptions, run_checks
    from rephrase.engines.opening import EngineConfig

    with readable_errors():
        engine_config = EngineConfig(kind=engine, model=model, endpoints=tuple(endpoint or ()), timeout_s=60)
        options = DoctorOptions(output=output, engine=engine_config, encoder=encoder, deep=deep)
        findings = []
        for finding in run_checks(options):
            findings.append(finding)
            if not json_output:
                _show(finding)
        problems = [finding for finding in findings if finding.state == "problem"]
        if json_output:
            print_json([dataclasses.asdict(finding) for finding in findings])
        elif problems:
            out.print(f"[red]problems to fix: {len(problems)}[/red]")
        else:
            out.print("[green]ready[/green]")
    if problems:
        raise typer.Exit(1)


def _show(finding: "Finding") -> None:
    from rich.markup import escape

    out.print(f"{SIGNS[finding.state]} [bold]{finding.check:<16}[/bold]{escape(finding.detail)}", highlight=False)
    if finding.remedy:
        out.print(f"  {'':<16}→ {escape(finding.remedy)}", highlight=False)

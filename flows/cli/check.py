"""`palimpsest check`: does a dataset match its commits?"""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flows.cli.run_options import Output
from flows.console import err, out, print_json, readable_errors

if TYPE_CHECKING:
    from rephrase.dataset.audit import Audit, Finding

N_SHOWN = 50


def check(
    output: Output,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Verify a whole dataset and say how to fix what is wrong; the exit code is 1 if anything is.

    Reads every file. Checks the checksums, schema and counts of each commit, that no id and no record occurs twice,
    that accepted + rejected + to do = input, and that no file is orphaned. What a killed run leaves behind and the next
    run cleans up is a notice, not a problem.

    Examples:

        palimpsest check out

        palimpsest check s3://bucket/out --json
    """
    from rephrase.dataset.audit import audit
    from rephrase.storage.storage import Storage

    with readable_errors():
        with err.status("reading …") as status:
            found = audit(Storage(output), lambda done, of: status.update(f"{done:,} of {of:,} parts"))
        if json_output:
            print_json(dataclasses.asdict(found))
        else:
            print_audit(found)
        if found.problems:
            raise typer.Exit(1)


def print_audit(audit: "Audit") -> None:
    """Print the counts, then each finding with its remedy."""
    table = Table(title=audit.output, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, count in [
        ("records of the plan", audit.n_input),
        ("  accepted", audit.n_accepted),
        ("  rejected", audit.n_rejected),
        ("  to do", audit.n_to_do),
        ("rewrites", audit.n_rewrites),
        ("rejects", audit.n_rejects),
        ("journal entries", audit.n_journal_entries),
    ]:
        table.add_row(name, f"{count:,}")
    table.add_row("parts committed", f"{audit.n_parts_committed:,} of {audit.n_parts:,}")
    table.add_row("MB read", f"{audit.n_bytes_read / 1e6:,.1f}")
    out.print(table)
    _print_findings("notice", "yellow", audit.notes)
    _print_findings("problem", "red", audit.problems)
    if audit.problems:
        out.print(f"problems found: {len(audit.problems):,}", style="bold red")
    else:
        out.print("no problems found", style="bold green")


def _print_findings(label: str, style: str, findings: "list[Finding]") -> None:
    for finding in findings[:N_SHOWN]:
        out.print(f"{label}:", style=f"bold {style}", end=" ")
        text = f"{finding.file}: {finding.problem}; {finding.remedy}"
        out.print(text, markup=False, highlight=False, soft_wrap=True)
    if len(findings) > N_SHOWN:
        out.print(f"{label}: and {len(findings) - N_SHOWN:,} more (--json lists all)", style=style)

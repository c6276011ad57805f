"""`palimpsest check`: is a dataset what its commits say?"""

from rich.console import Console
from rich.table import Table

from rephrase.audit import Audit, Finding

N_SHOWN = 50


def print_audit(console: Console, audit: Audit) -> None:
    """What was counted, and each finding with what to do about it."""
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
    console.print(table)
    _print_findings(console, "note", "yellow", audit.notes)
    _print_findings(console, "wrong", "red", audit.problems)
    if audit.problems:
        console.print(f"{len(audit.problems):,} things are wrong", style="bold red")
    else:
        console.print("nothing is wrong", style="bold green")


def _print_findings(console: Console, label: str, style: str, findings: list[Finding]) -> None:
    for finding in findings[:N_SHOWN]:
        console.print(f"{label}:", style=f"bold {style}", end=" ")
        text = f"{finding.file}: {finding.problem}; {finding.remedy}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if len(findings) > N_SHOWN:
        console.print(f"{label}: and {len(findings) - N_SHOWN:,} more (--json lists all)", style=style)

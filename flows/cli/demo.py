"""`palimpsest demo`."""

from typing import Annotated

import typer

from flows.console import err, out, readable_errors


def demo(
    output: Annotated[str, typer.Argument(help="Folder for the shards.")] = "demo-output",
) -> None:
    """Rewrite the documentation of installed packages in several styles with the packaged models."""
    from flows.demo import run_demo

    with readable_errors():
        run_demo(output, out, err)

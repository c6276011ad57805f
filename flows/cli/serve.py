"""`palimpsest serve`."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.console import err, readable_errors
from rephrase.engines.api_key import KEY_ENDPOINTS
from rephrase.storage.config_file import read_config

RUNNING = "Running"
SCHEDULE = "Schedule of rephrase"
MAX_EVERY_S = 366 * 24 * 3600


def serve(
    port: Annotated[
        int, typer.Option(rich_help_panel=RUNNING, min=0, max=65535, help="Port of the Prefect server that is started.")
    ] = 4200,
    password: Annotated[
        bool, typer.Option(rich_help_panel=RUNNING, help="Whether the server that is started requires a password.")
    ] = True,
    at_once: Annotated[
        int, typer.Option(rich_help_panel=RUNNING, min=1, help="Maximum number of concurrent runs; others wait.")
    ] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=RUNNING,
            min=1,
            max=65535,
            envvar="PALIMPSEST_METRICS_PORT",
            help="Runs serve Prometheus metrics at http://127.0.0.1:PORT/metrics.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=SCHEDULE,
            help="TOML or JSON file with default values for the rephrase form, also used by scheduled runs.",
        ),
    ] = None,
    source: Annotated[str | None, typer.Option(rich_help_panel=SCHEDULE, help="As for rephrase.")] = None,
    output: Annotated[str | None, typer.Option(rich_help_panel=SCHEDULE, help="As for rephrase.")] = None,
    cron: Annotated[
        str | None, typer.Option(rich_help_panel=SCHEDULE, help="Cron schedule for rephrase, such as '0 3 * * *'.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(rich_help_panel=SCHEDULE, help="Time zone of --cron, such as Europe/Berlin; UTC by default."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(rich_help_panel=SCHEDULE, min=1, help="Run rephrase every N seconds instead.")
    ] = None,
) -> None:
    """Serve the flows in Prefect's UI: start them from a form, schedule, watch, cancel and retry them.

    Connects to the Prefect server at PREFECT_API_URL, or starts one that stops with this command and asks for the
    password that is shown with its address. The API key for `--engine openai` is read from OPENAI_API_KEY, or from the
    Prefect Secret block `palimpsest-openai-api-key`; if `--config` names endpoints, or PALIMPSEST_KEY_ENDPOINTS does,
    it is sent only to these.

    A scheduled run takes the files added since the last one, and does nothing if there are none.

    Examples:

        palimpsest serve

        palimpsest serve --source in --output out --every 3600

        palimpsest serve --config nightly.toml --cron '0 3 * * *' --timezone Europe/Berlin --port 4300
    """

    with readable_errors():
        if metrics_port:
            os.environ["PALIMPSEST_METRICS_PORT"] = str(metrics_port)
        values = read_config(config) if config else {}
        values |= {name: value for name, value in {"source": source, "output": output}.items() if value is not None}
        schedule = make_schedule(cron, timezone, every)
        if schedule:
            values.setdefault("new_files", True)
            if not {"source", "output"} <= {*values}:
                raise ValueError("a schedule needs --source and --output, or a --config that sets them")
        parameters = {"rephrase": {"config": form_values(values)}} if values else {}
        if endpoints := values.get("engine", {}).get("endpoints"):
            os.environ.setdefault(KEY_ENDPOINTS, " ".join(endpoints))
        if judges := values.get("fidelity", {}).get("judge_endpoints"):
            os.environ[KEY_ENDPOINTS] = " ".join([os.environ.get(KEY_ENDPOINTS, ""), *judges])
        from flows.serving.serve import run_serving

        run_serving(
            parameters,
            {"rephrase": schedule} if schedule else {},
            port=port,
            with_password=password,
            n_runs_at_once=at_once,
            console=err,
        )


def form_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the form arranges them if a run would accept them: an error must show now, not at night.

    Raises:
        pydantic.ValidationError: a value is invalid.
    """
    from flows.config import RephraseConfig

    # The form may leave these two to the user.
    RephraseConfig.model_validate({"source": "-", "output": "-"} | values)
    return RephraseConfig.as_form(values)


def make_schedule(cron: str | None, timezone: str | None, every: float | None) -> Any:
    """
    Raises:
        ValueError: the options conflict, or the schedule is invalid.
    """
    from prefect.schedules import Cron, Interval

    if cron and every:
        raise ValueError("--cron and --every are mutually exclusive: give only one")
    if timezone and not cron:
        raise ValueError("--timezone needs --cron")
    if cron:
        return Cron(cron, timezone=timezone)
    if every and not every <= MAX_EVERY_S:
        raise ValueError(f"--every is a number of seconds up to {MAX_EVERY_S:,}, not {every:g}")
    return Interval(timedelta(seconds=every)) if every else None

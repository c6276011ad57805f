"""The `palimpsest` command with scripted models, for tests that stop it from outside.

SCRIPTED_DELAY_S is the time of each completion. There are none after SCRIPTED_N_ANSWERS, and none once there are the
files of SCRIPTED_HOLD, JSON with a number by pattern: what stops the run need not hurry then. SCRIPTED_LOG is a file in
which each request is logged, which survives whatever happens to this process; the engine dies at a passage that
contains SCRIPTED_POISON; after SCRIPTED_N_WRITES writes the disk is full; SCRIPTED_SAVE_EVERY_S is how often a document
in progress is saved; SCRIPTED_MAX_OUTAGE_S is how long a Prefect server that is away is waited for.
`--engine openai` uses a real server.

With `serve`, the deployments use this module as their entrypoint, so that their runs are scripted, too.
"""

import asyncio
import errno
import json
import os
import re
import sys
from collections import deque

from scripted import (
    BagOfWords,
    ScriptedEngine,
    SilentReader,
    WordTokenizer,
    are_there,
    lenient,
    passage,
    reverse,
)

import flows.running.run_setup
from fidelity.checker import Checker
from rephrase import completion_cache
from rephrase.engines.engine import Engine, EngineError
from rephrase.engines.opening import EngineConfig


class LoggedEngine(ScriptedEngine):
    """Logs each request when it starts: the document, the seed, the tokens of the answer. Keeps no prompts."""

    dead = False

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.prompts = deque(maxlen=0)
        self._held_at = json.loads(os.environ.get("SCRIPTED_HOLD", "{}"))
        self._n_left = int(os.environ.get("SCRIPTED_N_ANSWERS", sys.maxsize))

    async def complete(self, prompt, sampling):
        if path := os.environ.get("SCRIPTED_LOG"):
            document = re.search(r"of document (\d+)", passage(prompt))
            line = f"{document and document[1]}\t{sampling.seed}\t{len(reverse(prompt, sampling).split())}\n"
            with open(path, "a", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123  one small write
                file.write(line)
        self.dead = self.dead or os.environ.get("SCRIPTED_POISON", "\n\n\n") in passage(prompt)
        answer = await super().complete(prompt, sampling)
        if self.dead:
            raise EngineError("the scripted engine died")
        while self._n_left == 0 or (self._held_at and are_there(self._held_at)):  # noqa: ASYNC110  files are polled
            await asyncio.sleep(0.02)
        self._n_left -= 1
        return answer


real_open_engine = flows.running.run_setup.open_engine


def open_engine(config: EngineConfig, on_phase=None, *, penalizes_copies=False) -> Engine:
    if config.kind == "openai":
        return real_open_engine(config)
    if os.environ.get("SCRIPTED_MODELS") == "none":
        raise RuntimeError("this run was to load no model")
    return LoggedEngine(
        reverse,
        delay_s=float(os.environ.get("SCRIPTED_DELAY_S", "0")),
        max_in_flight=int(os.environ.get("SCRIPTED_IN_FLIGHT", "4")),
    )


def fill_disk(n_writes: int) -> None:
    """After `n_writes`, all writes fail as on a full disk."""
    fsync, left = os.fsync, iter(range(n_writes))

    def full(descriptor):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    os.fsync = full


flows.running.run_setup.open_engine = open_engine
flows.running.run_setup.open_checker = lambda config, language_judge: Checker(
    BagOfWords(), config, calibration=lenient(), open_reader=SilentReader, language_judge=language_judge
)
# The scripted model rewrites whole chunks, as a large one does.
flows.running.run_setup.model_size = lambda config, found: None
flows.running.run_setup.HubTokenizer = lambda model, **_: WordTokenizer()


def import_me() -> None:
    """For the workers of a Ray cluster."""


def main(arguments: list[str]) -> None:
    if n_writes := os.environ.get("SCRIPTED_N_WRITES"):
        fill_disk(int(n_writes))
    if save_every_s := os.environ.get("SCRIPTED_SAVE_EVERY_S"):
        completion_cache.SAVE_EVERY_S = float(save_every_s)
    if max_outage_s := os.environ.get("SCRIPTED_MAX_OUTAGE_S"):
        from flows.running import outages

        outages.MAX_OUTAGE_S = float(max_outage_s)
    if "serve" in arguments:
        import dataclasses

        import flows.serving.deployments

        flows.serving.deployments.SERVED_FLOWS = [
            dataclasses.replace(served, entrypoint=f"run_scripted.{served.name}")
            for served in flows.serving.deployments.SERVED_FLOWS
        ]
    from flows.cli.app import main

    sys.argv = ["palimpsest", *arguments]
    main()


if __name__ == "__main__":
    main(sys.argv[1:])
else:
    # The entrypoints of deployments that are scripted.
    from flows.cycling import cycle  # noqa: F401
    from flows.pretraining import full_run, pretrain  # noqa: F401
    from flows.rephrasing import rephrase  # noqa: F401
    from flows.verifying import verify  # noqa: F401

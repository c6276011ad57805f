"""The `palimpsest` command with scripted models, for tests that stop it from outside.

A deployment's entrypoint may be `run_scripted.rephrase`: then the runs of a server are scripted, too.
"""

import os
import sys

from scripted import BagOfWords, ScriptedEngine, WordTokenizer, reverse

import flows.local
import flows.resources
from flows.config import EngineConfig


def open_engine(config: EngineConfig) -> ScriptedEngine:
    if os.environ.get("SCRIPTED_MODELS") == "none":
        raise RuntimeError("this run was to load no model")
    return ScriptedEngine(reverse, delay_s=float(os.environ.get("SCRIPTED_DELAY_S", "0")), max_in_flight=4)


flows.resources.open_engine = open_engine
flows.resources.open_encoder = lambda model: BagOfWords()
flows.resources.HubTokenizer = lambda model: WordTokenizer()

if __name__ == "__main__":
    from flows.cli import main

    sys.argv[0] = "palimpsest"
    main()
else:
    from flows.rephrasing import rephrase  # noqa: F401  an entrypoint for deployments

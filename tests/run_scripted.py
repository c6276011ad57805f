"""The `palimpsest` command with scripted models, for tests that stop it from outside."""

import os
import sys

from scripted import BagOfWords, ScriptedEngine, WordTokenizer, reverse

import flows.local
import flows.resources

flows.resources.open_engine = lambda config: ScriptedEngine(
    reverse, delay_s=float(os.environ.get("SCRIPTED_DELAY_S", "0")), max_in_flight=4
)
flows.resources.open_encoder = lambda model: BagOfWords()
flows.resources.HubTokenizer = lambda model: WordTokenizer()

if __name__ == "__main__":
    from flows.cli import main

    sys.argv[0] = "palimpsest"
    main()

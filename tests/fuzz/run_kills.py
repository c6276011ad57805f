"""Runs killed at random moments and resumed: python tests/fuzz/run_kills.py [--kills 200] [--seed 0]

After each kill the folder is checked, and at the end that each document was written once and nothing that was finished
was generated again. Prints for each run of twenty kills what was generated twice: what was under way at a kill.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos import check_complete, command_server, kill_and_resume, prefect_api, write_corpus

from rephrase.storage.storage import Storage

KILLS_PER_RUN = 20
N_DOCUMENTS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    n_runs = -(-chosen.kills // KILLS_PER_RUN)
    with prefect_api() as api, command_server(api):
        for seed in range(chosen.seed, chosen.seed + n_runs):
            save_every_s = (60.0, 0.2)[seed % 2]
            with tempfile.TemporaryDirectory(prefix="palimpsest-kills-") as name:
                folder = Path(name)
                corpus, out = folder / "corpus.jsonl", folder / "out"
                write_corpus(corpus, N_DOCUMENTS)
                ledger = kill_and_resume(
                    corpus, out, folder, n_kills=KILLS_PER_RUN, seed=seed, SCRIPTED_SAVE_EVERY_S=save_every_s
                )
                check_complete(Storage(out), N_DOCUMENTS)
                if ledger.n_repeated > ledger.n_in_flight:
                    sys.exit(f"seed {seed}: finished work was repeated: {ledger}")
                print(f"seed {seed}, long documents saved every {save_every_s} s: {ledger}", flush=True)
    print(f"{n_runs * KILLS_PER_RUN} kills in {n_runs} runs: nothing lost, nothing written twice")


if __name__ == "__main__":
    main()

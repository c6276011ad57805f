"""Time, size and peak memory of the report of a large run.

The runs are synthetic, but made by the real planner and writer, from small to large. The report runs in its own
process, so that its memory is measured alone. `--links` also links sentences with the packaged encoder.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from synthetic_run import documents, write_run

from flows.results.summary import summarize

ROOT = Path(__file__).parent.parent.parent


def report(folder: Path, links: bool) -> tuple[dict[str, object], float, float]:
    """The command's output, its run time in seconds, and its peak resident memory in MB."""
    command = [sys.executable, __file__, "--child", str(folder), *(["--links"] if links else [])]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    seconds = time.monotonic() - began
    *_, printed, peak_kb = done.stdout.splitlines()
    return json.loads(printed), seconds, int(peak_kb) / 1024


def child(folder: str, links: bool) -> None:
    from flows.report.writing import write_report

    written = write_report(
        folder, None, n_sample=300, seed=0, links=links, encoder=None, notify=lambda text: print(text, file=sys.stderr)
    )
    print(json.dumps({"n_bytes": written.n_bytes, "n_shown": written.n_shown, "n_rows": written.n_rows}))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--links", action="store_true")
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        child(given.child, given.links)
        return
    print(f"{'rewrites':>10} {'rejects':>9} {'MB of shards':>13} {'seconds':>8} {'peak MB':>8} {'page MB':>8}")
    for n in given.documents:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            storage = write_run(out, documents(n), part_bytes=4 << 20)
            summary = summarize(storage)
            size = sum(file.stat().st_size for file in out.rglob("*.parquet")) / 1e6
            written, seconds, peak = report(out, given.links)
            shown = f"{written['n_shown']:,} of {written['n_rows']:,}"
            print(
                f"{summary.n_rewrites:>10,} {summary.n_rejects:>9,} {size:>13.1f} {seconds:>8.1f} {peak:>8.0f} "
                f"{int(str(written['n_bytes'])) / 1e6:>8.2f}   {shown} shown",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""The scripted command on a Ray cluster of two nodes on this machine, of which one is lost in the middle.

python tests/run_on_ray.py OUT rephrase CORPUS OUT --runner ray …
"""

import contextlib
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster


def main(out: Path, arguments: list[str]) -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 1 << 27}
    )
    second = cluster.add_node(num_cpus=1, object_store_memory=1 << 27)
    cluster.wait_for_nodes()
    # The workers script their models as the command itself does. A `ray.init` before the flow's own is kept.
    ray.init(
        address=cluster.address,
        namespace="prefect",
        runtime_env={"worker_process_setup_hook": "run_scripted.import_me"},
        log_to_driver=False,
        logging_level="error",
    )

    def lose_a_node() -> None:
        # Each node has room for one part: when two are in progress, one of them is there.
        while len({path.parent for path in out.glob("journal/*/*.json")}) < 2:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)
        print("a node was lost", file=sys.stderr)

    threading.Thread(target=lose_a_node, daemon=True).start()
    import run_scripted

    try:
        run_scripted.main(arguments)
    finally:
        ray.shutdown()
        with contextlib.suppress(Exception):
            cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

"""What the loss of a node costs a search on a cluster: three nodes on this machine, one killed.

    python benchmarks/nodes.py [TRIALS]

Scripted trials, whose folds sleep a while, on three nodes of one core each that Ray simulates. The
code reaches a node as it would another machine. Once a third of the folds is done, a node is
killed. Says what was lost, doubled and trained again, and how long it took; exits with 1 if the
search did not come to the same end as an undisturbed one must.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parents[1] / "tests" / "search"), os.environ.get("PYTHONPATH", "")]
)

from killed import Parsing
from scripted import evaluator, search

from mer_nas.evaluation.results import FoldResult
from mer_nas.provenance import cpu
from mer_nas.search.config import RayConfig
from mer_nas.search.events import Note, WorkersReady
from mer_nas.search.ledger import read
from mer_nas.search.ray_connect import patient
from mer_nas.search.ray_runner import cluster, prepare_environment

NODES = 3


class Telling(Parsing):
    """Writes down where each fold was trained."""

    folder: Path

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Train and tell."""
        import ray

        result = super().fold(candidate, index, repetition)
        line = [candidate.key, index, ray.get_runtime_context().get_node_id()]
        with (self.folder / "places").open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result


def main(trials: int) -> int:
    """Run the search, kill a node, and print what it came to."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nodes-") as place:
        folder = Path(place)
        prepare_environment(folder)
        from ray.cluster_utils import Cluster

        with patient():
            simulated = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
            )
            others = [simulated.add_node(num_cpus=1) for _ in range(NODES - 1)]
            simulated.wait_for_nodes(timeout=300)
        print(f"{cpu()}; {NODES} nodes after {time.monotonic() - began:.0f} s", flush=True)
        base = evaluator(delay=0.2)
        scripted = Telling(base.clips, base.protocol, base.seed, base.delay)
        scripted.folder = folder
        of = trials * len(base.protocol.folds)

        def kill() -> None:
            ledger = folder / "ledger.jsonl"
            while not ledger.is_file() or len(read(ledger)) < of / 3:
                time.sleep(0.1)
            simulated.remove_node(others[0], allow_graceful=False)
            print(f"a node is killed after {len(read(ledger))} of {of} folds", flush=True)

        threading.Thread(target=kill, daemon=True).start()
        heard: list[object] = []
        try:
            config = RayConfig(address=simulated.address, dashboard=False)
            with (
                cluster(config, folder, heard.append) as workers,
                search(folder, scripted, trials=trials, pruner="none") as driver,
            ):
                workers.run(driver, scripted)
                counts = dict(driver.counts)
        finally:
            simulated.shutdown()
        for event in heard:
            if isinstance(event, Note | WorkersReady):
                print(event, flush=True)
        told = [json.loads(line) for line in (folder / "places").read_text().splitlines()]
        kept = Counter(result.key for result in read(folder / "ledger.jsonl"))
        again = sum(Counter((key, index) for key, index, _ in told).values()) - len(kept)
        print(
            f"{counts}; {len(kept)} folds kept, {sum(kept.values()) - len(kept)} doubled, {again} "
            f"trained again, on {len({node for *_, node in told})} nodes; "
            f"{time.monotonic() - began:.0f} s"
        )
        return int(counts.get("complete", 0) != trials or len(kept) != of or again > NODES)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))

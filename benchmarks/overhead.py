"""What a trial costs beside its training: wall and processor time of trials that train nothing.

    python benchmarks/overhead.py [TRIALS]

Scripted candidates (tests/search/scripted.py) answer their twelve folds at once, so all that is
measured is proposing, Ray Tune, the ledger and the study. Trials run in this process, with one
worker of Ray and with two; the time is that from the first result to the last, so that Ray's start
does not count; it stands beside.
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

from killed import Parsing
from scripted import evaluator, search

from mer_nas.provenance import cpu
from mer_nas.search import local, ray_runner
from mer_nas.search.config import RayConfig
from mer_nas.search.events import Ended, Event
from mer_nas.search.storage import sqlite_url

TRIALS = 40


@dataclass
class Watch:
    """When trials ended, and what this process had computed by then."""

    began: float = field(default_factory=time.monotonic)
    ends: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Note the end of a trial."""
        if isinstance(event, Ended):
            self.ends.append((time.monotonic(), time.process_time()))

    def line(self, name: str) -> str:
        """Return what a trial took on average, and when the first one had ended."""
        (first, spent), (last, in_all) = self.ends[0], self.ends[-1]
        trials = len(self.ends) - 1
        return (
            f"{name:<14}{(last - first) / trials:8.3f} s wall and "
            f"{(in_all - spent) / trials:.3f} s of the driver's processor time a trial; "
            f"the first ended after {first - self.began:.1f} s"
        )


def run(workers: int, trials: int) -> str:
    """Run a search of trivial trials; return what they took."""
    base = evaluator()
    scripted = Parsing(base.clips, base.protocol, base.seed)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with search(
            place, scripted, trials=trials, pruner="none", storage=sqlite_url, on_event=watch
        ) as driver:
            if not workers:
                local.run(driver, scripted)
                return watch.line("this process")
            config = RayConfig(workers=workers, dashboard=False)
            with ray_runner.cluster(config, place, cpus=workers) as cluster:
                cluster.run(driver, scripted)
    return watch.line(f"{workers} of Ray")


def main(trials: int) -> None:
    """Print a line for each number of workers."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # where workers find it
    load = psutil.getloadavg()[0]
    print(f"{cpu()}, {psutil.cpu_count()} cores, load {load:.1f}; {trials} trials")
    for workers in (0, 1, 2):
        print(run(workers, trials), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS)

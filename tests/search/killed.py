"""Drives scripted searches in a process of its own, which the tests kill.

    python killed.py FOLDER PRUNER local|ray [WORKERS [ADDRESS]]
    python killed.py each MOMENT/TIMES/PRUNER/FOLDER ...

MER_NAS_CRASH_AT says at which moment the process kills itself. The second form does it for many
searches, each in a fork of this process, because importing takes longer than searching.
"""

import os
import sys
from pathlib import Path

from scripted import COSTLY, ScriptedEvaluator, Sketch, evaluator, search

from mer_nas.search import local, ray_runner
from mer_nas.search.config import RayConfig
from mer_nas.search.crash_points import VARIABLE
from mer_nas.search.lock import StudyLock
from mer_nas.search.storage import sqlite_url

TRIALS = 9


class Parsing(ScriptedEvaluator):
    """Lets workers read sketches in place of candidates."""

    parse = staticmethod(Sketch.parse)


def main(
    folder: Path, pruner: str, runner: str, workers: int = 1, address: str | None = None
) -> None:
    """Run the search in `folder` to its end."""
    base = evaluator(delay=0.0 if runner == "local" else 0.01)
    scripted = Parsing(base.clips, base.protocol, base.seed, base.delay)
    with StudyLock(folder, report) as lock:
        if runner == "local":
            with search(
                folder, scripted, trials=TRIALS, pruner=pruner, storage=sqlite_url, **COSTLY
            ) as driver:
                local.run(driver, scripted)
            return
        config = RayConfig(workers=workers, address=address, dashboard=False)
        with (
            ray_runner.cluster(config, folder, report, lock, cpus=2) as cluster,
            search(folder, scripted, trials=TRIALS, pruner=pruner, storage=sqlite_url) as driver,
        ):
            cluster.run(driver, scripted)


def report(event: object) -> None:
    """Say what happens, for the tests to read."""
    sys.stdout.write(f"{event}\n")
    sys.stdout.flush()


def each(moments: list[str]) -> None:
    """Run and kill one search after another; say how each process ended."""
    for moment in moments:
        point, times, pruner, folder = moment.split("/", 3)
        child = os.fork()
        if child == 0:
            os.environ[VARIABLE] = f"{point}:{times}"
            main(Path(folder), pruner, "local")
            os._exit(0)
        report(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    if sys.argv[1] == "each":
        each(sys.argv[2:])
    else:
        folder, pruner, runner, *rest = sys.argv[1:]
        main(Path(folder), pruner, runner, *(int(word) for word in rest[:1]), *rest[1:])

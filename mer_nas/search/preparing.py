"""Prepares clips on Ray's workers, one clip a task.

What a worker has prepared is in the cache before the task is over, so whatever ends the work loses
a clip a worker and no more.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer_nas.data.sources.prepared import Runner, Task, one_by_one, work
from mer_nas.search.config import RayConfig
from mer_nas.search.events import Listener, Preparing, ignore
from mer_nas.search.local import interruptible
from mer_nas.search.ray_runner import Cluster, cluster

FEW = 16
"""So many clips are prepared in this process before Ray's workers would have started."""


def preparer(config: RayConfig, on_event: Listener = ignore) -> Runner:
    """Return what carries out the preparation of clips, and tells how far it is.

    Args:
        config: Address and number of the workers; without a number, one a CPU core.
        on_event: Is told after each clip.
    """

    def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
        many = len(tasks) > FEW and (config.workers or os.cpu_count() or 1) > 1
        carry_out = _on_ray(config, tasks) if many else one_by_one(tasks)
        if tasks:
            on_event(Preparing(0, len(tasks)))
        with interruptible():
            for done, each in enumerate(carry_out, start=1):
                on_event(Preparing(done, len(tasks)))
                yield each

    return run


def _on_ray(config: RayConfig, tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
    # The share of a GPU that a trial takes means nothing here.
    plain = config.model_copy(update={"gpu": 0.0, "dashboard": False})
    with (
        tempfile.TemporaryDirectory(prefix="mer-nas-") as folder,
        cluster(plain, Path(folder)) as workers,
    ):
        yield from by_workers(workers, tasks)


def by_workers(workers: Cluster, tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
    """Carry tasks out on the workers of a cluster, as many at a time as it has shares."""
    import ray

    remote = ray.remote(num_cpus=workers.shares.cpu, max_retries=1)(work)
    waiting = list(reversed(tasks))
    running: dict[object, Task] = {}
    while waiting or running:
        while waiting and len(running) < workers.shares.workers:
            task = waiting.pop()
            running[remote.remote(task)] = task
        for reference in ray.wait(list(running))[0]:
            task = running.pop(reference)
            try:
                yield task, ray.get(reference)
            except ray.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                yield task, f"{task.record.id}: its worker died: {first}"

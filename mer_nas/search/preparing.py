"""Prepares clips on Ray's workers, one clip a task.

What a worker has prepared is in the cache before the task is over, so whatever ends the work loses
a clip a worker and no more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer_nas.data.records import Record
from mer_nas.data.sources.recorded import Runner, Work, one_by_one
from mer_nas.search.config import RayConfig, cores_here
from mer_nas.search.events import Listener, Preparing, ignore
from mer_nas.search.interrupts import interruptible
from mer_nas.search.ray_runner import Cluster, cluster

MAX_ALONE = 16
"""So many clips are prepared in this process before Ray's workers would have started."""


def preparer(config: RayConfig, on_event: Listener = ignore) -> Runner:
    """Return what carries out the preparation of clips, and tells how far it is.

    Args:
        config: Address and number of the workers; without a number, one a CPU core; 0 for none.
        on_event: Is told after each clip.
    """

    def run(work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        workers = config.workers if config.workers is not None else cores_here()
        many = len(records) > MAX_ALONE and workers > 1
        carry_out = _on_ray(config, work, records) if many else one_by_one(work, records)
        if records:
            on_event(Preparing(0, len(records)))
        with interruptible():
            for done, each in enumerate(carry_out, start=1):
                on_event(Preparing(done, len(records)))
                yield each

    return run


def _on_ray(
    config: RayConfig, work: Work, records: Sequence[Record]
) -> Iterator[tuple[Record, str]]:
    # The share of a GPU that a trial takes means nothing here.
    plain = config.model_copy(update={"gpu": 0.0, "dashboard": False})
    with (
        tempfile.TemporaryDirectory(prefix="mer-nas-") as folder,
        cluster(plain, Path(folder)) as workers,
    ):
        yield from by_workers(workers, work, records)


def by_workers(
    workers: Cluster, work: Work, records: Sequence[Record]
) -> Iterator[tuple[Record, str]]:
    """Do the work on the workers of a cluster, for as many clips at a time as it has shares."""
    import ray

    remote = ray.remote(num_cpus=workers.shares.cpu, max_retries=1)(_do)
    waiting = list(reversed(records))
    running: dict[object, Record] = {}
    while waiting or running:
        while waiting and len(running) < workers.shares.workers:
            record = waiting.pop()
            running[remote.remote(work, record)] = record
        for reference in ray.wait(list(running))[0]:
            record = running.pop(reference)
            try:
                yield record, ray.get(reference)
            except ray.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                yield record, f"{record.id}: its worker died: {first}"


def _do(work: Work, record: Record) -> str:
    return work(record)

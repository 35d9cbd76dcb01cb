"""Prepares clips on Ray's workers, one clip a task.

What a worker has prepared is in the cache before the task is over, so whatever ends the work loses
a clip a worker and no more. Where Ray does not start, this process does the same work alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from mer_nas.data.records import Record
from mer_nas.data.sources.recorded import Runner, Work, one_by_one
from mer_nas.search.config import RayConfig, cores_here
from mer_nas.search.events import Event, Listener, Note, Preparing, ignore
from mer_nas.search.interrupts import interruptible
from mer_nas.search.ray_connect import RayDoesNotStart
from mer_nas.search.ray_runner import Cluster, cluster
from mer_nas.search.ray_watch import EVERY, refuse_dead

MAX_ALONE = 16
"""So many clips are prepared in this process before Ray's workers would have started."""


def preparer(config: RayConfig, on_event: Listener = ignore) -> Runner:
    """Return what carries out the preparation of clips, and tells how far it is.

    Args:
        config: Address and number of the workers; without a number, one a CPU core; 0 for none.
        on_event: Is told after each clip, and what there is to say of Ray.
    """

    def run(work: Work, records: Sequence[Record]) -> Iterator[tuple[Record, str]]:
        workers = config.workers if config.workers is not None else cores_here()
        many = len(records) > MAX_ALONE and workers > 1
        if records:
            on_event(Preparing(0, len(records)))
        with interruptible(), ExitStack() as ray:  # which ends first, and has handlers to put back
            carry_out = _on_ray(config, ray, on_event) if many else one_by_one
            for done, each in enumerate(carry_out(work, records), start=1):
                on_event(Preparing(done, len(records)))
                yield each

    return run


def _on_ray(config: RayConfig, stack: ExitStack, on_event: Listener) -> Runner:
    """Start Ray for as long as the stack lasts; return what carries out the work on it."""

    def note(event: Event) -> None:
        if isinstance(event, Note):  # the workers that are ready are not those of a search
            on_event(event)

    # The share of a GPU that a trial takes means nothing here.
    plain = config.model_copy(update={"gpu": 0.0, "dashboard": False})
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mer-nas-"))
    try:
        workers = stack.enter_context(cluster(plain, Path(folder), note))
    except RayDoesNotStart as error:
        on_event(Note(f"{error}; this process prepares one clip after another itself"))
        return one_by_one
    return partial(by_workers, workers)


def by_workers(
    workers: Cluster, work: Work, records: Sequence[Record]
) -> Iterator[tuple[Record, str]]:
    """Do the work on the workers of a cluster, for as many clips at a time as it has shares.

    What `heard` raises could come up in whoever takes the clips: Ray is looked at in each round.

    Raises:
        RayDied: Something of Ray is gone.
    """
    import ray

    remote = ray.remote(num_cpus=workers.shares.cpu, max_retries=1)(_do)
    waiting = list(reversed(records))
    running: dict[object, Record] = {}
    while waiting or running:
        while waiting and len(running) < workers.shares.workers:
            record = waiting.pop()
            running[remote.remote(work, record)] = record
        ready = ray.wait(list(running), timeout=EVERY)[0]
        refuse_dead(workers.missing)  # or its end would be said of clips
        for reference in ready:
            record = running.pop(reference)
            try:
                yield record, ray.get(reference)
            except ray.exceptions.RayError as error:
                first = str(error).strip().splitlines()[0]
                yield record, f"{record.id}: its worker died: {first}"


def _do(work: Work, record: Record) -> str:
    return work(record)

"""What measures: Ray's workers, or this process alone where `ray.workers=0` asks for it.

Everything that trains folds goes through `Workers.run`: searches, final stages, evaluations,
reproductions, and the questions to outer groups. Both ways give the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from mer_nas.errors import TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.files import ensure_folder
from mer_nas.provenance import code_version
from mer_nas.search import local
from mer_nas.search.config import RayConfig
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.jobs import FoldEvaluator, Source
from mer_nas.search.ledger import Ledger
from mer_nas.search.lock import StudyLock
from mer_nas.search.measure import Measurement
from mer_nas.search.patience import PATIENT, Patience
from mer_nas.search.ray_connect import RayDoesNotStart
from mer_nas.search.ray_runner import Cluster, cluster

WITHOUT = (
    "ray.dashboard=false begins it with less, ray.workers=0 does without it, and `mer-nas resume` "
    "goes on with a study that has begun"
)
"""What can be done where Ray does not start."""


class Workers:
    """Works off sources of jobs while it is entered; Ray begins with the first that needs it.

    Args:
        config: Address, number and shares of the workers.
        folder: Of the study, where Ray Tune keeps what it wants to.
        on_event: Is told what happens.
        lock: Of the study; Ray's processes are recorded in it.
        extensions: Files with blocks of the user's, loaded by each worker.
        device: What the recipe trains on (`trainer.device`).
    """

    def __init__(
        self,
        config: RayConfig,
        folder: Path,
        on_event: Listener = ignore,
        lock: StudyLock | None = None,
        extensions: Sequence[Path] = (),
        device: str = "auto",
    ) -> None:
        self._config, self._folder, self._lock = config, folder, lock
        self._device = device
        self._emit, self._extensions = on_event, extensions
        self._stack = ExitStack()
        self._cluster: Cluster | None = None
        self.many = 0
        """Number of workers; 0 while nothing has started."""
        self.note = ""
        """What a report should say of them."""

    def __enter__(self) -> Workers:
        """Begin; nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End Ray, if it was started."""
        self._stack.close()

    def start(self) -> int:
        """Start what measures, if that has not been done; return the number of workers.

        Raises:
            StudyError: There is no cluster at the address.
            TrainingFailed: Ray does not start, and more than one worker, or a GPU, was asked for.
            ConfigError: The workers ask for more than there is.
        """
        if self.many:
            return self.many
        if self._config.workers == 0:
            self._emit(Note("ray.workers=0: one fold after another in this process, without Ray"))
            self.many = 1
        else:
            self.many = self._start_ray()
        return self.many

    def _start_ray(self) -> int:
        """Start Ray, or do without where that changes nothing; return the number of workers."""
        try:
            self._cluster = self._stack.enter_context(
                cluster(self._config, self._folder, self._emit, self._lock, self._device)
            )
        except RayDoesNotStart as error:
            if not self._config.alone():
                raise TrainingFailed(f"{error}; {WITHOUT}") from error
            self.note = f"{error}; its one worker was this process itself"
            self._emit(Note(self.note))
            return 1
        return self._cluster.shares.workers

    def run(self, source: Source, evaluator: FoldEvaluator, *, needed: bool = True) -> None:
        """Run every job that `source` gives out, until it has no more.

        A job whose fold raises an exception has failed; the others go on. Ctrl-C and its like
        raise KeyboardInterrupt and leave the jobs in flight open: whoever opens the source again
        goes on with them.

        Args:
            source: A search, or a measurement.
            evaluator: Trains and reads a fold.
            needed: Whether anything is to be trained; else the source is only heard out, here.
        """
        if needed:
            self.start()
        if needed and self._cluster is not None:
            self._cluster.run(source, evaluator, self._extensions)
        else:
            evaluator.gpu_share = self._config.own_share
            local.run(source, evaluator, self._emit)

    def measure(self, measurement: Measurement, evaluator: FoldEvaluator) -> None:
        """Run a measurement, its folds divided among the workers."""
        if measurement.missing:
            many = self.start()
            gpu = self._cluster is not None and self._cluster.shares.gpu > 0
            measurement.divide(many, partial(evaluator.together, gpu=gpu))
        self.run(measurement, evaluator, needed=bool(measurement.missing))


def measure_in(
    folder: Path,
    candidates: Mapping[str, Candidate],
    repetitions: int,
    evaluator: Evaluator,
    ray: RayConfig,
    on_event: Listener = ignore,
    patience: Patience = PATIENT,
) -> Measurement:
    """Measure candidates in a folder of their own; folds that its ledger holds are not run again.

    Args:
        folder: Is made, and holds the ledger.
        candidates: What is measured, by what people call it.
        repetitions: Of the evaluator's protocol, each with a seed of its own.
        evaluator: Trains and reads a fold.
        ray: Number and shares of the workers.
        on_event: Is told what happens.
        patience: How long a fold may take.

    Returns:
        The measurement, worked off: its results, and what repetitions failed of.

    Raises:
        ConfigError: A candidate does not fit the clips, or the folder cannot be made.
        StudyError: Another process measures them, or their ledger is damaged.
    """
    for candidate in candidates.values():
        evaluator.check(candidate)
    ensure_folder(folder)
    files = evaluator.extensions
    devices = {candidate.trainer.device for candidate in candidates.values()}
    device = devices.pop() if len(devices) == 1 else "auto"
    with (
        StudyLock(folder, on_event) as lock,
        Ledger(folder / "ledger.jsonl", on_event) as ledger,
        Workers(ray, folder, on_event, lock, files, device) as workers,
    ):
        measurement = Measurement(
            dict(candidates),
            repetitions,
            clips=evaluator.clips,
            protocol=evaluator.protocol,
            seed=evaluator.seed,
            ledger=ledger,
            code=code_version(files),
            patience=patience,
            on_event=on_event,
        )
        workers.measure(measurement, evaluator)
    return measurement

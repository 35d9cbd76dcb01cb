"""Works off a source of jobs on Ray's workers.

`cluster` starts Ray on this machine, or joins a running one, and keeps it for as many sources as
come: the search and the final stage share the workers. Ray Tune does the scheduling (`tuning`);
the driver stays in this process, and it alone writes the study and the ledger.

Ray listens to settings in the environment when it is imported and when its processes start. They
stand in `ENVIRONMENT` and are set here before anything imports Ray; what the user has set wins.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mer_nas
from mer_nas.search import nodes
from mer_nas.search.config import RayConfig, Shares, gpus_here
from mer_nas.search.events import Listener, Note, WorkersReady, ignore
from mer_nas.search.interrupts import interruptible
from mer_nas.search.jobs import FoldEvaluator, Source
from mer_nas.search.lock import StudyLock
from mer_nas.search.processes import Process, end, make_folder
from mer_nas.search.ray_connect import MAX_FOLDER, join, protect_token, shown_token, start
from mer_nas.search.ray_watch import CORE, Missing, head, heard, own_core

ENVIRONMENT: Mapping[str, str] = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune prints no tables of its own
    "RAY_DEDUP_LOGS": "0",
    "RAY_prestart_worker_first_driver": "0",  # one a core, before it knows how many are wanted
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same in a worker
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would have the folder shipped to the workers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # without a share of a GPU, see none
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `interruptible` sees to Ctrl-C
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",  # each fold is heard of at once
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Cluster:
    """Ray, ready to run sources of jobs."""

    shares: Shares
    dashboard: str
    """Address of the dashboard; empty without one."""
    token: str
    """Path of the file whose content the dashboard asks for; empty where it asks for nothing."""
    logs: Path
    """Where Ray logs, the workers' lines among the rest; gone when the cluster is closed."""
    folder: Path
    """Where Tune keeps what it wants to; a cache."""
    emit: Listener
    own: bool
    """Whether Ray was started here and ends with this."""
    lock: StudyLock | None
    spare: frozenset[int]
    """Processes that this one had begun before Ray."""
    scratch: Path
    """Where Ray keeps its sockets and logs while it runs."""
    missing: Missing
    """Says what of Ray has died, if anything has."""

    def run(
        self, source: Source, evaluator: FoldEvaluator, extensions: Sequence[Path] = ()
    ) -> None:
        """Run every job that `source` gives out, until it has no more.

        A job whose fold raises an exception has failed; the others go on. A job whose worker dies
        is taken up again once, from its first missing fold. Ctrl-C and its like raise
        KeyboardInterrupt and leave the jobs in flight open.

        Args:
            source: The search or the final stage.
            evaluator: Trains and reads a fold; it is shared with the workers once.
            extensions: Files with blocks of the user's, loaded by each worker.
        """
        from mer_nas.search import tuning

        with interruptible(), heard(self.missing, self.clear):
            tuning.run(
                source,
                evaluator,
                extensions,
                shares=self.shares,
                folder=self.folder,
                emit=self.emit,
                note_workers=self.note_workers,
            )

    @property
    def dead(self) -> bool:
        """Whether Ray itself has died."""
        return bool(self.missing())

    def clear(self) -> None:
        """End what is left of a Ray that was started here, and its folder."""
        end(_children(self.spare), self.scratch)

    def note_workers(self) -> None:
        """Record the processes of Ray, so that a later session can end what is left of them."""
        if self.own and self.lock is not None:
            self.lock.record(_children(self.spare), self.scratch)


@contextlib.contextmanager
def cluster(
    config: RayConfig,
    folder: Path,
    on_event: Listener = ignore,
    lock: StudyLock | None = None,
    device: str = "auto",
    cpus: int | None = None,
    gpus: int | None = None,
) -> Iterator[Cluster]:
    """Start Ray, or join it, for the length of a `with` statement.

    A Ray that this process has begun before is used and left running.

    Args:
        config: Address, workers and shares.
        folder: Of the study.
        on_event: Is told what is there.
        lock: Of the study; workers are recorded in it.
        device: What the recipe trains on (`trainer.device`).
        cpus: What this machine is taken to have; by default what Ray finds.
        gpus: What this machine is taken to have; by default what Ray finds.

    Raises:
        StudyError: There is no cluster at the address, or Ray does not start.
        ConfigError: The workers ask for more than there is.
    """
    config.refuse_numbered(device)
    temporary = make_folder(MAX_FOLDER)
    prepare_environment(temporary)
    import ray

    spare = frozenset(process.pid for process in Process.of(os.getpid()).descendants())
    own = not ray.is_initialized()
    local = own and config.address is None
    if local:
        _tell_place(temporary, on_event)
        protect_token()
        if lock is not None:
            lock.record((), temporary)
    ready: Cluster | None = None
    with interruptible():
        try:
            context = _connect(config, temporary, cpus, gpus, on_event) if own else _running_ray()
            ready = Cluster(
                shares=config.share(_resources(local), device),
                dashboard=_url(context),
                token=shown_token(),
                logs=Path(context.address_info["session_dir"]) / "logs",
                folder=folder,
                emit=on_event,
                own=local,
                lock=lock,
                spare=spare,
                scratch=temporary,
                missing=own_core([p for p in _children(spare) if p.name in CORE])
                if local
                else head(context.address_info["gcs_address"]),
            )
            ready.note_workers()
            if own and not local:
                nodes.ask_every_node(on_event)
            workers, gpu = ready.shares.workers, ready.shares.gpu
            on_event(WorkersReady(workers, gpu, ready.dashboard, ready.token))
            yield ready
        finally:
            left = _children(spare) if local else ()
            try:
                if own and not (ready is not None and ready.dead):  # it would wait for the dead
                    ray.shutdown()
            finally:  # a second Ctrl-C
                end(left, temporary, grace=2.0)


def _children(spare: frozenset[int]) -> tuple[Process, ...]:
    family = Process.of(os.getpid()).descendants()
    return tuple(process for process in family if process.pid not in spare)


def prepare_environment(scratch: Path) -> None:
    """Set what Ray reads from the environment; to be called before anything imports Ray.

    Args:
        scratch: A folder that lasts as long as Ray does.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    home = str(Path(mer_nas.__path__[0]).parent)  # a bare checkout is not installed
    if os.pathsep in home:  # then PYTHONPATH cannot name it
        link = scratch / "code"
        link.symlink_to(home)
        home = str(link)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if home not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, home]))


def _connect(
    config: RayConfig, temporary: Path, cpus: int | None, gpus: int | None, on_event: Listener
) -> Any:
    """Connect this process with Ray; return what Ray says of itself."""
    if config.address is not None:
        return join(config.address)
    return start(config.dashboard, temporary, cpus, gpus, on_event)


def _tell_place(temporary: Path, on_event: Listener) -> None:
    wanted = Path(tempfile.gettempdir())
    if temporary.parent != wanted:
        on_event(
            Note(
                f"temporary files of the workers lie in {temporary.parent}, because {wanted} is "
                "too long a path for Ray's sockets"
            )
        )


def _running_ray() -> Any:
    import ray

    return ray.init(ignore_reinit_error=True, logging_level=logging.CRITICAL)


def _url(context: Any) -> str:
    found = context.dashboard_url
    return f"http://{found}" if found and "//" not in found else found or ""


def _resources(local: bool) -> Mapping[str, float]:
    """Return what Ray counts; of a Ray that was started here also what its GPUs hold."""
    import ray

    return {**(gpus_here() if local else {}), **ray.cluster_resources()}  # type: ignore[no-untyped-call]

"""One small adapter for each tracker: what it is told of runs, in the words of its library.

Where they keep it is the library's own to say, by its environment (`MLFLOW_TRACKING_URI`,
`WANDB_MODE`, `WANDB_API_KEY`, `WANDB_PROJECT`, `WANDB_DIR`); without a word, on this machine.
"""

import contextlib
import importlib
import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mer_nas.errors import StudyError
from mer_nas.search.config import TrackerName
from mer_nas.tracking.runs import (
    News,
    RunAdvanced,
    RunBegan,
    RunEnded,
    StudyWon,
    TrackedRun,
)

MODULES: Mapping[TrackerName, str] = {
    "tensorboard": "tensorboardX",
    "mlflow": "mlflow",
    "wandb": "wandb",
}
"""What each is imported from; tensorboardX, which writes for TensorBoard, comes with Ray Tune."""


class Tracker:
    """What hears of runs; runs that it holds to their end already are not told again.

    Args:
        place: The folder where it may keep what it wants to.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._held: set[str] = set()

    def hear(self, news: News) -> None:
        """Take in what is new of a run; whatever the library raises comes out."""
        run = news.run
        match news:
            case RunBegan():
                if not self.begin(run):
                    self._held.add(run.identity)
            case RunAdvanced(_, done, _, values) if run.identity not in self._held:
                self.log(run, values, "folds_done", done)
            case RunEnded(_, outcome, reason, uf1, losses) if run.identity not in self._held:
                for epoch, loss in enumerate(losses, start=1):
                    self.log(run, {"loss": loss, "epoch": epoch}, "epoch", epoch)
                self.end(run, {} if uf1 is None else {"uf1": uf1}, outcome, reason)
            case StudyWon(_, values, artefacts):
                self.win(run, values, artefacts)

    def begin(self, run: TrackedRun) -> bool:
        """Begin a run anew; False where it is kept to its end already."""
        raise NotImplementedError

    def log(self, run: TrackedRun, values: Mapping[str, float], axis: str, step: int) -> None:
        """Keep values of a run that has begun, at a step of an axis."""
        raise NotImplementedError

    def end(self, run: TrackedRun, values: Mapping[str, float], outcome: str, reason: str) -> None:
        """Keep how a run ended."""
        raise NotImplementedError

    def win(
        self, run: TrackedRun, values: Mapping[str, float], artefacts: tuple[Path, ...]
    ) -> None:
        """Keep the winner in place of one that was kept before."""
        raise NotImplementedError

    def close(self) -> None:
        """Bring everything to its place."""


class TensorBoard(Tracker):
    """A folder of event files for each run, written anew whenever the study is told of anew."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._writers: dict[str, Any] = {}

    def begin(self, run: TrackedRun) -> bool:
        """Make the folder anew."""
        from tensorboardX import SummaryWriter

        folder = self.place / run.name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        self._writers[run.identity] = writer = SummaryWriter(str(folder), flush_secs=5)
        rows = [f"| {name} | {value} |" for name, value in run.settings.items()]
        writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))
        return True

    def log(self, run: TrackedRun, values: Mapping[str, float], axis: str, step: int) -> None:
        """Add scalars."""
        for name, value in values.items():
            if name not in ("folds_done", "epoch"):  # the axes
                self._writers[run.identity].add_scalar(name, value, step)

    def end(self, run: TrackedRun, values: Mapping[str, float], outcome: str, reason: str) -> None:
        """Add the outcome as text, and settings with scores as hyperparameters."""
        from tensorboardX.summary import hparams

        writer = self._writers.pop(run.identity)
        writer.add_text("outcome", f"{outcome}: {reason}" if reason else outcome)
        for name, value in values.items():
            writer.add_scalar(name, value, 0)
        if values:
            # The writer's own way opens a second file, which is the first one within a second.
            for each in hparams(dict(run.settings), dict(values)):
                writer.file_writer.add_summary(each)
        writer.close()

    def win(
        self, run: TrackedRun, values: Mapping[str, float], artefacts: tuple[Path, ...]
    ) -> None:
        """Add the scores, and where the artefacts lie: TensorBoard keeps no files."""
        self.begin(run)
        writer = self._writers[run.identity]
        writer.add_text("artefacts", "\n".join(f"- {path.resolve()}" for path in artefacts))
        self.end(run, values, "winner", "")

    def close(self) -> None:
        """Let go of runs that have not ended."""
        while self._writers:
            self._writers.popitem()[1].close()


class MLflow(Tracker):
    """A run of an experiment that is called as the study."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # not minutes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        mlflow: Any = importlib.import_module("mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        place.mkdir(parents=True, exist_ok=True)
        uri = self.uri or f"sqlite:///{(place / 'mlflow.db').resolve().as_posix()}"
        self._make: Any = lambda: mlflow.MlflowClient(uri)
        self._client: Any = None
        self._experiment = ""
        self._runs: dict[str, str] = {}

    def begin(self, run: TrackedRun) -> bool:
        """Begin the run, in place of one that a killed search has left open."""
        if not self._open(run, ended=("FINISHED", "FAILED", "KILLED")):
            return False
        from mlflow.entities import Param

        params = [Param(name, str(value)[:6000]) for name, value in run.settings.items()]
        for first in range(0, len(params), 100):  # a request takes no more
            chosen = params[first : first + 100]
            self._client.log_batch(self._runs[run.identity], params=chosen)
        return True

    def log(self, run: TrackedRun, values: Mapping[str, float], axis: str, step: int) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self._runs[run.identity], metrics=metrics)

    def end(self, run: TrackedRun, values: Mapping[str, float], outcome: str, reason: str) -> None:
        """Log the scores; outcome and reason are tags."""
        which = self._runs[run.identity]
        if values:
            self.log(run, values, "", 0)
        self._client.set_tag(which, "outcome", outcome)
        if reason:
            self._client.set_tag(which, "reason", reason[:5000])
        states = {"pruned": "KILLED", "failed": "FAILED"}
        self._client.set_terminated(which, states.get(outcome, "FINISHED"))

    def win(
        self, run: TrackedRun, values: Mapping[str, float], artefacts: tuple[Path, ...]
    ) -> None:
        """Log the scores, and the artefacts as such."""
        self._open(run, ended=())
        which = self._runs[run.identity]
        for name, value in run.settings.items():
            self._client.log_param(which, name, value)
        for path in artefacts:
            if path.is_dir():
                self._client.log_artifacts(which, str(path), path.name)
            else:
                self._client.log_artifact(which, str(path))
        self.end(run, values, "winner", "")

    def _open(self, run: TrackedRun, ended: tuple[str, ...]) -> bool:
        """Make a run; False where there is one that ended so, others of its identity give way."""
        if self._client is None:
            self._client = self._make()
            self._experiment = self._named(run.study)
        which = f"tags.`mer_nas.run` = '{run.identity}'"
        for found in self._client.search_runs([self._experiment], which):
            if found.info.status in ended:
                return False
            self._client.delete_run(found.info.run_id)
        tags = {"mer_nas.run": run.identity, "study": run.study}
        made = self._client.create_run(self._experiment, run_name=run.name, tags=tags)
        self._runs[run.identity] = made.info.run_id
        return True

    def _named(self, study: str) -> str:
        known = self._client.get_experiment_by_name(study)
        if known is not None:
            return str(known.experiment_id)
        here = (self.place / "artefacts").resolve().as_uri()
        return str(
            self._client.create_experiment(study, artifact_location=None if self.uri else here)
        )


class WeightsAndBiases(Tracker):
    """A run of the group that is called as the study; offline where no key is known.

    Its own files lie in `wandb/` of the working directory, where its users look for them: it links
    to files elsewhere, which nothing in a study's folder may.
    """

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        os.environ.setdefault("WANDB_SILENT", "true")
        wandb: Any = importlib.import_module("wandb")
        self._wandb = wandb
        wandb.setup()  # its process begins now, and not among those of Ray
        self.mode = os.environ.get("WANDB_MODE") or ("online" if _has_key(wandb) else "offline")
        self._runs: dict[str, Any] = {}

    def begin(self, run: TrackedRun) -> bool:
        """Begin the run, in place of one that a killed search has left in the folder."""
        if self._mark(run).is_file():
            return False
        here = Path(os.environ.get("WANDB_DIR") or ".") / "wandb"
        for left in here.glob(f"offline-run-*-{run.identity}"):
            shutil.rmtree(left, ignore_errors=True)
        self._runs[run.identity] = made = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "mer-nas"),
            group=run.study,
            name=run.name,
            id=run.identity,
            resume=None if self.mode == "offline" else "allow",
            mode=self.mode,
            config=dict(run.settings),
            reinit="create_new",
            settings=self._wandb.Settings(
                silent=True,
                console="off",
                save_code=False,
                disable_git=True,
                x_save_requirements=False,
                x_disable_stats=True,
                x_disable_meta=True,
                init_timeout=30,
            ),
        )
        for axis, names in {
            "folds_done": ("uf1_partial", "fold_accuracy", "fold_loss", "fold_seconds"),
            "epoch": ("loss",),
        }.items():
            made.define_metric(axis)
            for name in names:
                made.define_metric(name, step_metric=axis)
        return True

    def log(self, run: TrackedRun, values: Mapping[str, float], axis: str, step: int) -> None:
        """Log values, the axis among them."""
        self._runs[run.identity].log({**values, axis: step})

    def end(self, run: TrackedRun, values: Mapping[str, float], outcome: str, reason: str) -> None:
        """Put scores, outcome and reason into the summary."""
        made = self._runs.pop(run.identity)
        made.summary.update({**values, "outcome": outcome, "reason": reason})
        made.finish(exit_code=int(outcome == "failed"))
        mark = self._mark(run)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    def win(
        self, run: TrackedRun, values: Mapping[str, float], artefacts: tuple[Path, ...]
    ) -> None:
        """Log the artefacts as one of the library's own."""
        self._mark(run).unlink(missing_ok=True)
        self.begin(run)
        kept = self._wandb.Artifact(f"winner-{run.identity}", type="model")
        for path in artefacts:
            if path.is_dir():
                kept.add_dir(str(path), name=path.name)
            else:
                kept.add_file(str(path))
        self._runs[run.identity].log_artifact(kept)
        self.end(run, values, "winner", "")

    def close(self) -> None:
        """Let go of runs that have not ended."""
        while self._runs:
            self._runs.popitem()[1].finish()

    def _mark(self, run: TrackedRun) -> Path:
        return self.place / "told" / f"{self.mode}-{run.identity}"


def _has_key(wandb: Any) -> bool:
    """Return whether the library knows a key, without a question to anybody."""
    with contextlib.suppress(Exception):  # its own way of saying that there is none
        return bool(wandb.login(prompt=False, verify=False))
    return False


def open_tracker(name: TrackerName, folder: Path) -> Tracker:
    """Return the adapter of a tracker for the study in a folder; nothing is sent yet.

    Raises:
        StudyError: It is not installed.
    """
    refuse_missing(name)
    made: Mapping[TrackerName, type[Tracker]] = {
        "tensorboard": TensorBoard,
        "mlflow": MLflow,
        "wandb": WeightsAndBiases,
    }
    return made[name](folder / "tracking" / name)


def refuse_missing(name: TrackerName) -> None:
    """Refuse a tracker that is not installed.

    Raises:
        StudyError: It is not; the message names the extra.
    """
    if importlib.util.find_spec(MODULES[name]) is None:
        raise StudyError(f"{name} is not installed; `pip install 'mer-nas[{name}]'` brings it")

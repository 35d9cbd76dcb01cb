"""The public functions: what the command line does, as calls.

from mer_nas import api

study = api.search("space=moe", "study.trials=20")
print(study.report.answer.uf1.mean)
network = api.load_model(study.export()).network
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mer_nas import architectures, systems
from mer_nas.evaluation.candidate import Candidate
from mer_nas.export import LoadedModel, load
from mer_nas.prediction.model import Model
from mer_nas.prediction.predict import Prediction
from mer_nas.prediction.predict import predict as _predict
from mer_nas.report import Report, read_report
from mer_nas.search.events import Listener, ignore
from mer_nas.settings import Settings, resolve
from mer_nas.study import create, export, extended, find_study, load_clips, run, tentative
from mer_nas.study.compare import ComparedCandidates, compare_candidates
from mer_nas.study.evaluate import Evaluated
from mer_nas.study.evaluate import evaluate as _evaluate
from mer_nas.study.folder import StudyFolder
from mer_nas.study.reproduce import Reproduction, read_reported_result
from mer_nas.study.reproduce import reproduce as _reproduce
from mer_nas.study.state import StudyState
from mer_nas.trust import Wish, asking, require

__all__ = [
    "Study",
    "build",
    "compare",
    "evaluate",
    "load_model",
    "load_study",
    "point",
    "predict",
    "reproduce",
    "search",
    "settings",
]


@dataclass(frozen=True)
class Study:
    """A search that has been run, or that was interrupted."""

    folder: Path

    @property
    def report(self) -> Report:
        """What was found.

        Raises:
            StudyError: The study never came to its report.
        """
        return read_report(self.folder / "report.json")

    @property
    def finalists(self) -> list[Candidate]:
        """The candidates of the final stage, best first; without one, the complete trials."""
        folder = StudyFolder(self.folder)
        state = StudyState(folder, folder.origin())
        entries = [finalist for finalist, _ in state.finalists] or state.ranked()
        return [entry.candidate for entry in entries]

    def resume(self, *words: str, anew: bool = False, on_event: Listener = ignore) -> Study:
        """Go on with the search; `words` such as "study.trials=60" may extend it.

        Args:
            *words: As on the command line.
            anew: Where other code began the study, measure its candidates again with this one.
            on_event: Is told what happens.

        Raises:
            Untrusted: The study is somebody else's and wants to act here; see `load_study`.
        """
        folder = StudyFolder(self.folder)
        settings = extended(folder.settings(), words)
        command = shlex.join(["mer-nas", "resume", str(self.folder), *words])
        run(folder, load_clips(settings), on_event, command, settings, anew=anew)
        return self

    def export(self, rank: int = 1) -> Path:
        """Train a finalist on all clips and export it; return the folder of its files."""
        folder = StudyFolder(self.folder)
        return export(folder, load_clips(folder.settings()), rank)


def settings(*words: str) -> Settings:
    """Return what `key=value` words such as "space=moe" or "trainer.lr=1e-3" resolve to.

    Raises:
        ConfigError: Every mistake of the words and of the files they name, one a line.
    """
    return resolve(words)


def search(*words: str, on_event: Listener = ignore) -> Study:
    """Search, retrain the best, export the winner and write the report, as `mer-nas search` does.

    Args:
        *words: As on the command line.
        on_event: Is told what happens.
    """
    resolved = resolve(words)
    clips = load_clips(resolved, on_event=on_event)
    folder = create(resolved, clips, shlex.join(["mer-nas", "search", *words]))
    with tentative(folder):
        run(folder, clips, on_event)
    return Study(folder.path)


def compare(*words: str) -> ComparedCandidates:
    """Compare studies, candidates of a study and reports, as `mer-nas compare` does.

    Args:
        *words: Two or more, such as "runs/moe-synthetic-1", "prog_s" and "other/report.json".

    Raises:
        StudyError: They were not measured on the same clips under one protocol.
    """
    return compare_candidates(words)


def load_study(folder: str | Path, *, trust: bool = False) -> Study:
    """Return the study in a folder, or of a name under `runs`.

    Args:
        folder: The study.
        trust: Whether the Python files that a study of somebody else names may be run, and
            whatever else it wants to do outside of its folder be done.

    Raises:
        StudyError: There is none.
        Untrusted: It wants to do so, and you have not agreed.
    """
    found = find_study(str(folder))
    with asking(trust):
        require(map(Wish.to_run, found.settings().space.extensions))
    return Study(found.path)


def point(name: str, *words: str) -> Candidate:
    """Return a published point or reference of a space as a candidate.

    Args:
        name: Such as "prog_s".
        *words: As on the command line; `space=` says where the point is.
    """
    resolved = resolve(words)
    return systems.candidate(resolved.space, name, resolved.trainer, resolved.trainer_words)


def build(candidate: Candidate, classes: int) -> nn.Module:
    """Return the freshly initialised network of a candidate.

    Its `forward` takes one tensor (B, channels, size, size) for each of
    `candidate.architecture.inputs` and returns the logits (B, classes); in training mode a
    `ModelOutput`, with auxiliary losses.
    """
    network: nn.Module = architectures.Network(candidate.architecture, classes)
    return network


def evaluate(*words: str, point: str | None = None, seeds: int = 1) -> Evaluated:
    """Measure one candidate under the protocol of `study.folds`; finished folds are kept.

    Args:
        *words: As on the command line.
        point: A point or reference of the space; without, the space must have no open leaf.
        seeds: Repetitions of the protocol.
    """
    resolved = resolve(words)
    return _evaluate(resolved, load_clips(resolved, point), point, seeds)


def reproduce(
    report: str | Path, *words: str, trust: bool = False, on_event: Listener = ignore
) -> Reproduction:
    """Train the winner of a report again and compare every number that follows from it.

    Args:
        report: The file, a folder that holds one, or the name of a study under `runs`.
        *words: What is another here: "data.root=DIR", "trainer.device=cpu", "ray.workers=4".
        trust: Whether the Python files that the report names may be run.
        on_event: Is told what happens.

    Raises:
        StudyError: There is no report, another version wrote it, or it names no winner.
        DataError: The clips here are others than the report's.
        Untrusted: It names Python files, and you have not agreed to run them.
    """
    with asking(trust):
        reported = read_reported_result(str(report), words)
        return _reproduce(reported, load_clips(reported.settings, on_event=on_event), on_event)


def predict(folder: str | Path, clip: str | Path) -> Prediction:
    """Return what an exported network says of a video, a folder of frames, or "ONSET,APEX".

    Raises:
        ExportError: The folder holds no export.
        DataError: The clip cannot be read or prepared.
    """
    return _predict(Model.open(Path(folder)), str(clip))[0]


def load_model(folder: str | Path, *, trust: bool = False) -> LoadedModel:
    """Rebuild the network of an export in this process.

    Args:
        folder: The export.
        trust: Whether the Python files with blocks that it names may be run.

    Raises:
        ExportError: A file is missing, or is not the one that was exported.
        Untrusted: It names Python files, and you have not agreed to run them.
    """
    with asking(trust):
        return load(Path(folder))

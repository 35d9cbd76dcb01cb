"""The public functions: all that the command line does, as calls.

Whatever takes `key=value` words takes keywords too: a group (`space`, `trainer`, `data`, `study`,
`ray`) as the name or path of a preset, as a mapping of settings that differ from it, or as its
typed configuration; and every setting of the study under its own name.

>>> from mer_nas import api
>>> small = {"data": {"subjects": 3, "clips": 12}, "folds": 3, "ray": {"workers": 0}}
>>> study = api.search(space="moe", trials=1, final={"candidates": 1, "seeds": 1}, **small)
>>> study.report.answer.uf1.seeds, str(study.folder)
(1, 'runs/moe-synthetic-1')
>>> network = api.load_model(study.export()).network
>>> api.reproduce(study.folder, "ray.workers=0").verdict
'identical'
>>> api.evaluate(point="prog_s", trainer={"epochs": 1}, **small).protocol
'3 subject groups'

Long work tells `on_event`, if it is given, what happens (`mer_nas.search.events`). What is heavy
is imported when it is called for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mer_nas.config.arguments import argument
from mer_nas.errors import ConfigError, ExportError, MerNasError, StudyError, shown, unknown
from mer_nas.files import ensure_folder, place
from mer_nas.search.events import Listener, Note, listening
from mer_nas.shell import TYPED, command_line
from mer_nas.trust import asking
from mer_nas.turns import one_at_a_time

if TYPE_CHECKING:
    import optuna
    import pandas

    from mer_nas.config.base import Tree
    from mer_nas.config.keys import Key
    from mer_nas.data.checks.check import CheckReport
    from mer_nas.evaluation.candidate import Candidate
    from mer_nas.evaluation.timing import Timing
    from mer_nas.export import LoadedModel
    from mer_nas.export.classifier import Classifier
    from mer_nas.prediction.model import Model
    from mer_nas.prediction.predict import Prediction
    from mer_nas.report import Report
    from mer_nas.settings import Settings
    from mer_nas.study.compare import ComparedCandidates
    from mer_nas.study.evaluate import Evaluated
    from mer_nas.study.leaderboard import Leaderboard
    from mer_nas.study.plans.plan import Plan
    from mer_nas.study.reproduction.reproduce import Reproduction
    from mer_nas.study.trial import Trial
    from mer_nas.study.watch import LiveServer
    from mer_nas.systems import System
    from mer_nas.vetting import CheckedSpace

GROUPS = ("space", "trainer", "data", "study")
"""The groups of settings that have presets."""

__all__ = [
    "Study",
    "as_yaml",
    "asking",
    "blocks",
    "build",
    "check",
    "check_data",
    "compare",
    "copy_preset",
    "diagram",
    "draw_clips",
    "evaluate",
    "export",
    "hub_folder",
    "keys",
    "layouts",
    "leaderboard",
    "load_model",
    "load_study",
    "open_export",
    "plan",
    "plan_evaluation",
    "plan_reproduction",
    "point",
    "predict",
    "presets",
    "reproduce",
    "schema",
    "search",
    "settings",
    "synthesize",
    "system",
    "systems",
    "time_candidate",
]


@dataclass(frozen=True)
class Study:
    """A search that has been run, or that was interrupted.

    Whatever takes the path of a study takes the study itself: as a path it is its folder.
    """

    folder: Path
    failed: int = field(default=0, compare=False)
    """What failed in the session that returned it: trials, repetitions of the final stage, outer
    groups, the export."""

    def __post_init__(self) -> None:
        """Let a text be the folder, too."""
        object.__setattr__(self, "folder", place(self.folder, "folder", StudyError))

    def __fspath__(self) -> str:
        """Return where it lies."""
        return str(self.folder)

    def __repr__(self) -> str:
        """Return where it lies and, once it has a report, what won."""
        try:
            said = repr(self.report).removeprefix("Report(").removesuffix(")")
        except MerNasError:
            said = "no report yet"
        return f"Study({str(self.folder)!r}, {said})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from mer_nas.report.page import render_brief

        try:
            return render_brief(self.report, str(self.folder))
        except MerNasError:
            return render_brief(None, str(self.folder))

    @property
    def report(self) -> Report:
        """What was found.

        Raises:
            StudyError: The study never came to its report.
        """
        from mer_nas.report import read_report

        return read_report(self.folder / "report.json")

    @property
    def best(self) -> Candidate:
        """The best candidate: the best finalist, else the best complete trial.

        Raises:
            StudyError: No trial is complete.
        """
        if not (ranked := self._ranked()):
            raise StudyError(f"{self.folder}: no trial is complete, so there is no best one")
        return ranked[0].candidate

    @property
    def optuna(self) -> optuna.Study:
        """The Optuna study that the search asked, in its storage: what is set in it is kept there.

        Raises:
            StudyError: The storage cannot be opened, or does not hold it yet.
        """
        from mer_nas.study.frames import optuna_study

        return optuna_study(self.folder)

    def trials_dataframe(self) -> pandas.DataFrame:
        """Return the trials that have ended, a row each: outcome, UF1, cost, time, parameters.

        Proposals that were refused, infeasible or duplicates, have a row as well: they are trials
        to Optuna, and none to `trials=`. Only complete trials have a UF1. The study may be
        running: nothing of it is touched.

        Raises:
            StudyError: A file of the study is damaged, or its storage is lost.
        """
        from mer_nas.study.frames import trials_frame

        return trials_frame(self.folder)

    @property
    def ledger(self) -> pandas.DataFrame:
        """Every finished fold, a row each: candidate, subjects, clips, how many were right, time.

        Raises:
            StudyError: There is no fold yet, or the file is damaged.
        """
        from mer_nas.study.frames import ledger_frame

        return ledger_frame(self.folder)

    @property
    def finalists(self) -> list[Candidate]:
        """The candidates of the final stage, best first; without one, the complete trials."""
        return [trial.candidate for trial in self._ranked()]

    def _ranked(self) -> list[Trial]:
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.state import StudyState

        folder = StudyFolder(self.folder)
        state = StudyState(folder, folder.origin(), looking=True)  # it may be somebody's share
        return [finalist for finalist, _ in state.finalists] or state.ranked()

    @one_at_a_time
    def resume(
        self, *words: str, anew: bool = False, on_event: Listener | None = None, **settings: Any
    ) -> Study:
        """Go on with the search; `trials=60` or the word "study.trials=60" may extend it.

        Args:
            *words: As on the command line.
            anew: Where other code began the study, or folds of it are lost, measure its candidates
                again with this one.
            on_event: Is told what happens; by default as for `search`.
            **settings: As for `search`.

        Raises:
            ConfigError: A setting would change what the finished trials were measured with.
            StudyError: Another process runs the study, or the clips or the code are not its own.
            Untrusted: The study is somebody else's and wants to act here; see `load_study`.
        """
        from mer_nas.study.clips import load_clips
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.notebook import in_notebook
        from mer_nas.study.run import run

        on_event = in_notebook() if on_event is None else listening(on_event)
        folder, anew = StudyFolder(self.folder), argument(bool, anew, "resume.anew")
        changed, words = self._extended(words, settings)
        flags = ["--anew"] * anew
        command = command_line("mer-nas", "resume", self.folder, *words, *flags)
        clips = load_clips(changed, on_event=on_event)
        return Study(self.folder, run(folder, clips, on_event, command, changed, anew=anew))

    @one_at_a_time
    def plan(
        self, *words: str, anew: bool = False, on_event: Listener | None = None, **settings: Any
    ) -> Plan:
        """Return what `resume` would do and how long it would take; make and train nothing.

        Args:
            *words: As of `resume`.
            anew: As of `resume`.
            on_event: Is told what a reader should know of the space.
            **settings: As of `resume`.

        Raises:
            ConfigError: A setting would change what the finished trials were measured with.
            StudyError: Another process runs the study, or the clips or the code are not its own.
        """
        from mer_nas.study.clips import list_clips
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.plans.resume import plan_resume

        on_event, anew = listening(on_event), argument(bool, anew, "plan.anew")
        changed, _ = self._extended(words, settings)
        return plan_resume(
            StudyFolder(self.folder), changed, list_clips(changed), on_event, anew=anew
        )

    def _extended(
        self, words: Sequence[str], settings: dict[str, Any]
    ) -> tuple[Settings, tuple[str, ...]]:
        """Return the study's settings with changes, and these as words."""
        from mer_nas.settings import worded
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.resume import extended

        more, given = worded(settings)
        if given:
            raise ConfigError(f"{', '.join(given)}: what goes on takes single settings alone")
        changed = extended(StudyFolder(self.folder).settings(), (*words, *more))
        _refuse_stale(changed)
        return changed, (*words, *more)

    @one_at_a_time
    def plan_export(self, rank: int | str = 1, *words: str, anew: bool = False) -> Plan:
        """Return what `export` would train and how long that takes; make and train nothing.

        Args:
            rank: As of `export`.
            *words: As of `export`.
            anew: As of `export`.

        Raises:
            ExportError: There is no finalist of this rank, or no ensemble.
            StudyError: The study still runs, or the clips or the code are not its own.
        """
        from mer_nas.study.clips import list_clips
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.plans.export import plan_export
        from mer_nas.study.resume import extended

        folder, anew = StudyFolder(self.folder), argument(bool, anew, "plan_export.anew")
        changed = extended(folder.settings(), words)
        return plan_export(folder, changed, list_clips(changed), rank, anew=anew)

    @one_at_a_time
    def export(
        self,
        rank: int | str = 1,
        *words: str,
        anew: bool = False,
        on_event: Listener | None = None,
    ) -> Path:
        """Train a finalist, or the members of the ensemble, on all clips; return the folder.

        Args:
            rank: 1 is the winner; "ensemble" is the ensemble of the study.
            *words: Where the data lie here, such as "data.root=DIR".
            anew: Where other code began the study, train with this one what that has measured.
            on_event: Is told of the training.

        Raises:
            ConfigError: A word or an argument is wrong.
            ExportError: There is no finalist of this rank, or no ensemble.
            StudyError: The study still runs, or the clips or the code are not its own.
        """
        from mer_nas.search.lock import refuse_driven
        from mer_nas.study.clips import load_clips
        from mer_nas.study.exports import export
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.resume import extended

        on_event, anew = listening(on_event), argument(bool, anew, "export.anew")
        folder = StudyFolder(self.folder)
        refuse_driven(folder.path)
        clips = load_clips(extended(folder.settings(), words), on_event=on_event)
        return export(folder, clips, rank, on_event, anew=anew)

    def watch(self, port: int = 0) -> LiveServer:
        """Serve the report of the study as it grows, to this machine alone, until it is closed.

        Nothing of the study is touched: it may be running, finished, or somebody else's.

        Args:
            port: Of this machine; 0 takes a free one.

        Returns:
            What serves it; `address` is where. A `with` statement closes it, or `close`.

        Raises:
            ConfigError: The port is taken.
            StudyError: A file of the study is damaged.
        """
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.watch import LiveServer

        return LiveServer(StudyFolder(self.folder), port)

    @one_at_a_time
    def write_report(self) -> Report:
        """Write the report anew from storage and ledger, train nothing; return it.

        Raises:
            StudyError: The study still runs, or a file of it is damaged.
        """
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.run import rewrite_report

        return rewrite_report(StudyFolder(self.folder))

    def track(self, tracker: str) -> int:
        """Tell a tracker of every trial and of the winner; return how many runs that is.

        What a tracker holds to its end already, it is not told again.

        Args:
            tracker: "tensorboard", "mlflow" or "wandb".

        Raises:
            ConfigError: There is no such tracker.
            StudyError: It is not installed, cannot be reached or refuses, or the study still runs.
        """
        from mer_nas.study.folder import StudyFolder
        from mer_nas.study.tracked import track_study, tracker_named

        return track_study(StudyFolder(self.folder), tracker_named(tracker))


# Settings and presets -------------------------------------------------------------------------


def settings(*words: str, point: str | None = None, **settings: Any) -> Settings:
    """Return what words such as "space=moe" or "trainer.lr=1e-3", and keywords, resolve to.

    >>> settings("trainer.lr=1e-3", space="moe", trials=5).study.trials
    5

    Args:
        *words: As on the command line.
        point: Where no space is named, the first one that has this point is meant.
        **settings: As for `search`.

    Raises:
        ConfigError: Every mistake of the words and of the files they name, one a line.
    """
    return _resolved(words, settings, point=point, also=("point",))[0]


def keys(group: str) -> list[Key]:
    """Return the settings of space, trainer, data, study or ray: what each may be and does.

    >>> [key.default for key in keys("study") if key.name == "study.folds"]
    ['4']

    Raises:
        ConfigError: There is no such group.
    """
    from mer_nas.config.keys import keys

    return list(keys(group))


def presets(group: str) -> dict[str, str]:
    """Return the presets of a group and what each is, in a sentence.

    >>> "moe" in presets("space")
    True

    Raises:
        ConfigError: There is no such group.
    """
    from mer_nas.config import presets

    if group not in GROUPS:
        raise ConfigError(unknown("group", group, GROUPS))
    return {name: presets.summary(group, name) for name in presets.names(group)}


def copy_preset(group: str, name: str, folder: str | Path = ".") -> Path:
    """Copy a preset to a folder, to be changed there; return the file.

    Raises:
        ConfigError: There is no such preset, the file exists, or the folder cannot be made.
    """
    from mer_nas.config import presets
    from mer_nas.files import write

    if group not in GROUPS:
        raise ConfigError(
            f"{group}{'=' * bool(name)}{name}: {unknown('group', group, GROUPS)}; "
            "space=moe would be right"
        )
    file = presets.find(group, name)
    target = place(folder, "folder", ConfigError) / file.name
    if target.exists():
        raise ConfigError(f"{target}: the file exists and is left as it is")
    ensure_folder(target.parent)
    write(target, file.read_text(encoding="utf-8"))
    return target


def as_yaml(tree: Tree) -> str:
    """Return a plain tree as YAML that every group's files are read from.

    Raises:
        ConfigError: It holds what is no plain value.
    """
    from mer_nas.config.presets import dump

    return dump(tree)


def schema(group: str, space: str | None = None) -> Tree:
    """Return the JSON schema of a group's YAML files, or of an architecture in closed form.

    Args:
        group: space, trainer, data, study, ray or architecture.
        space: A space whose extensions count too.

    Raises:
        ConfigError: There is no such group.
    """
    if group != "architecture":
        from mer_nas.settings import schema

        return schema(group)
    from mer_nas import architectures

    _load_blocks(space)
    return architectures.architecture_schema()


# Spaces and candidates ------------------------------------------------------------------------


@one_at_a_time
def check(*words: str, **settings: Any) -> CheckedSpace:
    """Read a space, build its points and references, draw from it; search nothing.

    Parts of the user's own are asked about noise, their networks trained on it for one step.

    >>> check(space="moe").feasible > 0.9
    True

    Raises:
        ConfigError: The space is not well formed; every mistake.
        Infeasible: A point, or every draw, breaks a rule of the grammar.
    """
    from mer_nas.vetting import check
    from mer_nas.vetting.own import Noise

    resolved, _ = _resolved(words, settings)
    space, noise = resolved.space, Noise.like(resolved.data)
    found = check(space, resolved.trainer, noise, drawn=resolved.study.sampler != "points")
    if space.extensions:
        from mer_nas.export.bundle import unexportable

        found = replace(found, notes=(*found.notes, *unexportable(space, noise.classes)))
    return found


@one_at_a_time
def systems(space: str) -> list[System]:
    """Return the published systems of a space: its points and references, built and counted.

    Points are counted for the classes of the embedded data, three as those of MEGC2019.

    >>> "prog_s" in [system.name for system in systems("moe")]
    True
    """
    from mer_nas.data import number_of_classes
    from mer_nas.systems import published_systems

    resolved = settings(space=space)
    return published_systems(resolved.space, number_of_classes(resolved.data))


def blocks(space: str | None = None) -> dict[str, dict[str, type[Any]]]:
    """Return the blocks of each slot by their `kind`, those of a space's extensions among them.

    >>> "none" in blocks()["gate"]
    True
    """
    from mer_nas.architectures import SLOTS

    _load_blocks(space)
    return {slot: dict(registry.items()) for slot, registry in SLOTS.items()}


def point(name: str, *words: str, **settings: Any) -> Candidate:
    """Return a published point or reference of a space as a candidate.

    >>> point("prog_s").architecture.inputs
    ('flow_uvs',)

    Args:
        name: Such as "prog_s".
        *words: As on the command line; without `space=`, of the first space that has the point.
        **settings: As for `search`.
    """
    from mer_nas.systems import candidate

    resolved, _ = _resolved(words, settings, point=name)
    return candidate(resolved.space, name, resolved.trainer, resolved.trainer_words)


@one_at_a_time
def system(name: str, *words: str, **settings: Any) -> System:
    """Return a published point or reference, counted for the classes of the data; see `point`."""
    from mer_nas.data import number_of_classes
    from mer_nas.systems import published_system

    resolved, _ = _resolved(words, settings, point=name)
    return published_system(resolved.space, name, number_of_classes(resolved.data))


@one_at_a_time
def build(candidate: Candidate, classes: int) -> Classifier:
    """Return the freshly initialised network of a candidate.

    >>> sum(weights.numel() for weights in build(point("prog_s"), classes=3).parameters()) > 0
    True

    Its `forward` takes one tensor (B, channels, size, size) for each of
    `candidate.architecture.inputs` and returns the logits (B, classes). It can be traced and
    exported as any module; `forward_features`, `forward_head` and `num_features` are as timm has
    them, and `forward_training` gives a `ModelOutput`, with auxiliary losses.

    Raises:
        ConfigError: It is no candidate, or there are fewer than two classes.
    """
    from mer_nas.export.classifier import Classifier

    _refuse_unbuildable(candidate, classes)
    return Classifier(candidate.architecture, classes)


@one_at_a_time
def diagram(candidate: Candidate, classes: int = 3, width: int = 94) -> str:
    """Return the network of a candidate as a drawing of text, at most so wide, or 46 letters.

    >>> "head" in diagram(point("prog_s"))
    True
    """
    from mer_nas.diagram import Diagram

    _refuse_unbuildable(candidate, classes)
    return Diagram.of(candidate.architecture, classes).as_text(width)


@one_at_a_time
def time_candidate(candidate: Candidate, classes: int = 3) -> Timing:
    """Measure how long a training step and a clip at inference take on this machine."""
    from mer_nas.evaluation.timing import clock

    _refuse_unbuildable(candidate, classes)
    return clock(candidate, classes)


def _refuse_unbuildable(candidate: object, classes: object) -> None:
    from mer_nas.evaluation.candidate import Candidate

    if not isinstance(candidate, Candidate):
        raise ConfigError(f"candidate={shown(candidate)}: one of `point(NAME)` would be right")
    if type(classes) is not int or classes < 2:
        raise ConfigError(f"classes={shown(classes)}: a whole number of 2 or more would be right")


# Data -----------------------------------------------------------------------------------------


def layouts() -> list[Any]:
    """Return what the official layouts of recorded data provide, a row each."""
    from mer_nas.data.checks.overview import overview

    return list(overview())


def check_data(
    *words: str, progress: Callable[[int, int], None] | None = None, **settings: Any
) -> CheckReport:
    """Read a data set and every frame of it; compare with the official counts.

    Args:
        *words: As on the command line.
        progress: Is told how many clips are done, and of how many.
        **settings: As for `search`.
    """
    from mer_nas.architectures.extensions import load_extensions
    from mer_nas.data.checks.check import check_data

    told = listening(progress, "progress")
    resolved, _ = _resolved(words, settings)
    load_extensions(resolved.space.extensions)
    study = resolved.study
    return check_data(resolved.data, told, study.folds, study.seed)


def synthesize(progress: Callable[[int, int], None] | None = None, **options: Any) -> int:
    """Write synthetic clips in the official form of a data set; return how many there are.

    Args:
        progress: Is told how many clips are done, and of how many.
        **options: `layout`, `out`, `counts` and the other fields of `data.synthesis.Synthesis`.

    Raises:
        ConfigError: An option is unknown or wrong.
        DataError: The folder holds something, or cannot be written.
    """
    from mer_nas.config.base import validate
    from mer_nas.data.synthesis import Synthesis
    from mer_nas.data.synthesis.official import synthesize

    told = listening(progress, "progress")
    return synthesize(validate(Synthesis, options, "synthesize"), told)


def draw_clips(file: str | Path, *words: str, **settings: Any) -> None:
    """Draw a typical clip of each class: onset, apex, flow, strain and dynamic image.

    Args:
        file: Ends in .svg, .png or .pdf; as a word of the command line, too: "out=clips.png".
        *words: As on the command line.
        **settings: As for `search`.
    """
    from mer_nas import data
    from mer_nas.architectures.extensions import load_extensions
    from mer_nas.data.needs import Needs
    from mer_nas.report.charts.canvas import check_picture
    from mer_nas.report.gallery import GALLERY_INPUTS, draw_gallery
    from mer_nas.search.preparing import preparer

    resolved, _ = _resolved(words, settings)
    out = check_picture(file.removeprefix("out=") if isinstance(file, str) else file, "out=")
    load_extensions(resolved.space.extensions)
    # Only synthetic clips are sure to have action units; who asks others in vain is refused.
    units = resolved.data.kind == "synthetic"
    needs = Needs("the picture", GALLERY_INPUTS, action_units=units)
    draw_gallery(data.load(resolved.data, needs, preparer(resolved.ray)), out)


# Studies --------------------------------------------------------------------------------------


@one_at_a_time
def search(*words: str, on_event: Listener | None = None, **settings: Any) -> Study:
    """Search, retrain the best, export them and write the report, as `mer-nas search` does.

    Args:
        *words: As on the command line.
        on_event: Is told what happens; by default a notebook shows how far the search is, and
            whatever is none shows nothing.
        **settings: Groups (`space`, `trainer`, `data`, `study`, `ray`) and settings of the study
            (`trials=20`).
    """
    from mer_nas.study.clips import load_clips, refuse_undivided
    from mer_nas.study.folder import create, refuse_taken, tentative
    from mer_nas.study.notebook import in_notebook
    from mer_nas.study.run import run

    on_event = in_notebook() if on_event is None else listening(on_event)
    resolved, words = _resolved(words, settings)
    refuse_taken(resolved.study)
    refuse_undivided(resolved)
    clips = load_clips(resolved, on_event=on_event)
    folder = create(resolved, clips, command_line("mer-nas", "search", *words), on_event)
    with tentative(folder, on_event) as tell:
        return Study(folder.path, run(folder, clips, tell))


@one_at_a_time
def plan(*words: str, on_event: Listener | None = None, **settings: Any) -> Plan:
    """Return what `search` would do and how long it would take; make and train nothing.

    >>> plan(space="moe", study="standard").tree["folds"]
    4
    """
    from mer_nas.study.clips import list_clips
    from mer_nas.study.folder import refuse_taken
    from mer_nas.study.plans.search import plan_search

    on_event = listening(on_event)
    resolved, _ = _resolved(words, settings)
    refuse_taken(resolved.study)
    return plan_search(resolved, list_clips(resolved), on_event)


def load_study(folder: str | Path | Study, *, trust: bool = False) -> Study:
    """Return the study in a folder, or of a name under `runs`; a study is itself.

    Args:
        folder: The study.
        trust: Whether the Python files that a study of somebody else names may be run, and
            whatever else it wants to do outside of its folder be done.

    Raises:
        StudyError: There is none.
        Untrusted: It wants to do so, and you have not agreed.
    """
    from mer_nas.architectures.extensions import wishes
    from mer_nas.study.folder import find_study
    from mer_nas.trust import require

    found = find_study(folder)
    with asking(trust):
        if found.settings_file.is_file():  # else whatever is done with it says what is missing
            require(wishes(found.settings().space.extensions))
    return folder if isinstance(folder, Study) else Study(found.path)


@one_at_a_time
def evaluate(
    *words: str,
    point: str | None = None,
    seeds: int = 1,
    on_event: Listener | None = None,
    **settings: Any,
) -> Evaluated:
    """Measure one candidate under the protocol of `study.folds`; finished folds are kept.

    Args:
        *words: As on the command line.
        point: A point or reference of the space; without, the space must have no open leaf.
        seeds: Repetitions of the protocol.
        on_event: Is told what happens.
        **settings: As for `search`.

    Raises:
        ConfigError: The space is open and no point is named, or a reference does not fit the data.
        TrainingFailed: A fold cannot be trained; those that can are kept.
    """
    from mer_nas.study.clips import load_clips, refuse_undivided
    from mer_nas.study.evaluate import evaluate

    on_event = listening(on_event)
    words, point, seeds = _asked(words, point, seeds)
    resolved, _ = _resolved(words, settings, point=point, also=("point", "seeds"))
    refuse_undivided(resolved, point)
    clips = load_clips(resolved, point, on_event)
    on_event(Note(clips.describe()))
    return evaluate(resolved, clips, point, seeds, on_event)


@one_at_a_time
def leaderboard(
    *words: str,
    folder: str | Path,
    seeds: int = 2,
    hours: float = 2.0,
    plan: bool = False,
    on_event: Listener | None = None,
    **settings: Any,
) -> Leaderboard:
    """Measure every named network under the protocol of `study.folds`.

    Each is trained by its own recipe and by `trainer`; finished rows are not run again.

    Args:
        *words: As on the command line; without `space=` the networks of all shipped spaces.
        folder: Where the leaderboard lies, or is begun.
        seeds: Repetitions of the protocol.
        hours: The most that a row may take on one core; what takes longer is named with its cost.
        plan: Only say what would be measured and how long each takes; make and train nothing.
        on_event: Is told what happens.
        **settings: As for `search`.

    Raises:
        ConfigError: A word is wrong, or no named network reads what the data give.
    """
    from pydantic import PositiveFloat

    from mer_nas.config import overrides

    on_event, at = listening(on_event), place(folder, "folder", ConfigError)
    hours = argument(PositiveFloat, hours, "leaderboard.hours")
    planned = argument(bool, plan, "leaderboard.plan")
    words, point, seeds = _asked(words, None, seeds)
    if point is not None:
        raise ConfigError("a leaderboard holds every named network; no point= would be right")
    one = "space" in settings or any(word.startswith("space=") for word in words)
    each = [{}] if one else [{"space": name} for name in presets("space")]
    spaces = [_resolved(words, settings | space, also=("seeds",))[0] for space in each]
    here = (*overrides.PLACE_KEYS, "ray")  # is no matter of whoever reads the leaderboard
    told = [word for word in words if not overrides.below(word.partition("=")[0], here)]
    board = command_line("mer-nas", "evaluate", "--leaderboard", at, *told, f"seeds={seeds}")
    command = f"{board} --hours {hours:g}"
    from mer_nas.study.leaderboard_run import measure_leaderboard  # who errs waits for no torch

    return measure_leaderboard(
        spaces, at, seeds, hours, command=command, planned=planned, on_event=on_event
    )


@one_at_a_time
def plan_evaluation(
    *words: str,
    point: str | None = None,
    seeds: int = 1,
    **settings: Any,
) -> Plan:
    """Return what `evaluate` would measure and how long that takes; make and train nothing."""
    from mer_nas.study.clips import list_clips
    from mer_nas.study.plans.evaluation import plan_evaluation

    words, point, seeds = _asked(words, point, seeds)
    resolved, _ = _resolved(words, settings, point=point, also=("point", "seeds"))
    return plan_evaluation(resolved, list_clips(resolved, point), point, seeds)


def compare(*words: str | Path | Study, picture: str | Path | None = None) -> ComparedCandidates:
    """Compare studies, candidates of a study and reports, as `mer-nas compare` does.

    Args:
        *words: Two or more, such as "runs/moe-synthetic-1" or the study itself, which is what that
            study hands over, "runs/moe-synthetic-1:ensemble", "prog_s" and "other/report.json".
        picture: File for a picture of the scores and differences: .svg, .png or .pdf.

    Raises:
        StudyError: They were not measured on the same clips under one protocol.
    """
    from mer_nas.report.charts.canvas import check_picture
    from mer_nas.study.compare import compare_candidates

    file = None if picture is None else check_picture(picture, "--picture ")
    for word in words:
        if not isinstance(word, str | os.PathLike):
            raise ConfigError(f"compare: {shown(word)}; a path, a name or a study would be right")
    found = compare_candidates([os.fspath(word) for word in words])
    if file is not None:
        from mer_nas.study.forest_plot import forest_plot

        forest_plot(found, file)
    return found


@one_at_a_time
def reproduce(
    report: str | Path | Study,
    *words: str,
    trust: bool = False,
    on_event: Listener | None = None,
) -> Reproduction:
    """Train the winner of a report again and compare every number that follows from it.

    Of an ensemble every member is trained, and all are combined seed by seed.

    Args:
        report: The file, a folder that holds one, a study, or the name of one under `runs`.
        *words: What is another here: "data.root=DIR", "trainer.device=cpu", "ray.workers=4".
        trust: Whether the Python files that the report names may be run.
        on_event: Is told what happens.

    Raises:
        StudyError: There is no report, another version wrote it, or it names no winner.
        DataError: The clips here are others than the report's.
        TrainingFailed: A fold of which the report holds a score cannot be trained here.
        Untrusted: It names Python files, and you have not agreed to run them.
    """
    from mer_nas.study.clips import load_clips
    from mer_nas.study.reproduction.reported_result import read_reported_result
    from mer_nas.study.reproduction.reproduce import contradicted, reproduce

    on_event = listening(on_event)
    with asking(trust):
        reported = read_reported_result(report, words)
        if (refuted := contradicted(reported, on_event)) is not None:
            return refuted
        clips = load_clips(reported.settings, on_event=on_event)
        return reproduce(reported, clips, on_event)


@one_at_a_time
def plan_reproduction(report: str | Path | Study, *words: str, trust: bool = False) -> Plan:
    """Return what `reproduce` would train and how long that takes; make and train nothing.

    Args:
        report: As of `reproduce`.
        *words: As of `reproduce`.
        trust: As of `reproduce`.

    Raises:
        StudyError: There is no report, another version wrote it, or it names no winner.
        DataError: The clips here are others than the report's.
        Untrusted: It names Python files, and you have not agreed to run them.
    """
    from mer_nas.study.clips import list_clips
    from mer_nas.study.plans.reproduction import plan_reproduction
    from mer_nas.study.reproduction.reported_result import read_reported_result

    with asking(trust):
        reported = read_reported_result(report, words)
        return plan_reproduction(reported, list_clips(reported.settings))


# Exports --------------------------------------------------------------------------------------


@one_at_a_time
def export(
    study: str | Path | Study,
    rank: int | str = 1,
    *words: str,
    anew: bool = False,
    on_event: Listener | None = None,
) -> Path:
    """Export a finalist or the ensemble of a study, as `Study.export` does; return the folder."""
    return load_study(study).export(rank, *words, anew=anew, on_event=on_event)


def hub_folder(export: str | Path, folder: str | Path) -> Path:
    """Copy an export into a new folder as the Hugging Face Hub takes a model; return the folder.

    Its `README.md` begins with what the Hub reads, the corrected score first. Nothing is sent.

    Raises:
        ExportError: `export` is none, or `folder` holds something.
    """
    from mer_nas.export.hub import write_hub_folder

    return write_hub_folder(
        place(export, "export", ExportError), place(folder, "folder", ExportError)
    )


def open_export(folder: str | Path | Study, *, trust: bool = False) -> Model:
    """Return what was exported, or a study's answer, ready to run without torch.

    The answer of a study is its ensemble where it hands that over, else its winner.

    Args:
        folder: The export, or the study.
        trust: Whether Python files with inputs that it names may be run.

    Raises:
        ExportError: The folder holds no export, or its files are not those that were exported.
        Untrusted: It reads inputs of a user's own, and you have not agreed to run them.
    """
    from mer_nas.prediction.model import Model

    with asking(trust):
        return Model.open(place(folder, "folder", ExportError))


def predict(
    model: str | Path | Study | Model,
    clip: str | Path,
    *,
    onset: int | None = None,
    apex: int | None = None,
    offset: int | None = None,
    fps: float | None = None,
    cropped: bool = False,
    picture: str | Path | None = None,
) -> Prediction:
    """Return what an export says of a video, a folder of frames, or "ONSET,APEX".

    Args:
        model: What `open_export` returned; or an export, or a study that has one.
        clip: The clip.
        onset: Number of the frame where the motion begins.
        apex: Number of the frame where it is largest; by default it is looked for.
        offset: Number of the frame where it has ended.
        fps: Frames per second, above 0.
        cropped: Whether frames show nothing but the face.
        picture: File for a picture of the flow, and of where the network looked: .svg, .png or
            .pdf.

    Raises:
        ConfigError: What is said of the frames, or the file of the picture, is wrong.
        ExportError: The folder holds no export.
        DataError: The clip cannot be read or prepared.
        Untrusted: It reads inputs of a user's own; `open_export` takes `trust`.
    """
    from mer_nas.config.base import validate
    from mer_nas.prediction.clip_input import Given
    from mer_nas.prediction.model import Model
    from mer_nas.prediction.predict import predict

    said = {"onset": onset, "apex": apex, "offset": offset, "fps": fps, "cropped": cropped}
    given = validate(Given, said, "predict")
    if picture is not None:
        from mer_nas.report.charts.canvas import check_picture

        file = check_picture(picture, "--picture ", makes_folder=True)
    if not isinstance(model, Model):
        model = Model.open(place(model, "model", ExportError))
    found, inputs = predict(model, str(clip), given)
    if picture is not None:
        from mer_nas.prediction.picture import draw

        draw(model.folder, found, inputs, file)
    return found


@one_at_a_time
def load_model(folder: str | Path, *, trust: bool = False) -> LoadedModel:
    """Rebuild the network of an export in this process.

    That of several members is an `EnsembleNetwork`, which takes all their inputs in the order of
    `manifest.inputs`; softmax of its logits is the mean of their probabilities.

    Args:
        folder: The export.
        trust: Whether the Python files with blocks that it names may be run.

    Raises:
        ExportError: A file is missing, or is not the one that was exported.
        Untrusted: It names Python files, and you have not agreed to run them.
    """
    from mer_nas.export import load

    with asking(trust):
        return load(place(folder, "folder", ExportError))


def _resolved(
    words: Sequence[str],
    keywords: dict[str, Any],
    *,
    point: str | None = None,
    also: Sequence[str] = (),
) -> tuple[Settings, tuple[str, ...]]:
    """Return settings, and all that was asked for as words; a point finds its space."""
    from mer_nas.settings import resolve, with_space_of, worded

    more, given = worded(keywords)
    known = [*words, *more]
    if point is not None and "space" not in given:
        known = with_space_of(point, known)
    resolved = resolve(known, also, given)
    _refuse_stale(resolved)
    return resolved, (*known, *(f"{group}={TYPED}" for group in given))


def _refuse_stale(settings: Settings) -> None:
    """Refuse users' files that were edited since this process has loaded them."""
    if settings.space.extensions:
        from mer_nas.architectures.extensions import refuse_stale

        refuse_stale(settings.space.extensions)


def _asked(
    words: Sequence[str], point: str | None, seeds: int
) -> tuple[tuple[str, ...], str | None, int]:
    """Return the words but for `point=` and `seeds=`, and these, wherever they stand."""
    from mer_nas.config import overrides

    read = overrides.parse(words)
    rest = tuple(word for word in words if word.partition("=")[0] not in ("point", "seeds"))
    return rest, read.plain.get("point", point), overrides.whole(read, "seeds", seeds)


def _load_blocks(space: str | None) -> None:
    from mer_nas.architectures.extensions import load_extensions

    load_extensions(settings(space=space).space.extensions if space else [])

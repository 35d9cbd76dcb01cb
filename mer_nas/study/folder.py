"""Where a study lies, and what it was set up with.

runs/moe-synthetic-1/
├── settings.yaml    what the words resolved to, as it holds now
├── origin.json      the command, the clips and the folds it began with
├── study.db         the Optuna study
├── trials.jsonl     its trials once more, from which it is rebuilt where it is lost
├── ledger.jsonl     every finished fold with its predictions
├── hindsight.jsonl leaky diagnostics of the final stage, which nothing but the report reads
├── extensions/      copies of the files with blocks of the user's own
├── best.yaml        the winner as a space without open leaves
├── export/rank1/    the winner, trained on all clips
├── export/ensemble/ the ensemble, each member trained on all clips
├── looks.json       what that network looks at
├── predictions.parquet   the ledger's predictions in columns, for other programs
├── outer/           with study.outer: the searches that never saw a group, and its answers
└── report.html, report.json, report.md
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from mer_nas import files, trust
from mer_nas.architectures.extensions import COPIES, copy_files, every_file, stand_in
from mer_nas.config import presets
from mer_nas.config.base import Config, Tree, validate
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Fold, Protocol, divide
from mer_nas.errors import DataError, MerNasError, StudyError, system_said, unknown
from mer_nas.files import read_json, read_text, refused, write
from mer_nas.provenance import code, code_version
from mer_nas.report import DataSummary
from mer_nas.search.config import StudyConfig
from mer_nas.search.events import Event, Listener, Note, Opened, ignore
from mer_nas.search.ledger import read
from mer_nas.search.pruners import build
from mer_nas.search.ray_watch import RayDied
from mer_nas.search.samplers import build_sampler
from mer_nas.search.storage import DATABASE, sqlite_url
from mer_nas.settings import Settings
from mer_nas.shell import command_line
from mer_nas.sources import Sources
from mer_nas.study.leaderboard import find_leaderboard
from mer_nas.study.plans.forecast import decided
from mer_nas.study.what_lies import what_lies
from mer_nas.systems import grid
from mer_nas.vetting import vet
from mer_nas.vetting.own import Noise

RUNS = Path("runs")
OWN = "the settings of a study of my own"
IN_PLACE = (
    "ledger.jsonl",
    "hindsight.jsonl",
    "trials.jsonl",
    "sessions.jsonl",
    "study.db",
    "driver.lock",
)
"""How the names of files begin that grow where they lie; all others are replaced whole."""
BEGUN = ("origin.json", "settings.yaml", *IN_PLACE)
"""How the names of files begin that a study has before its first fold."""


class Origin(Config):
    """What a study began with; a resumed study must find it unchanged."""

    command: str
    code: str
    """Version of the code that can change a score."""
    files: Sources = Field(default_factory=dict)
    """The modules of that code, each with what it means; of older studies none."""
    extensions: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the copies of the user's own files, by their path in the study's folder."""
    data: DataSummary
    settings: Tree | None = None
    """What `settings.yaml` said at first; of older studies None."""
    search: Protocol
    final: Protocol | None = None
    outer: Protocol | None = None
    """Groups of subjects that searches of their own never see; none without `study.outer`."""
    optuna: str = "search"
    """Name of the Optuna study in its storage, which others may share; of a younger study it is
    the study's own, with what tells it apart in a storage for many."""
    earlier: tuple[str, ...] = ()
    """Optuna studies of the same search under earlier code, whose candidates come first."""


@dataclass(frozen=True)
class StudyFolder:
    """A study on disk."""

    path: Path

    @property
    def name(self) -> str:
        """What the study is called."""
        return self.path.name

    @property
    def resume(self) -> str:
        """The line of a shell that goes on with it."""
        return command_line("mer-nas", "resume", self.path)

    @property
    def settings_file(self) -> Path:
        """The resolved settings."""
        return self.path / "settings.yaml"

    @property
    def ledger(self) -> Path:
        """Every finished fold."""
        return self.path / "ledger.jsonl"

    @property
    def database(self) -> Path:
        """The Optuna study, where `study.storage` names no other place."""
        return self.path / DATABASE

    @property
    def trials(self) -> Path:
        """The trials of the Optuna study, from which it is rebuilt."""
        return self.path / "trials.jsonl"

    @property
    def hindsight(self) -> Path:
        """What the folds of the final stage would have said after their earlier epochs."""
        return self.path / "hindsight.jsonl"

    @property
    def best(self) -> Path:
        """The winner as a space without open leaves."""
        return self.path / "best.yaml"

    @property
    def sessions(self) -> Path:
        """How long each session took."""
        return self.path / "sessions.jsonl"

    @property
    def attribution(self) -> Path:
        """What the winner looks at."""
        return self.path / "looks.json"

    @property
    def predictions(self) -> Path:
        """The predictions of the ledger in columns."""
        return self.path / "predictions.parquet"

    def export(self, place: int | Literal["ensemble"]) -> Path:
        """Return where the finalist of a rank, or the ensemble, is exported to."""
        return self.exports / (place if isinstance(place, str) else f"rank{place}")

    @property
    def exports(self) -> Path:
        """Where the exports lie."""
        return self.path / "export"

    def inner(self, number: int, of: int) -> StudyFolder:
        """Return the search that does not see outer group `number` of so many."""
        return StudyFolder(self.path / "outer" / f"{number}-of-{of}")

    @property
    def answers(self) -> Path:
        """What the winners of the inner searches said of the outer groups: a ledger."""
        return self.path / "outer" / "ledger.jsonl"

    def settings(self) -> Settings:
        """Return the settings as they hold now.

        Files with blocks that the settings of one's own study name may be run; a study of somebody
        else may not act outside its folder unless the user agrees.

        Raises:
            StudyError: The file is missing, or a link leads out of the folder.
            ConfigError: It has been edited into something else, with every mistake.
            Untrusted: The user does not agree.
        """
        self._refuse_leads()
        text, place = read_text(self.settings_file, StudyError), str(self.settings_file)
        tree, own = presets.parse(text, place), trust.known(_digest(OWN, text))
        if not own:
            trust.require(trust.to_reach(tree))
        settings = Settings.load(tree, place)
        self._stand_in(settings.space.extensions)
        if own:
            trust.name_files(every_file(settings.space.extensions))
        else:
            trust.require(_outside(settings, text))
        return replace(settings, own=own)

    def _stand_in(self, extensions: list[Path]) -> None:
        """Let the copies of the user's own files be loaded in the place of those that are gone.

        Raises:
            StudyError: A copy is not what it was.
        """
        if all(file.is_file() for file in extensions):
            return
        for name, digest in self.origin().extensions.items():
            copy = self.path / name
            if copy.is_file() and (found := files.digest(copy)) != digest:
                raise StudyError(
                    f"{copy}: this is not the copy that the study has made: its SHA-256 is "
                    f"{found[:12]}..., not {digest[:12]}...; put {extensions[0]} back"
                )
        stand_in(extensions, self.path)

    def origin(self) -> Origin:
        """Return what the study began with.

        Raises:
            StudyError: The file is missing, or no JSON.
            ConfigError: It was edited into something else, with every mistake.
        """
        file = self.path / "origin.json"
        return validate(Origin, read_json(file, StudyError), str(file))

    def storage(self, study: StudyConfig) -> str:
        """Return the URL or the file of the Optuna storage."""
        return study.storage or sqlite_url(self.path)

    def save(self, settings: Settings) -> None:
        """Write the settings in place of those before.

        What the user's words say is known again as the user's. What somebody else's study wants
        has been agreed to by now; it stays agreed to, and no more than that.
        """
        tree = settings.dump()
        text = presets.dump(tree)
        outside = [*_outside(settings, text), *trust.to_reach(tree)]
        if not settings.own:
            for wish in outside:
                trust.agree(*wish)
        elif settings.space.extensions or outside:
            trust.agree(_digest(OWN, text), f"the settings of {self.path.resolve()}")
        write(self.settings_file, text)

    def take_away(self) -> None:
        """Take away what a study writes before its first fold, and the folder if that is all."""
        with suppress(OSError):
            for path in self.path.iterdir():
                name = path.name.removeprefix(".").removesuffix(".new")
                if name.startswith(BEGUN) and not path.is_dir():
                    path.unlink()
            shutil.rmtree(self.path / COPIES, ignore_errors=True)
            self.path.rmdir()

    def _refuse_leads(self) -> None:
        root = Path(os.path.realpath(self.path))
        for folder, folders, names in os.walk(self.path):
            for name in (*folders, *names):
                _refuse_lead(Path(folder, name), root)


def _refuse_lead(path: Path, root: Path) -> None:
    """Refuse an entry of a study through which something elsewhere would be read or written."""
    found = path.lstat()
    real = Path(os.path.realpath(path))  # of a junction too, which is no link to Windows
    if not real.is_relative_to(root):
        raise StudyError(
            f"{path}: this link leads out of the study, to {real}; what a study reads and writes "
            "lies in its folder: put the file itself there, or delete the link"
        )
    if not any(kind(found.st_mode) for kind in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)):
        raise StudyError(f"{path}: this is neither a file nor a folder; delete it")
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and path.name.startswith(IN_PLACE):
        raise StudyError(
            f"{path}: this file has another name elsewhere (a hard link), where it would be "
            "changed too; put a copy of it in its place"
        )


def _digest(what: str, text: str) -> str:
    """Return what stands for one meaning of a text: to run it, or to keep it, is another."""
    return files.digest(f"{what}\n{text}")


def _outside(settings: Settings, text: str) -> list[trust.Wish]:
    """Return what a study would do outside of its folder, but for running its extensions.

    Args:
        settings: Of the study.
        text: The file that holds them.
    """
    cache = getattr(settings.data, "cache", None)
    study = settings.study
    foreign = [path for path in (study.sampler, study.pruner) if "." in path]
    wishes = [
        *(f"import the class {path}" for path in foreign if not path.startswith("optuna.")),
        settings.study.storage and f"keep its trials in {settings.study.storage}",
        settings.ray.address and f"train on the Ray cluster at {settings.ray.address}",
        cache and f"keep prepared clips in {cache}",
    ]
    return [trust.Wish(_digest(wish, text), wish) for wish in wishes if wish]


def create(
    settings: Settings, clips: ClipSet, command: str, on_event: Listener = ignore
) -> StudyFolder:
    """Make the folder of a new study and write down what it begins with.

    Args:
        settings: What was asked for.
        clips: The data that the settings mean.
        command: The command line, for the report.
        on_event: Is told what a reader should know of the space.

    Raises:
        StudyError: A study of the name that was asked for exists.
        DataError: The clips cannot be divided as the study asks.
        ConfigError: The space names a block or setting that there is not, or does not give the
            closed list of candidates that the sampler takes.
        Infeasible: A point, or every draw, breaks a rule of the grammar, or a value of the space
            stands in no draw.
    """
    study = settings.study
    noise, drawn = Noise.like(settings.data, len(clips.classes)), study.sampler != "points"
    for line in vet(settings.space, settings.trainer, noise, drawn=drawn):
        on_event(Note(line))
    grid(settings.space, study.sampler)  # or there is nothing to make a folder for
    build_sampler(study.sampler, study.startup, study.seed)
    build(study.pruner, study.chance, study.margin, blocks=1)
    settings = decided(settings, clips)
    study = settings.study
    origin = Origin(
        command=command,
        code=code_version(settings.space.extensions),
        files=code(settings.space.extensions),
        data=DataSummary.of(clips),
        settings=settings.dump(),
        search=study.divided(clips),
        final=_final(settings, clips),
        outer=_outer(settings, clips),
    )
    folder = StudyFolder(_make(settings))
    try:
        copied = copy_files(settings.space.extensions, folder.path)
        called = _called(folder, study)
        origin = origin.model_copy(update={"extensions": copied, "optuna": called})
        write(folder.path / "origin.json", origin.model_dump_json(indent=2))
        folder.save(settings)
    except OSError as error:
        folder.take_away()
        raise StudyError(f"{refused(error) or error}; no study was begun") from error
    except BaseException:
        folder.take_away()
        raise
    return folder


def _called(folder: StudyFolder, study: StudyConfig) -> str:
    """Return what its Optuna study is called: as the study, told apart where others may be."""
    name = folder.path.resolve().name
    return name if study.storage is None else f"{name}-{secrets.token_hex(4)}"


def keep_settings(folder: StudyFolder, settings: Settings, clips: ClipSet) -> Origin:
    """Write down the settings that hold from now on, with their final stage and outer groups.

    Raises:
        DataError: The clips cannot be divided as those ask.
    """
    old = folder.origin()
    origin = going_on(old, settings, clips)
    if origin != old:
        write(folder.path / "origin.json", origin.model_dump_json(indent=2))
    folder.save(settings)
    return origin


def going_on(origin: Origin, settings: Settings, clips: ClipSet) -> Origin:
    """Return what a study goes on with under the settings that hold from now on.

    Raises:
        DataError: The clips cannot be divided as those ask.
    """
    changed = {
        "final": _final(settings, clips),
        "outer": _outer(settings, clips),
        "settings": origin.settings or settings.dump(),
    }
    return origin.model_copy(update=changed)


@contextmanager
def tentative(folder: StudyFolder, on_event: Listener) -> Iterator[Listener]:
    """Take a new study away again where a mistake ends it before its first fold.

    Also where it is interrupted before anybody was told what goes on with it. Where Ray has died
    nothing was wrong with it, and the message says that it goes on.

    Args:
        folder: The study.
        on_event: Is told what the listener that comes back is told.
    """
    told = False

    def tell(event: Event) -> None:
        nonlocal told
        told = told or isinstance(event, Opened)
        on_event(event)

    try:
        yield tell
    except (MerNasError, KeyboardInterrupt) as error:
        goes_on = isinstance(error, RayDied) or (told and isinstance(error, KeyboardInterrupt))
        if not goes_on and not (folder.ledger.is_file() and read(folder.ledger)):
            folder.take_away()
        raise


def find_study(word: str | os.PathLike[str]) -> StudyFolder:
    """Return the study that `word` names: a folder, or a name under `runs`.

    Raises:
        StudyError: There is none; the message lists those there are.
    """
    named = files.place(word, "study", StudyError)
    for path in (named, RUNS / named):
        if (path / "origin.json").is_file():
            return StudyFolder(path)
    refuse_other(os.fspath(word), "a study's folder would be right")
    names = [file.parent.name for file in RUNS.glob("*/origin.json")]
    raise StudyError(
        f"{unknown('study', os.fspath(word), names)}; a study's folder would be right too"
    )


def refuse_other(word: str, right: str) -> None:
    """Say of a word that names no study what it names instead, where there is something.

    Args:
        word: A path, a name under `runs`, or that of a leaderboard.
        right: The end of the message: what would be right.

    Raises:
        StudyError: There is something.
    """
    for path in (Path(word), RUNS / word, find_leaderboard(word)) if word else ():
        if path is not None and (found := what_lies(path)):
            raise StudyError(f"{path}: this is {found}; {right}")


def _final(settings: Settings, clips: ClipSet) -> Protocol | None:
    study = settings.study
    if study.final is None:
        return None
    return study.divided(clips, study.final.folds)


def outer_plan(study: StudyConfig, clips: ClipSet) -> Protocol:
    """Return who is left out of which inner search.

    No label decides it: not even who is asked together may follow from what is to be told.

    Raises:
        DataError: There are fewer subjects than groups.
    """
    assert study.outer is not None
    if study.outer > (found := len(clips.subjects)):
        raise DataError(
            f"{clips.name}: study.outer={study.outer} asks for more groups than there are "
            f"subjects ({found}); at most {found}"
        )
    return divide(clips, study.outer, study.seed, blind=True)


def without_fold(clips: ClipSet, fold: Fold) -> ClipSet:
    """Return the clips of a search that never sees the subjects of an outer fold."""
    return replace(
        clips.subset(fold.train(clips)), name=f"{clips.name} without {fold.name}", official=None
    )


def _outer(settings: Settings, clips: ClipSet) -> Protocol | None:
    """Return the outer groups, once it is sure that each inner search can divide its clips."""
    study = settings.study
    if study.outer is None:
        return None
    protocol, bare = outer_plan(study, clips), replace(clips, inputs={})
    for fold in protocol.folds:
        inside = without_fold(bare, fold)
        study.divided(inside)
        if study.final is not None:
            study.divided(inside, study.final.folds)
    return protocol


def refuse_taken(study: StudyConfig) -> None:
    """Refuse a study of a folder or name where something lies already; an empty folder is free.

    Raises:
        StudyError: Something does; the message says what.
    """
    path = _asked_for(study)
    found = what_lies(path) if path is not None else ""
    if path is None or not found or (path.is_dir() and not any(path.iterdir())):
        return
    word = f"study.folder={path}" if study.folder is not None else f"study.name={study.name}"
    if (path / "origin.json").is_file():
        raise StudyError(
            f"{word}: {path} exists; `{StudyFolder(path).resume}` goes on with it, another name "
            "begins anew"
        )
    raise StudyError(f"{word}: {path} is {found}; a new or an empty folder would be right")


def _asked_for(study: StudyConfig) -> Path | None:
    """Return where a study is to lie; none where it takes the next free name."""
    return study.folder or (None if study.name is None else RUNS / study.name)


def _make(settings: Settings) -> Path:
    study = settings.study
    if (path := _asked_for(study)) is not None:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            refuse_taken(study)
        except OSError as error:
            raise StudyError(f"{path}: the folder cannot be made: {system_said(error)}") from None
        return path
    files.ensure_folder(RUNS)  # a link that leads nowhere is as if every number were taken
    for number in itertools.count(1):
        path = RUNS / f"{settings.space.name}-{settings.data.name}-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StudyError(f"{path}: the folder cannot be made: {system_said(error)}") from None
        return path
    raise AssertionError

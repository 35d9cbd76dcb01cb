"""Measuring a leaderboard: every named network, the cheapest first, and the table of it.

Each row is an evaluation like any other, and goes on where it was interrupted. What would take
longer than the hours that a row may have, or reads what the clips do not give, is named with its
cost and stays without a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mer_nas import data, systems
from mer_nas.architectures import Cost
from mer_nas.architectures.cost import counted
from mer_nas.config.overrides import PLACES
from mer_nas.data.clips import ClipSet
from mer_nas.data.needs import Needs
from mer_nas.errors import ConfigError, TrainingFailed
from mer_nas.evaluation.candidate import Candidate
from mer_nas.files import ensure_folder, write
from mer_nas.report import DataSummary
from mer_nas.search.alternatives import Draft, predicted_seconds
from mer_nas.search.events import Listener, Note, ignore
from mer_nas.search.pace import Pace
from mer_nas.search.preparing import preparer
from mer_nas.search.probes import measured_pace
from mer_nas.settings import Settings
from mer_nas.space import Point, Reference
from mer_nas.study.evaluate import FILE as EVALUATION
from mer_nas.study.evaluate import Evaluated, folds_of, measured, read_evaluation
from mer_nas.study.leaderboard import FILE, OWN, Entry, Leaderboard, is_measured, read_leaderboard
from mer_nas.study.leaderboard_table import write_table
from mer_nas.study.predictions import write_predictions
from mer_nas.wording import duration


@dataclass(frozen=True)
class _Named:
    """A named network with a recipe, before it is counted."""

    settings: Settings
    entry: Point | Reference
    recipe: str
    candidate: Candidate
    also: list[str] = field(default_factory=list)
    """Other names of it."""

    @property
    def name(self) -> str:
        return f"{self.entry.name}-{self.recipe}"

    @property
    def misfit(self) -> str:
        """What the clips do not give that the network reads; empty where they give everything."""
        try:
            self._needs.refuse_misfit(self.settings.data.provides)
        except ConfigError as error:
            place = f"{self._needs.place} "
            return "; ".join(line.removeprefix(place) for line in str(error).splitlines())
        return ""

    @property
    def _needs(self) -> Needs:
        return self.candidate.needs(f"{self.settings.space.place}: {self.entry.name}")

    def clips(self, on_event: Listener) -> ClipSet:
        """Return the clips with what the network reads of them."""
        settings = self.settings
        return data.load(settings.data, self._needs, preparer(settings.ray, on_event))

    def measured(self, seeds: int, on_event: Listener) -> Evaluated:
        """Take it through the protocol."""
        return measured(
            self.settings, self.clips(on_event), self.entry.name, self.candidate,
            self.entry.name, seeds, on_event,
        )  # fmt: skip


def measure_leaderboard(
    spaces: Sequence[Settings],
    folder: Path,
    seeds: int,
    hours: float,
    *,
    command: str,
    planned: bool = False,
    on_event: Listener = ignore,
) -> Leaderboard:
    """Measure every named network under one protocol, each by its own recipe and by the trainer.

    Args:
        spaces: What was asked for, of each space.
        folder: Of the leaderboard; rows that it has are not measured again.
        seeds: Repetitions of the protocol.
        hours: The most that a row may take on one core, as far as a step of it foretells.
        command: That does this, without where the clips lie.
        planned: Only say what would be measured; nothing is made or trained.
        on_event: Is told what happens.

    Raises:
        ConfigError: The settings do not fit one another.
        DataError: The data are missing, incomplete, or not what they should be.
    """
    named = _all_named(spaces)
    fitting = [each for each in named if not each.misfit]
    if not fitting:
        why = f"the first one {named[0].misfit}" if named else "there is none"
        raise ConfigError(f"no named network fits: {why}")
    clips = fitting[0].clips(on_event)
    study = fitting[0].settings.study
    protocol = study.divided(clips)
    many = len(clips.classes)
    drafts = [Draft(e.candidate, counted(e.candidate.architecture, many)[1]) for e in named]
    pace = _pace(folder, named, drafts, many)
    found = {}
    for each, draft in zip(named, drafts, strict=True):
        one = predicted_seconds(pace, protocol.trained, len(protocol.folds), draft)
        found[each.name] = _entry(each, seeds * one / 3600, hours, many)
    order = sorted(found.values(), key=lambda entry: (entry.hours, entry.name))
    by_name = {each.name: each for each in named}
    board = Leaderboard(
        data=clips.name,
        protocol=folds_of(protocol.name, study.seed),
        seeds=seeds,
        hours=hours,
        pace=pace,
        command=command,
        entries=tuple(order),
    )
    _refuse_another(folder, board, clips)
    if planned:
        return board
    ensure_folder(folder)
    for entry in order:
        if not entry.why and not is_measured(folder, entry):
            on_event(Note(f"{entry.name}: about {duration(3600 * entry.hours)}"))
            try:
                _keep(by_name[entry.name].measured(seeds, on_event), folder / entry.name)
            except TrainingFailed as error:
                found[entry.name] = entry.model_copy(update={"why": str(error)})
        entries = tuple(found[each.name] for each in order)
        board = board.model_copy(update={"entries": entries})
        write(folder / FILE, board.model_dump_json(indent=1, by_alias=True) + "\n")
        write_table(board, folder)
    return board


def _refuse_another(folder: Path, board: Leaderboard, clips: ClipSet) -> None:
    """Refuse to go on with a leaderboard that has rows of other clips, folds, seeds or recipes.

    Raises:
        ConfigError: It has; the message says which.
    """
    if not (folder / FILE).is_file():
        return
    kept = read_leaderboard(folder)
    measured = {entry.name: entry for entry in kept.entries if is_measured(folder, entry)}
    if not measured:
        return
    for what in ("data", "protocol", "seeds"):
        then, now = getattr(kept, what), getattr(board, what)
        if then != now:
            raise ConfigError(f"{folder}: its rows are of {what} {then}, not {now}; {_ANOTHER}")
    file = folder / next(iter(measured)) / EVALUATION
    if read_evaluation(file).data.subjects != DataSummary.of(clips).subjects:
        raise ConfigError(f"{folder}: its rows are of other clips of {kept.data}; {_ANOTHER}")
    for entry in board.entries:
        if entry.name in measured and measured[entry.name].key != entry.key:
            raise ConfigError(
                f"{folder}: {entry.name} was measured by another recipe; {_ANOTHER}, or measuring "
                "it anew, once its folder is deleted"
            )


_ANOTHER = "a leaderboard in another folder would be right"


def _all_named(spaces: Sequence[Settings]) -> list[_Named]:
    """Return every point and reference of every space, by its own recipe and by the trainer.

    What is trained the same way under two names counts once.
    """
    found: dict[str, _Named] = {}
    for settings in spaces:
        trainer = settings.trainer
        for entry in settings.space.systems:
            place = f"{settings.space.place}: {entry.name}"
            by_all = Candidate(systems.parsed(entry, place), trainer)
            own = systems.candidate(settings.space, entry.name, trainer)
            for recipe, candidate in ((trainer.name, by_all), (OWN, own)):
                each = _Named(settings, entry, recipe, candidate)
                first = found.setdefault(candidate.key, each)
                if entry.name not in (first.entry.name, *first.also):
                    first.also.append(entry.name)
    return list(found.values())


def _entry(each: _Named, hours: float, most: float, classes: int) -> Entry:
    """Return what the leaderboard says of a network before it is measured."""
    said = each.entry
    too_long = (
        f"about {hours:,.1f} h on one core, and a row may take {most:g}: a GPU or more --hours "
        "would measure it"
    )
    return Entry(
        name=each.name,
        space=each.settings.space.name,
        recipe=each.recipe,
        key=each.candidate.key,
        also=tuple(each.also),
        hours=round(hours, 2),
        why=each.misfit or (too_long if hours > most else ""),
        origin=said.name,
        warm_start=True,
        source=said.source,
        fidelity=said.fidelity,
        differs=said.differs,
        **Cost.of(each.candidate.architecture, classes)._asdict(),
    )


def _pace(folder: Path, named: Sequence[_Named], drafts: Sequence[Draft], classes: int) -> Pace:
    """Return the pace that was asked for, that the leaderboard began with, or this machine's."""
    if (asked := named[0].settings.study.pace) is not None:
        return asked
    if (folder / FILE).is_file():
        return read_leaderboard(folder).pace
    small = [draft for each, draft in zip(named, drafts, strict=True) if not each.misfit]
    return measured_pace(small, classes)


def _keep(found: Evaluated, row: Path) -> None:
    """Make a row of an evaluation: its protocol, and nothing of where the clips lie."""
    whole = read_evaluation(found.folder / EVALUATION)
    seeds, folds = len(found.scores), folds_of(found.protocol, found.seed)
    kept = whole.model_copy(
        update={
            "name": row.name,
            "data_settings": {k: v for k, v in whole.data_settings.items() if k not in PLACES},
            "protocols": {folds: whole.protocols[folds][:seeds]},
        }
    )
    ensure_folder(row)
    ledger, file = found.folder / "ledger.jsonl", row / "predictions.parquet"
    asked = (found.protocol, found.seed, whole.code_version)
    write_predictions(
        ledger,
        whole.data.classes,
        file,
        lambda fold: (fold.protocol, fold.seed, fold.code) == asked and fold.repetition < seeds,
    )
    write(row / EVALUATION, kept.model_dump_json(by_alias=True) + "\n")

"""What a study knows: its Optuna storage and its ledger, read back.

No data set is needed: labels and predictions stand in the ledger, the protocols in the
study's origin. So a report can be made wherever the folder is; `summary` says what it tells.
"""

from __future__ import annotations

import statistics
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from mer_nas.architectures.extensions import load_extensions
from mer_nas.data.protocols import Protocol
from mer_nas.errors import StudyError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldKey, FoldResult
from mer_nas.evaluation.timing import Timing
from mer_nas.export.manifest import Exported
from mer_nas.report import SeedScores
from mer_nas.search.budget import COUNTED
from mer_nas.search.config import EnsembleConfig
from mer_nas.search.events import Ended, Rejected
from mer_nas.search.ledger import FOLDS, HINDSIGHT, read
from mer_nas.search.looking import copied
from mer_nas.search.objectives import front
from mer_nas.search.storage import close_storage, open_study
from mer_nas.search.trials import TRIALS, outcome_of, trained_folds
from mer_nas.settings import Settings
from mer_nas.statistics import EnsembleRule, OutOfFold
from mer_nas.study.ensemble import Ensemble, choose_ensemble, rule_of
from mer_nas.study.folder import Origin, StudyFolder
from mer_nas.study.resume import refuse_edited
from mer_nas.study.trial import Trial
from mer_nas.systems import trained_by
from mer_nas.wording import count


class StudyState:
    """A study's past, read once.

    Args:
        folder: The study.
        origin: What it began with.
        looking: Whether its storage is read from a copy: nothing of the study is touched, and a
            driver may be at work on it.
        settings: As they would hold from now on; by default those that the folder keeps.

    Raises:
        StudyError: Its settings were edited into others than its folds were measured with.
    """

    def __init__(
        self,
        folder: StudyFolder,
        origin: Origin,
        *,
        looking: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self.folder = folder
        self._looking = looking
        self.origin = origin
        self.settings = settings or folder.settings()
        self._read: dict[int, Trial] = {}
        self._scores: dict[tuple[Protocol, str, int], SeedScores | None] = {}
        refuse_edited(folder, origin, self.settings)
        load_extensions(self.settings.space.extensions)

    @cached_property
    def optuna(self) -> optuna.Study:
        """The Optuna study, whose storage is let go when nobody remembers it any more."""
        place = self.folder.storage(self.settings.study)
        if not self._looking:
            study, storage = open_study(place, self.origin.optuna)
            weakref.finalize(self, close_storage, storage)
            return study
        copy = tempfile.TemporaryDirectory()
        weakref.finalize(self, copy.cleanup)  # what was registered last is called first
        study, storage = open_study(copied(place, Path(copy.name)), self.origin.optuna)
        weakref.finalize(self, close_storage, storage)
        return study

    @cached_property
    def trials(self) -> list[FrozenTrial]:
        """Every trial that the search has ended, oldest first."""
        trials = self.optuna.get_trials(deepcopy=False)
        return [trial for trial in trials if outcome_of(trial) is not None]

    @property
    def search_seconds(self) -> float:
        """Time spent searching, in all sessions."""
        return float(self.noted.get("seconds", 0.0))

    def events(self) -> Iterator[Ended | Rejected]:
        """Yield how each trial ended, as the search told it at the time."""
        of = len(self.origin.search.folds)
        for trial in self.trials if self.begun else ():
            known, label = trial.user_attrs, f"trial {trial.number}"
            outcome, reason = known["outcome"], known.get("reason", "")
            if "candidate" not in known or outcome == "duplicate":
                yield Rejected(label, outcome, reason)
                continue
            done = len(self.folds_of(trial))
            value = trial.values[0] if outcome == "complete" else None
            yield Ended("search", str(trial.number), label, outcome, done, of, value, reason)

    @property
    def counted(self) -> int:
        """How many trials the budget of the search counts, in all sessions."""
        trials = self.trials if self.begun else ()
        return sum(trial.user_attrs["outcome"] in COUNTED for trial in trials)

    @property
    def emptied(self) -> bool:
        """Whether the search ended because its space gave no new candidate."""
        return bool(self.noted.get("ended", {}).get("empty"))

    @cached_property
    def timings(self) -> Mapping[str, Timing]:
        """What was measured of candidates, by their keys."""
        in_search = {
            trial.user_attrs["candidate"]: trial.user_attrs["timing"]
            for trial in self.trials
            if "timing" in trial.user_attrs
        }
        found = in_search | self.noted.get("timings", {})
        return {key: Timing(**times) for key, times in found.items()}

    @cached_property
    def clip_ms(self) -> Mapping[str, float]:
        """Milliseconds of a clip at inference, by the keys of the trials' candidates."""
        found: dict[str, float] = self.noted.get("clip_ms", {})
        return found

    @property
    def begun(self) -> bool:
        """Whether the search ever came to ask for a trial."""
        files = [self.folder.ledger, self.folder.trials]
        if self.settings.study.storage is None:
            files.append(self.folder.database)
        if not any(file.is_file() for file in files):
            return False  # opening a storage would make it
        try:
            return bool(self.optuna.get_trials(deepcopy=False))
        except Exception:  # no study in it, or no storage: opening it for the search says which
            return False

    @property
    def told_of(self) -> bool:
        """Whether anything tells of trials, be it files beside a storage that is lost."""
        if self.begun:
            return True
        entries = TRIALS.read(self.folder.trials) if self.folder.trials.is_file() else ()
        return bool(self.results) or any(e.study == self.origin.optuna for e in entries)

    @property
    def noted(self) -> Mapping[str, Any]:
        """What is kept of the study as a whole, by name; nothing before its search has begun."""
        return self.optuna.user_attrs if self.begun else {}

    def note(self, name: str, value: object) -> None:
        """Keep something of the study as a whole, in place of what was known before."""
        self.optuna.set_user_attr(name, value)
        for cached in ("timings", "clip_ms"):
            self.__dict__.pop(cached, None)

    @cached_property
    def results(self) -> Mapping[tuple[str, int], Mapping[str, FoldResult]]:
        """Results of this data, code and seed: by candidate and repetition, then fold."""
        found: dict[tuple[str, int], dict[str, FoldResult]] = defaultdict(dict)
        seed, others = self.settings.study.seed, set[int]()
        for result in self.kept(self.folder.ledger):
            if (result.data, result.code) != (self.origin.data.fingerprint, self.origin.code):
                continue
            if result.seed == seed:
                found[result.candidate, result.repetition][result.fold] = result
            else:
                others.add(result.seed)
        if others and not found:
            raise StudyError(
                f"{self.folder.settings_file}: study.seed={seed}: the folds in the ledger were "
                f"measured with study.seed={min(others)}; put that back"
            )
        return found

    def kept(self, ledger: Path) -> tuple[FoldResult, ...]:
        """Return what a ledger of this study holds; nothing where there is none.

        Raises:
            StudyError: It is damaged, or holds folds of other subjects, clips or classes.
        """
        data, origin = self.origin.data, self.origin
        shapes = (origin.search, origin.final, origin.outer)
        clips = {
            fold.key: fold.clips for protocol in shapes if protocol for fold in protocol.folds
        }
        found = read(ledger) if ledger.is_file() else ()
        for result in found:
            same = (
                len(result.probabilities[0]) == len(data.classes)
                and set(result.subjects) <= data.subjects.keys()
                and len(result.clips) == clips.get(result.fold, len(result.clips))
            )
            if not same and result.data == data.fingerprint:
                raise StudyError(
                    f"{ledger}: line {FOLDS.line_of(ledger, result)}: {result.fold_name} of "
                    f"candidate {result.candidate} is not of the subjects, clips and classes of "
                    "this study; restore the file from a copy, or delete the line, and the fold "
                    "runs again"
                )
        return found

    @cached_property
    def hindsight(self) -> Mapping[FoldKey, Hindsight]:
        """What folds of the final stage would have said after their earlier epochs; leaky."""
        file, classes = self.folder.hindsight, len(self.origin.data.classes)
        found = {back.key: back for back in HINDSIGHT.read(file)} if file.is_file() else {}
        for result in (each for by_fold in self.results.values() for each in by_fold.values()):
            back = found.get(result.key)
            if back and not all(
                len(said) == len(result.clips) and max(said) < classes for said in back.predicted
            ):
                raise StudyError(
                    f"{file}: {result.fold_name} of candidate {result.candidate} is not of the "
                    "clips and classes of this study; delete the line, and the fold goes without"
                )
        return found

    def under(
        self, protocol: Protocol, candidate: str, repetition: int = 0
    ) -> Sequence[FoldResult]:
        """Return what the ledger holds of a candidate under a protocol, in its order."""
        known = self.results.get((candidate, repetition), {})
        return [known[fold.key] for fold in protocol.folds if fold.key in known]

    def folds_of(self, trial: FrozenTrial) -> Sequence[FoldResult]:
        """Return the folds that a trial had: the rest of a pruned one is of the final stage."""
        found = self.under(self.origin.search, trial.user_attrs.get("candidate", ""))
        had = trained_folds(self.origin.search, trial.state.name, trial.intermediate_values)
        return [result for result in found if result.fold in had]

    def scored(self, protocol: Protocol, candidate: str, repetition: int = 0) -> SeedScores | None:
        """Return the pooled scores of a candidate, or none while a fold is missing."""
        key = (protocol, candidate, repetition)
        if key not in self._scores:
            results = self.under(protocol, candidate, repetition)
            whole = len(results) == len(protocol.folds)
            self._scores[key] = self.pooled(results, repetition) if whole else None
        return self._scores[key]

    def pooled(self, results: Sequence[FoldResult], repetition: int) -> SeedScores:
        """Return what all folds of a repetition come to, by the metrics of this study."""
        subjects, extensions = list(self.origin.data.subjects), self.settings.space.extensions
        return SeedScores.pooled(results, subjects, repetition, extensions)

    def complete(self) -> list[Trial]:
        """Return the complete trials, earliest first."""
        return [self.trial(t) for t in self.trials if t.state == TrialState.COMPLETE]

    def ranked(self) -> list[Trial]:
        """Return the complete trials as candidates of the final stage, best first.

        With several objectives those are the trials on the front, by their UF1.
        """
        complete = [t for t in self.trials if t.state == TrialState.COMPLETE]
        if len(self.settings.study.objectives) > 1:
            complete = [complete[index] for index in front([tuple(t.values) for t in complete])]
        best_first = sorted(complete, key=lambda t: (-t.values[0], t.number))
        return [self.trial(trial) for trial in best_first]

    def for_final(self) -> list[Trial]:
        """Return who goes into the final stage: the best candidates, members, then warm starts.

        Of the warm starts that are not among the best, the complete ones come first, by their
        score, then those that were stopped early, in the order of the space.
        """
        final = self.settings.study.final
        if final is None:
            return []
        ranked = self.ranked()
        best = ranked[: final.candidates]
        members = self.ensemble.members if self.ensemble else ()
        best += [entry for entry in members if entry not in best]
        pruned = [t for t in self.trials if t.state == TrialState.PRUNED]
        warm = [entry for entry in [*ranked, *map(self.trial, pruned)] if entry.warm_start]
        inside = {entry.number for entry in best}
        missing = max(0, final.warm_starts - sum(entry.warm_start for entry in best))
        return best + [entry for entry in warm if entry.number not in inside][:missing]

    def trial(self, trial: FrozenTrial) -> Trial:
        """Return a trial that was trained, as the final stage would train it."""
        if trial.number not in self._read:  # thousands of trees take seconds
            self._read[trial.number] = self._trial(trial)
        return self._read[trial.number]

    def _trial(self, trial: FrozenTrial) -> Trial:
        self._refuse_gaps(trial)
        return Trial(
            number=trial.number,
            origin=self.origin_of(trial),
            parsed=lambda: self._candidate(trial),
            searched=trial.user_attrs["candidate"],
            warm_start="point" in trial.user_attrs,
            value=trial.values[0] if trial.state == TrialState.COMPLETE else None,
        )

    def _candidate(self, trial: FrozenTrial) -> Candidate:
        final, words = self.settings.study.final, self.settings.trainer_words
        place = f"{self.folder.name}: trial {trial.number}"
        drawn = Candidate.parse(trial.user_attrs["tree"], place)
        trainer = trained_by(drawn.trainer, final.trainer if final else {}, words, place)
        return replace(drawn, trainer=trainer)

    def _refuse_gaps(self, trial: FrozenTrial) -> None:
        """Refuse a complete trial whose folds are not all there: without it others look better."""
        lost = self._gaps(trial)
        if lost:
            raise StudyError(
                f"{self.folder.ledger}: {count(lost, 'fold')} of trial {trial.number}, which is "
                f"complete, {'is' if lost == 1 else 'are'} missing; restore the file from a copy, "
                f"or measure again what is missing: `{self.folder.resume} --anew`"
            )

    def _gaps(self, trial: FrozenTrial) -> int:
        """Return how many folds of a complete trial are missing; none of any other."""
        if trial.state != TrialState.COMPLETE:
            return 0
        protocol = self.origin.search
        return len(protocol.folds) - len(self.under(protocol, trial.user_attrs["candidate"]))

    @property
    def has_lost(self) -> bool:
        """Whether folds of complete trials are missing, or other programs have ended trials."""
        trials = self.optuna.get_trials(deepcopy=False)
        strange = [t for t in trials if t.state.is_finished() and outcome_of(t) is None]
        return any(map(self._gaps, self.trials)) or bool(strange)

    def refuse_gaps(self) -> None:
        """Refuse to go on where folds of complete trials are missing.

        Raises:
            StudyError: They are; the message says which, and what can be done.
        """
        for trial in self.trials:
            self._refuse_gaps(trial)

    @cached_property
    def finalists(self) -> list[tuple[Trial, tuple[SeedScores, ...]]]:
        """Those with a whole repetition of the final protocol, best mean UF1 first.

        Those who left the race come after those who stayed in it.
        """
        final, protocol = self.settings.study.final, self.origin.final
        if final is None or protocol is None:
            return []
        scored = []
        for finalist in self.for_final():
            key = finalist.candidate.key
            scores = [self.scored(protocol, key, repetition) for repetition in range(final.seeds)]
            if whole := tuple(score for score in scores if score is not None):
                scored.append((finalist, whole))
        return sorted(
            scored,
            key=lambda entry: (
                entry[0].key in self.left,
                -statistics.fmean(s.uf1 for s in entry[1]),
            ),
        )

    @property
    def left(self) -> Mapping[str, str]:
        """Why finalists left the race, by the keys of their candidates."""
        return dict(self.noted.get("left", {}))

    # Together -----------------------------------------------------------------------------------

    @cached_property
    def ensemble(self) -> Ensemble | None:
        """The ensemble that its settings ask for; none where there is none."""
        return self._ensemble[0]

    @property
    def no_ensemble(self) -> str:
        """Why there is no ensemble; empty where there is."""
        return self._ensemble[1]

    @cached_property
    def _ensemble(self) -> tuple[Ensemble | None, str]:
        config = self.settings.study.ensemble
        if config is None:
            return None, self.settings.study.unensembled
        return self.ensemble_by(config)

    def ensemble_by(self, config: EnsembleConfig) -> tuple[Ensemble | None, str]:
        """Return the ensemble that a study with other settings would have, or why none.

        Args:
            config: What it asks for.
        """
        complete = self.complete()
        if len(complete) < 2:
            return None, f"{count(len(complete), 'complete trial')}, and an ensemble needs two"
        return choose_ensemble(complete, self.pool, config, len(self.origin.data.classes))

    @cached_property
    def pool(self) -> OutOfFold:
        """What the complete trials, at least one, said in the search, earliest first."""
        said = [self.under(self.origin.search, trial.searched) for trial in self.complete()]
        return OutOfFold.of(said, list(self.origin.data.subjects))

    @cached_property
    def rule(self) -> EnsembleRule:
        """How the members of its ensemble are chosen among the complete trials."""
        config = self.settings.study.ensemble or EnsembleConfig()
        return rule_of(config, self.complete(), len(self.origin.data.classes))

    def ensemble_results(
        self, ensemble: Ensemble, protocol: Protocol, repetition: int = 0
    ) -> Sequence[FoldResult]:
        """Return what an ensemble says under a protocol; nothing while a fold is missing.

        Args:
            ensemble: Whose members the ledger knows.
            protocol: That of the search, or of the final stage.
            repetition: With the seeds of which.
        """
        searched = protocol is self.origin.search
        members = [
            self.under(protocol, each.searched if searched else each.candidate.key, repetition)
            for each in ensemble.members
        ]
        if any(len(folds) < len(protocol.folds) for folds in members):
            return ()
        return [ensemble.combined(answers) for answers in zip(*members, strict=True)]

    def ensemble_scores(
        self, ensemble: Ensemble
    ) -> tuple[Literal["final", "search"], tuple[SeedScores, ...]]:
        """Return the scores of an ensemble, one a seed that all members have, and of which stage.

        Where no seed of the final stage is whole, or there is none, the folds of the search serve.
        """
        final, protocol = self.settings.study.final, self.origin.final
        if final is not None and protocol is not None:
            whole = [
                self.pooled(results, repetition)
                for repetition in range(final.seeds)
                if (results := self.ensemble_results(ensemble, protocol, repetition))
            ]
            if whole:
                return "final", tuple(whole)
        searched = self.ensemble_results(ensemble, self.origin.search)
        return "search", (self.pooled(searched, 0),)

    @cached_property
    def handed_over(self) -> Trial | Ensemble | None:
        """What the study recommends: its ensemble, or else its winner.

        Which of them scores better is not asked: that choice would win nothing and flatter what it
        takes (`benchmarks/tabular.py ensembles`). An ensemble without a seed that its winner has
        cannot be held against it, and stays beside.
        """
        winner, ensemble = self.winner, self.ensemble
        if winner is None or ensemble is None:
            return winner
        stage, together = self.ensemble_scores(ensemble)
        alone = {score.repetition for score in self._alone(winner, stage)}
        return ensemble if any(score.repetition in alone for score in together) else winner

    def _alone(self, winner: Trial, stage: Literal["final", "search"]) -> Sequence[SeedScores]:
        if stage == "final":
            return next((s for entry, s in self.finalists if entry.number == winner.number), ())
        found = self.scored(self.origin.search, winner.searched)
        return () if found is None else (found,)

    @property
    def final_failures(self) -> dict[str, str]:
        """Why repetitions of the final stage failed when it last ran, by their label."""
        known = self.noted.get("final_failures", {})
        return dict(known) if self.settings.study.final is not None else {}

    @property
    def export_failures(self) -> dict[str, str]:
        """Why what was to be exported is not, by what it is: "winner" or "ensemble"."""
        there = {"winner": self.export, "ensemble": self.ensemble_export}
        known = dict(self.noted.get("export_failures", {}))
        return {what: why for what, why in known.items() if there.get(what) is None}

    @property
    def winner(self) -> Trial | None:
        """The best finalist; without a final stage the best complete trial; none without one."""
        ranked = [entry for entry, _ in self.finalists] or self.ranked()
        return ranked[0] if ranked else None

    @cached_property
    def inner(self) -> Sequence[StudyState | None]:
        """The searches that never saw an outer group; none where one has not begun."""
        of = len(self.origin.outer.folds) if self.origin.outer else 0
        folders = [self.folder.inner(number, of) for number in range(1, of + 1)]
        begun = [(each.path / "origin.json").is_file() for each in folders]
        return [
            StudyState(each, each.origin(), looking=self._looking) if there else None
            for each, there in zip(folders, begun, strict=True)
        ]

    @property
    def stopped(self) -> str:
        """Why the search gave out no more trials; empty while it does."""
        before = self.noted.get("ended", {}).get("reason", "")  # all that earlier versions noted
        return str(self.noted.get("stopped", before))

    @property
    def export(self) -> Exported | None:
        """The winner's export, as it was noted when it was made; none where it is of another."""
        winner = next((entry for entry, _ in self.finalists), None)
        return None if winner is None else self.export_of(winner)

    @property
    def ensemble_export(self) -> Exported | None:
        """The export of the ensemble, as it was noted when it was made."""
        return None if self.ensemble is None else self.export_of(self.ensemble)

    def export_of(self, exported: Trial | Ensemble) -> Exported | None:
        """Return the export of the winner, or of the ensemble, that was noted; none of another.

        Where it lies follows from where the study lies now.
        """
        noted = self.noted.get(_noted_as(exported), {})
        if noted.get("of") != [exported.key, self.origin.code]:
            return None
        lies = self.folder.export("ensemble" if isinstance(exported, Ensemble) else 1)
        return Exported.model_validate({**noted["facts"], "folder": lies})

    def note_export(self, exported: Trial | Ensemble, export: Exported | None) -> None:
        """Keep what is to be said of the export of the winner or ensemble; None: there is none."""
        noted = {}
        if export is not None:
            of = [exported.key, self.origin.code]
            noted = {"of": of, "facts": export.model_dump(mode="json", exclude={"folder"})}
        self.note(_noted_as(exported), noted)

    def origin_of(self, trial: FrozenTrial) -> str:
        """Return the name of the point that a trial is, or of the sampler that proposed it."""
        return str(trial.user_attrs.get("point", self.settings.study.sampler))


def _noted_as(exported: Trial | Ensemble) -> str:
    return "ensemble_export" if isinstance(exported, Ensemble) else "export"

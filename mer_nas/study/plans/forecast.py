"""What a search and its final stage will cost, before they start, and how they share it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol
from mer_nas.errors import Infeasible, StudyError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import BATCH, clock_step
from mer_nas.search.alternatives import Draft, predicted_seconds
from mer_nas.search.config import FinalConfig, RayConfig, StudyConfig, cores_here, gpus_here
from mer_nas.search.draws import KnownDraw
from mer_nas.search.pace import Pace
from mer_nas.search.probes import measured_pace
from mer_nas.search.proposals import Proposer
from mer_nas.settings import Settings
from mer_nas.space.search_space import Limits
from mer_nas.systems import grid, trained_by
from mer_nas.training.config import TrainerConfig
from mer_nas.wording import count, duration

DRAWS = 16
"""Random candidates that a plan is made from."""
TRIES = 100
"""Draws in which they are looked for."""
ENOUGH = 30
"""Candidates that a search in minutes should be able to train."""
SHARE = 1 / 3
"""Of the time of search and final stage, most of what the latter takes where the plan decides."""


class Means(NamedTuple):
    """Seconds on one worker, on average over candidates."""

    trial: float
    """Through every fold of the search."""
    clip: float
    """For each clip that training goes through."""


@dataclass(frozen=True)
class Forecast:
    """A search that has not begun."""

    trials: int | None
    protocol: Protocol
    points: tuple[float, ...]
    """Seconds of each warm start through every fold, on one worker, in their order."""
    drawn: float
    """The same for what is drawn, on average."""
    workers: int
    final_jobs: int
    final_seconds: float
    """All repetitions together, shared by the workers."""
    pace: Pace
    searches: int = 1
    """How many there are: the study's own, and one for each outer group of a nested estimate."""

    @property
    def seconds_per_trial(self) -> float:
        """Mean over the trials that there may be, through every fold on one worker."""
        if not self.trials:
            return self.drawn
        return self._seconds(self.trials) / self.trials

    @property
    def search_seconds(self) -> float | None:
        """Time of the search if no trial were pruned; none where only minutes bound it."""
        return None if self.trials is None else self._seconds(self.trials) / self.workers

    def bounded(self, minutes: float | None) -> float | None:
        """Return the time of one search at most; none where nothing bounds it."""
        bounds = [self.search_seconds, None if minutes is None else 60 * minutes]
        return min((bound for bound in bounds if bound is not None), default=None)

    def final_share(self, minutes: float | None) -> float | None:
        """Return the share of the final stage in the time of both; none where nothing bounds it.

        Args:
            minutes: Bound on the search.
        """
        search = self.bounded(minutes)
        return None if search is None else self.final_seconds / (search + self.final_seconds)

    def total_seconds(self, minutes: float | None) -> float | None:
        """Return the time of all searches and final stages at most; none where nothing bounds it.

        Args:
            minutes: Bound on each search.
        """
        search = self.bounded(minutes)
        return None if search is None else self.searches * (search + self.final_seconds)

    def candidates_in(self, minutes: float) -> int:
        """Return how many candidates a search of so many minutes trains through every fold."""
        left = 60 * minutes * self.workers
        done = 0
        for seconds in self.points:
            if seconds > left:
                return done
            left, done = left - seconds, done + 1
        return done + math.floor(left / self.drawn)

    def shortage(self, study: StudyConfig) -> str:
        """Say of minutes in which too few candidates are trained how many would do, or nothing."""
        wanted = min(ENOUGH, self.trials or ENOUGH)
        if study.minutes is None or (found := self.candidates_in(study.minutes)) >= wanted:
            return ""
        enough = math.ceil(self._seconds(wanted) / self.workers / 60)
        return (
            f"study.minutes={study.minutes:g} is too little: about {count(found, 'candidate')} "
            f"would go through every fold, of the {wanted} that a search should try; "
            f"study.minutes={enough} would do"
        )

    def _seconds(self, trials: int) -> float:
        """Return the time of so many trials on one worker; warm starts come first."""
        return sum(self.points[:trials]) + max(0, trials - len(self.points)) * self.drawn

    @classmethod
    def of(cls, settings: Settings, clips: ClipSet) -> Forecast:
        """Add up what the study would take, by its pace, or else one that is measured now.

        Raises:
            StudyError: The space has no feasible candidate, or where points alone are tried, none.
            ConfigError: The device that the trainer names is not here.
        """
        study, final = settings.study, settings.study.final
        protocol = study.divided(clips)
        proposer = Proposer(settings.space, settings.trainer, len(clips.classes))
        points = list(_points(proposer))
        if study.sampler == "points" and not points:
            raise StudyError(f"{settings.space.place}: no point is within the space's limits")
        drawn = points if study.sampler == "points" else _random_drafts(proposer)
        pace = study.pace or measured_pace(drawn, len(clips.classes))
        through = [_means(pace, protocol, point) for point in points]
        typical = _expected(
            [_means(pace, protocol, draft) for draft in drawn],
            study.alternatives if study.weighs_cost else 1,
        )
        trials, workers = trial_bound(settings), workers_here(settings.ray)
        warm = [each.trial for each in through]
        if study.weighs_cost:
            warm.sort()
        jobs, seconds = 0, 0.0
        if final is not None:
            shape = study.divided(clips, final.folds)
            trainer = trained_by(
                settings.trainer, final.trainer, settings.trainer_words, "study.final"
            )
            jobs = study.final_jobs(len(points))
            clip = _mean_clip(typical, through, trials or ENOUGH)
            seconds = jobs * clip * visits(shape, trainer)
        return cls(
            trials,
            protocol,
            tuple(warm),
            typical.trial,
            workers,
            jobs,
            seconds / workers,
            pace,
            1 + (study.outer or 0),
        )

    def decide(self, settings: Settings) -> tuple[Settings, Forecast]:
        """Return the settings with what is left to a plan, and what they then come to.

        Where costs weigh, that is the pace. Where minutes were given and nothing of the final
        stage, it is how many seeds, warm starts and candidates that has, so that it takes at most
        a third of the whole; never more than it had.

        Args:
            settings: What was asked for, and this is the forecast of.
        """
        study, planned = settings.study, self
        if study.weighs_cost:
            study = study.model_copy(update={"pace": self.pace})
        if _is_shared(settings):
            study = study.model_copy(update={"final": _affordable(self, settings)})
            jobs = study.final_jobs(len(settings.space.points))
            seconds = self.final_seconds / max(1, self.final_jobs) * jobs
            planned = replace(self, final_jobs=jobs, final_seconds=seconds)
        return replace(settings, study=study), planned

    def outlay(self, study: StudyConfig) -> str:
        """Say what a nested estimate comes to, the study's own search included."""
        assert study.outer is not None
        all_of_it = [f"{self.searches} searches"]
        if self.trials is not None:
            all_of_it.append(count(self.searches * self.trials, "trial"))
        if study.final is not None:
            all_of_it.append(f"{self.searches} final stages")
        total = self.total_seconds(study.minutes)
        if total is not None:
            on = count(self.workers, "worker")
            all_of_it.append(f"at most about {duration(total)} on {on}")
        return (
            f"nested estimate: each of {study.outer} outer groups is left out of a further search "
            f"with the whole budget; in all {', '.join(all_of_it)}"
        )


def decided(settings: Settings, clips: ClipSet) -> Settings:
    """Return settings with what a plan decides of them (`Forecast.decide`), if anything.

    Args:
        settings: What was asked for.
        clips: The data that the settings mean.

    Raises:
        StudyError: The space has no feasible candidate.
        ConfigError: The device that the trainer names is not here.
    """
    study = settings.study
    if not _is_shared(settings) and (study.pace is not None or not study.weighs_cost):
        return settings
    return Forecast.of(settings, clips).decide(settings)[0]


def _is_shared(settings: Settings) -> bool:
    """Whether the plan divides the time between search and final stage."""
    study = settings.study
    return settings.open_final and study.minutes is not None and study.final is not None


def _affordable(planned: Forecast, settings: Settings) -> FinalConfig:
    """Return the largest final stage that takes at most its share; or the smallest."""
    study, points = settings.study, len(settings.space.points)
    search = planned.bounded(study.minutes)
    assert study.final is not None
    assert search is not None
    most, each = search * SHARE / (1 - SHARE), planned.final_seconds / max(1, planned.final_jobs)
    final = study.final
    for final in _smaller(study.final):
        if study.model_copy(update={"final": final}).final_jobs(points) * each <= most:
            break
    return final


def _smaller(final: FinalConfig) -> Iterator[FinalConfig]:
    """Yield a final stage, and then ever smaller ones: seeds beyond two are the first to go.

    An ensemble keeps three members, which are candidates too.
    """
    yield final
    for key, least in (("seeds", 2), ("warm_starts", 1), ("members", 3), ("candidates", 1)):
        while (smaller := _one_less(final, key, least)) is not None:
            final = smaller
            yield final
    if final.seeds > 1:
        yield final.model_copy(update={"seeds": 1})


def _one_less(final: FinalConfig, key: str, least: int) -> FinalConfig | None:
    """Return a final stage with one less of what `key` names; none where that is `least`."""
    if key != "members":
        many = getattr(final, key)
        return final.model_copy(update={key: many - 1}) if many > least else None
    if final.ensemble is None or final.ensemble.members <= least:
        return None
    fewer = final.ensemble.model_copy(update={"members": final.ensemble.members - 1})
    return final.model_copy(update={"ensemble": fewer})


def measuring_seconds(
    candidates: Iterable[Candidate], protocol: Protocol, classes: int, ray: RayConfig
) -> float:
    """Return about how long candidates take through a protocol on the workers of this machine.

    Args:
        candidates: Are measured once each; a few steps of each are trained to tell.
        protocol: What each goes through.
        classes: How many they tell apart.
        ray: The workers.

    Raises:
        ConfigError: The device that a trainer names is not here.
    """
    each = (
        clock_step(candidate, classes).seconds / BATCH * visits(protocol, candidate.trainer)
        for candidate in candidates
    )
    return sum(each) / workers_here(ray)


def visits(protocol: Protocol, trainer: TrainerConfig) -> int:
    """Return how many clips the training of a candidate goes through, each time counted."""
    return trainer.visits(protocol.trained, len(protocol.folds))


def _means(pace: Pace, protocol: Protocol, draft: Draft) -> Means:
    seconds = predicted_seconds(pace, protocol.trained, len(protocol.folds), draft)
    return Means(seconds, pace.step_seconds(draft.effort) / BATCH)


def _mean_clip(typical: Means, points: Sequence[Means], trials: int) -> float:
    """Return the mean time for a clip over all trials, each of which may be a finalist."""
    drawn = max(1, trials - len(points))
    return (drawn * typical.clip + sum(point.clip for point in points)) / (drawn + len(points))


def _expected(drawn: Sequence[Means], alternatives: int) -> Means:
    """Return the mean over trials that are each the soonest trained of so many of these.

    Of n draws the chance is ((n-i)^k - (n-i-1)^k) / n^k that of k the soonest is the i-th, from 0.
    """
    of, ordered = len(drawn), sorted(drawn)
    chances = [
        ((of - i) / of) ** alternatives - ((of - i - 1) / of) ** alternatives for i in range(of)
    ]
    trial, clip = (
        sum(chance * each[place] for chance, each in zip(chances, ordered, strict=True))
        for place in (0, 1)
    )
    return Means(trial, clip)


def trial_bound(settings: Settings) -> int | None:
    """Return how many trials there will be at most; none where only minutes bound them."""
    listed = grid(settings.space, settings.study.sampler)
    if listed is None:
        return settings.study.trials
    everything = len(settings.space.points) + len(listed)
    return min(everything, settings.study.trials or everything)


def workers_here(config: RayConfig) -> int:
    """Return how many workers would share this machine, without starting Ray."""
    if config.workers == 0:
        return 1
    return config.share({"CPU": float(cores_here()), **gpus_here()}).workers


def _points(proposer: Proposer) -> Iterator[Draft]:
    """Yield the points of a space, less those that cost too much (`vetting.vet` names them)."""
    for point in proposer.space.points:
        with suppress(Infeasible):
            yield proposer.draft(KnownDraw(point.params, random.Random(0)))


def _random_drafts(proposer: Proposer) -> list[Draft]:
    """Return random candidates of a space, always the same, within its limits if there are any.

    Raises:
        StudyError: There are none, whatever the limits.
    """
    space = proposer.space
    bare = replace(space, file=space.file.model_copy(update={"limits": Limits()}))
    for each in (proposer, replace(proposer, space=bare)):
        chance, found = random.Random(0), list[Draft]()
        for _ in range(TRIES if space.parameters() else 1):
            with suppress(Infeasible):
                found.append(each.draft(KnownDraw({}, chance)))
            if len(found) == DRAWS:
                break
        if found:
            return found
    raise StudyError(f"{space.place}: none of {TRIES} draws is feasible")

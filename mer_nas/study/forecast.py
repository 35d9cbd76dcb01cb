"""What a search and its final stage will cost, before they start."""

from __future__ import annotations

import operator
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mer_nas.architectures import parse_drawn
from mer_nas.config.base import validate
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol, plan
from mer_nas.errors import Infeasible, StudyError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import BATCH, clock, clock_clip
from mer_nas.search.config import RayConfig, Shares, StudyConfig
from mer_nas.settings import Settings
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.systems import grid, trained_by
from mer_nas.training.config import TrainerConfig
from mer_nas.wording import count, duration

PROBES = 6
"""Random candidates that are timed for a plan."""


@dataclass(frozen=True)
class Forecast:
    """A search that has not begun."""

    trials: int | None
    protocol: Protocol
    seconds_per_trial: float
    """Mean over random candidates that go through every fold, on one worker."""
    workers: int
    final_jobs: int
    final_seconds: float
    """For random candidates on one worker, all repetitions together."""
    searches: int = 1
    """How many there are: the study's own, and one for each outer group of a nested estimate."""

    @property
    def search_seconds(self) -> float | None:
        """Time of the search if no trial were pruned; none where only minutes bound it."""
        return None if self.trials is None else self.trials * self.seconds_per_trial / self.workers

    def total_seconds(self, minutes: float | None) -> float | None:
        """Return the time of all searches and final stages at most; none where nothing bounds it.

        Args:
            minutes: Bound on each search.
        """
        bounds = [self.search_seconds, None if minutes is None else 60 * minutes]
        known = [bound for bound in bounds if bound is not None]
        return self.searches * (min(known) + self.final_seconds) if known else None

    @classmethod
    def of(cls, settings: Settings, clips: ClipSet) -> Forecast:
        """Time a training step of a few random candidates and add up what the study would take."""
        study, final = settings.study, settings.study.final
        protocol = plan(clips, study.folds, study.seed, study.block)
        probes, workers = _probes(settings), _machine_shares(settings.ray).workers
        steps = [clock(probe, len(clips.classes)).step_ms / 1000 for probe in probes]
        per_clip = statistics.fmean(steps) / BATCH
        trial = per_clip * _visits(protocol, settings.trainer)
        jobs, seconds = 0, 0.0
        if final is not None:
            shape = plan(clips, final.folds, study.seed, study.block)
            trainer = trained_by(
                settings.trainer, final.trainer, settings.trainer_words, "study.final"
            )
            jobs = final.jobs(len(settings.space.points))
            seconds = jobs * per_clip * _visits(shape, trainer)
        searches = 1 + (study.outer or 0)
        return cls(_trials(settings), protocol, trial, workers, jobs, seconds / workers, searches)

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


def evaluation_seconds(
    settings: Settings, candidate: Candidate, clips: ClipSet, seeds: int
) -> float:
    """Return about how long it takes to measure a candidate on the workers of this machine."""
    study = settings.study
    shape = plan(clips, study.folds, study.seed, study.block)
    step = clock(candidate, len(clips.classes)).step_ms / 1000
    seconds = seeds * step / BATCH * _visits(shape, candidate.trainer)
    return seconds / _machine_shares(settings.ray).workers


def _visits(protocol: Protocol, trainer: TrainerConfig) -> int:
    """Return how many clips the training of a candidate goes through, each time counted."""
    return trainer.visits(protocol.trained, len(protocol.folds))


def _trials(settings: Settings) -> int | None:
    """Return how many trials there will be at most; none where only minutes bound them."""
    listed = grid(settings.space, settings.study.sampler)
    if listed is None:
        return settings.study.trials
    everything = len(settings.space.points) + len(listed)
    return min(everything, settings.study.trials or everything)


def _machine_shares(config: RayConfig) -> Shares:
    """Return how the workers would share this machine, without starting Ray."""
    if config.workers == 0:
        return Shares(1, 1.0, 0.0)
    machine = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    return config.share(machine)


def announcement(state: StudyState, entries: Sequence[Trial], workers: int) -> str:
    """Say how long the final stage will take, from what its candidates took in the search."""
    final, seeds = state.origin.final, state.settings.study.final
    assert final is not None
    assert seeds is not None
    repetitions = f"{count(len(entries), 'candidate')} x {count(seeds.seeds, 'seed')}"
    text = f"final stage: {repetitions} under {final.name} ({count(len(final.folds), 'fold')})"
    per_clip = [_seconds_per_clip(state, entry) for entry in entries]
    known = [seconds for seconds in per_clip if seconds is not None]
    if len(known) < len(entries):  # their folds are not in the ledger any more
        return text
    visits = (_visits(final, entry.candidate.trainer) for entry in entries)
    total = seeds.seeds * sum(map(operator.mul, known, visits))
    return f"{text}, about {duration(total / workers)}"


def _seconds_per_clip(state: StudyState, entry: Trial) -> float | None:
    """Return what a candidate took in the search, each clip that it went through counted."""
    search = state.origin.search
    tree = next(t for t in state.trials if t.number == entry.number).user_attrs
    results = state.under(search, tree["candidate"])
    if not results:
        return None
    trainer = validate(TrainerConfig, tree["tree"]["trainer"], entry.label)
    return statistics.median(
        result.seconds / max(1, trainer.visits(search.clips - len(result.clips)))
        for result in results
    )


def _probes(settings: Settings) -> list[Candidate]:
    chance, found = random.Random(0), []
    for _ in range(50 * PROBES):
        tree = _drawn(settings, chance)
        if tree is not None:
            found.append(tree)
        if len(found) == PROBES:
            return found
    if not found:
        raise StudyError(f"{settings.space.place}: none of {50 * PROBES} draws is feasible")
    return found


def _drawn(settings: Settings, chance: random.Random) -> Candidate | None:
    try:
        tree = settings.space.draw(chance)
        architecture = parse_drawn(tree["architecture"], settings.space.place)
    except Infeasible:
        return None
    return Candidate(architecture, settings.trainer)


def clock_candidates(state: StudyState) -> None:
    """Measure how long candidates compute, each once in the life of the study.

    Of the finalists, or else of the best trial, also a training step, which takes much longer to
    measure; the drawing of scores against latency needs a clip of every complete trial.
    """
    classes = len(state.origin.data.classes)
    ranked = [trial for trial, _ in state.finalists] or state.ranked()[:1]
    timings = dict(state.noted.get("timings", {}))
    for key, candidate in ((trial.candidate.key, trial.candidate) for trial in ranked):
        if key not in timings:
            timings[key] = clock(candidate, classes)._asdict()
    state.note("timings", timings)
    clip_ms = dict(state.clip_ms)
    for trial in state.complete():
        if trial.searched not in clip_ms and trial.searched not in state.timings:
            clip_ms[trial.searched] = clock_clip(trial.candidate, classes)
    state.note("clip_ms", clip_ms)

"""How long candidates take: those of the final stage, and each for a step and a clip."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mer_nas.config.base import validate
from mer_nas.errors import TrainingFailed
from mer_nas.evaluation.timing import BATCH, clock, clock_clip, clock_step
from mer_nas.search.events import Listener, Note
from mer_nas.study.plans.forecast import visits
from mer_nas.study.state import StudyState
from mer_nas.study.trial import Trial
from mer_nas.training.config import TrainerConfig
from mer_nas.wording import count, duration


def announcement(state: StudyState, entries: Sequence[Trial], workers: int) -> str:
    """Say how long the final stage will take, from what its candidates took in the search."""
    final, seeds = state.origin.final, state.settings.study.final
    assert final is not None
    assert seeds is not None
    repetitions = f"{count(len(entries), 'candidate')} x {count(seeds.seeds, 'seed')}"
    text = f"final stage: {repetitions} under {final.name} ({count(len(final.folds), 'fold')})"
    per_clip = [seconds_per_clip(state, entry.number) for entry in entries]
    known = [seconds for seconds in per_clip if seconds is not None]
    if len(known) < len(entries):  # their folds are not in the ledger any more
        return text
    through = (visits(final, entry.candidate.trainer) for entry in entries)
    total = seeds.seeds * sum(map(operator.mul, known, through))
    return f"{text}, about {duration(total / workers)}"


def seconds_per_clip(state: StudyState, number: int) -> float | None:
    """Return what a trial took in the search, each clip that it went through counted.

    Args:
        state: Of its study.
        number: Of the trial.

    Returns:
        Seconds on one worker; none where the ledger holds no fold of it.
    """
    search = state.origin.search
    known = next(t for t in state.trials if t.number == number).user_attrs
    results = state.under(search, known.get("candidate", ""))
    if not results:
        return None
    trainer = validate(TrainerConfig, known["tree"]["trainer"], f"trial {number}")
    return statistics.median(
        result.seconds / max(1, trainer.visits(search.clips - len(result.clips)))
        for result in results
    )


def clip_seconds(state: StudyState, entry: Trial) -> float:
    """Return what a candidate takes for a clip: what it took, or takes now where that is lost.

    Args:
        state: Of its study.
        entry: The trial.
    """
    found = seconds_per_clip(state, entry.number)
    if found is not None:
        return found
    return clock_step(entry.candidate, len(state.origin.data.classes)).seconds / BATCH


def clock_candidates(state: StudyState, on_event: Listener) -> None:
    """Measure how long candidates compute, each once in the life of the study.

    Of the finalists, or else of the best trial, also a training step, which takes much longer to
    measure; the drawing of scores against latency needs a clip of every complete trial.

    Args:
        state: Of the study, which keeps what was measured also where it is interrupted.
        on_event: Is told of networks that cannot be timed.
    """
    classes = len(state.origin.data.classes)
    ranked = [trial for trial, _ in state.finalists] or state.ranked()[:1]
    timings, clip_ms = dict(state.noted.get("timings", {})), dict(state.clip_ms)
    try:
        for trial in ranked:
            if trial.candidate.key not in timings:
                with _told_of(trial, on_event):
                    timings[trial.candidate.key] = clock(trial.candidate, classes)._asdict()
        known = {*clip_ms, *timings, *state.timings}
        for trial in state.complete():
            if trial.searched not in known:
                with _told_of(trial, on_event):
                    clip_ms[trial.searched] = clock_clip(trial.candidate, classes)
    finally:
        state.note("timings", timings)
        state.note("clip_ms", clip_ms)


@contextmanager
def _told_of(trial: Trial, on_event: Listener) -> Iterator[None]:
    """Say what a network fails of that was trained on clips, and cannot be timed with noise."""
    try:
        yield
    except TrainingFailed as error:
        on_event(Note(f"{trial.label} is not timed: {error}"))

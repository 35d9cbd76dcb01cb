"""What a plan makes of the time there is: how many candidates, and how much for the final stage."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from mer_nas.data.protocols import Fold, Protocol
from mer_nas.errors import StudyError
from mer_nas.search.config import FinalConfig, StudyConfig
from mer_nas.search.pace import Pace
from mer_nas.settings import resolve
from mer_nas.study.clips import load_clips
from mer_nas.study.folder import create
from mer_nas.study.plans import forecast
from mer_nas.study.plans.forecast import Forecast

PACE = Pace(per_operation=1e-4, per_mac=1e-8, per_value=0.0, machine="a clock")
FOLD = Fold(name="s1", key="0", subjects=("s1",), clips=1)
LOSO = Protocol(name="LOSO", folds=(FOLD,), blocks=((0,),))


def by_hand(trials: int | None = None) -> Forecast:
    """Two workers; warm starts of 1 and 2 minutes, and 30 seconds for every other candidate."""
    return Forecast(trials, LOSO, (60.0, 120.0), 30.0, 2, 12, 600.0, PACE)


# Candidates in the minutes


def test_minutes_are_divided_over_warm_starts_and_then_the_others() -> None:
    """Ten minutes of two workers are 20, of which 3 go to the warm starts, two a minute then."""
    assert by_hand().candidates_in(10) == 2 + 2 * (20 - 3)
    assert by_hand().candidates_in(0.5) == 1
    assert by_hand().candidates_in(0.1) == 0


def test_too_few_minutes_are_told_with_the_number_that_would_do() -> None:
    """Thirty candidates take 3 + 28 / 2 minutes of one worker: 17, so 9 of two."""
    assert by_hand().shortage(StudyConfig(minutes=9)) == ""
    assert by_hand().shortage(StudyConfig(minutes=5)) == (
        "study.minutes=5 is too little: about 16 candidates would go through every fold, of the 30 "
        "that a search should try; study.minutes=9 would do"
    )
    assert by_hand().shortage(StudyConfig(minutes=None)) == ""


def test_who_asks_for_few_trials_needs_minutes_for_no_more() -> None:
    assert by_hand(trials=10).shortage(StudyConfig(minutes=5)) == ""
    assert "of the 10 that" in by_hand(trials=10).shortage(StudyConfig(minutes=1))


def test_points_that_a_limit_leaves_out_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the three points of moe, dre_s alone has more than 400,000 weights."""
    monkeypatch.setattr(forecast, "measured_pace", lambda *_: PACE)
    words = ["space=moe", "data.subjects=3", "data.clips=12", "study.folds=3"]
    clips = load_clips(resolve(words))
    found = [
        Forecast.of(resolve([*words, f"space.limits.params={most}"]), clips)
        for most in (3_000_000, 400_000)
    ]
    assert [len(each.points) for each in found] == [3, 2]
    with pytest.raises(StudyError, match="space=moe: no point is within the space's limits"):
        Forecast.of(resolve([*words, "space.limits.params=9", "study.sampler=points"]), clips)


def test_a_trial_that_is_the_least_of_its_draws_is_forecast_so(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many draws every trial is the cheapest candidate; with one they are as they come."""
    monkeypatch.setattr(forecast, "measured_pace", lambda *_: PACE)
    found = {}
    for alternatives in (1, 2, 1000):
        settings = resolve([*tiny, f"study.alternatives={alternatives}"])
        found[alternatives] = Forecast.of(settings, load_clips(settings))
    assert found[1].drawn > found[2].drawn > found[1000].drawn
    # The warm start is the smallest network that there is: a width of 8, one stage.
    assert found[1000].drawn == pytest.approx(found[1000].points[0])


# The shares


def test_the_final_stage_takes_a_third_of_the_whole_where_minutes_decide() -> None:
    """Ten minutes of search leave five for the final stage: 300 s of the 50 s that each takes.

    So six repetitions, of 2 candidates with an ensemble of 5 and one warm start; 12 were asked.
    Two seeds are kept, and one warm start, and the ensemble has three members: 4 x 2; then there
    is one candidate, which leaves the members; then there is one seed.
    """
    settings = resolve(["study=standard", "study.minutes=10", "study.trials=null"])
    assert settings.open_final
    planned = replace(by_hand(), final_jobs=12, final_seconds=600.0)
    changed, then = planned.decide(settings)
    assert changed.study.final_jobs(points=3) == then.final_jobs <= 6
    assert then.final_seconds == pytest.approx(50 * then.final_jobs)
    assert then.final_share(10) == pytest.approx(200 / 800)
    assert changed.study.pace == PACE


@pytest.mark.parametrize(
    ("words", "finalists"),
    [
        ([], 5 + 1),  # the 5 members, of whom the 2 candidates are the best, and a warm start
        (["study.final.ensemble.rule=mean"], 5 + 1),
        (["study.final.candidates=7"], 7 + 1),
        (["study.final.ensemble=none"], 2 + 1),
        (["study.objectives=[uf1, macs]"], 2 + 1),
        (["study.sampler=points"], 2 + 1),
        (["study.sampler=grid"], 2 + 1),
        (["study.final.ensemble.rule=greedy"], 2 + 5 + 1),  # who is no good alone may be taken
        (["study.final.ensemble.macs=10_000_000"], 2 + 5 + 1),  # the best may cost too much
        (["study.final.ensemble.params=10_000"], 2 + 5 + 1),
        (["study.final=none"], 0),
    ],
)
def test_the_final_stage_has_two_seeds_of_candidates_members_and_warm_starts_at_most(
    words: list[str], finalists: int
) -> None:
    study = resolve(["study=standard", *words]).study
    assert study.final_jobs(points=1) == 2 * finalists
    assert study.final_jobs(points=0) == 2 * max(0, finalists - 1)


@pytest.mark.parametrize(
    ("words", "is_open"),
    [
        (["study.minutes=10"], True),
        (["study.minutes=10", "study.final.seeds=3"], False),
        (["study.minutes=10", "study.final=none"], False),
        ([], False),
    ],
)
def test_nothing_that_was_asked_for_is_changed(words: list[str], is_open: bool) -> None:
    settings = resolve(["study=standard", *words])
    assert settings.open_final is is_open
    changed, _ = by_hand().decide(settings)
    if not is_open:
        assert changed.study.final == settings.study.final


def test_a_final_stage_that_fits_stays_as_it_is() -> None:
    settings = resolve(["study=standard", "study.minutes=31"])
    assert by_hand().decide(settings)[0].study.final == settings.study.final


def test_a_final_stage_never_loses_its_last_candidate() -> None:
    settings = resolve(["study=standard", "study.minutes=0.01"])
    final = by_hand().decide(settings)[0].study.final
    assert final is not None
    assert isinstance(final, FinalConfig)
    assert (final.candidates, final.warm_starts, final.seeds) == (1, 1, 1)


# The pace


def test_the_pace_is_measured_once_and_lies_in_the_settings(
    tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resolve(tiny)
    clips = load_clips(settings)
    monkeypatch.setattr(forecast, "measured_pace", lambda *_: PACE)
    study = create(settings, clips, "")
    stored = yaml.safe_load(study.settings_file.read_text())["study"]["pace"]
    assert stored == PACE.model_dump()
    assert study.settings().study.pace == PACE

    def measured(*_: object) -> Pace:
        raise AssertionError("measured again")

    monkeypatch.setattr(forecast, "measured_pace", measured)
    assert create(study.settings(), clips, "").settings().study.pace == PACE


@pytest.mark.parametrize("word", ["study.alternatives=1", "study.sampler=points"])
def test_nothing_is_measured_where_costs_do_not_weigh(
    tiny: list[str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "measured_pace", lambda *_: pytest.fail("measured"))
    settings = resolve([*tiny, word])
    assert create(settings, load_clips(settings), "").settings().study.pace is None


def test_a_search_opens_with_what_its_minutes_are_too_few_for(
    tiny: list[str], call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this pace a candidate takes hours, on a fast machine as on a slow one."""
    monkeypatch.setattr(
        forecast, "measured_pace", lambda *_: PACE.model_copy(update={"per_operation": 1.0})
    )
    words = ["study.minutes=0.002", "study.trials=30", "study.final=none", "study.name=short"]
    begun = call("search", *tiny, *words)
    said = r"study.minutes=0.002 is too little: about 0 candidates would go through every fold, of"
    assert re.search(said, " ".join((begun.stdout + begun.stderr).split()))
    resumed = call("resume", "short")
    assert "is too little" not in resumed.stdout + resumed.stderr

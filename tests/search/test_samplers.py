"""What TPE draws together, and that a draw depends on nothing that is not asked for."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from mer_nas.search.samplers import Groups, RepeatableSampler

KNOWN = {
    "a": FloatDistribution(0, 1),
    "b": CategoricalDistribution(["x", "y"]),
    "c": FloatDistribution(0, 1),
    "one": FloatDistribution(2, 2),
}


def study_of(trials: Sequence[Mapping[str, object]], state: TrialState) -> optuna.Study:
    """Return a study that knows trials by their parameters."""
    study = optuna.create_study(sampler=RepeatableSampler("tpe", startup=3, seed=0))
    for number, params in enumerate(trials):
        space = {name: KNOWN[name] for name in params}
        study.add_trial(
            create_trial(
                state=state, params=dict(params), distributions=space, value=float(number)
            )
        )
    return study


TRIALS = (
    {"a": 0.1, "b": "x", "one": 2.0},
    {"a": 0.9, "b": "y", "c": 0.5, "one": 2.0},
    {"c": 0.3, "one": 2.0},
    {"a": 0.2, "b": "x", "c": 0.4, "one": 2.0},
)


def test_a_group_is_what_the_same_complete_trials_have_and_may_differ() -> None:
    groups = Groups()
    groups.read(study_of(TRIALS, TrialState.COMPLETE))
    assert [list(groups.of(name)) for name in ("a", "b", "c")] == [["a", "b"], ["a", "b"], ["c"]]
    assert groups.of("one") == groups.of("unheard") == {}


def test_pruned_trials_make_no_group() -> None:
    groups = Groups()
    groups.read(study_of(TRIALS, TrialState.PRUNED))
    assert groups.of("a") == {}


def test_groups_are_the_same_whether_trials_are_read_one_by_one_or_at_once() -> None:
    growing, study = Groups(), study_of(TRIALS[:1], TrialState.COMPLETE)
    growing.read(study)
    assert list(growing.of("a")) == ["a", "b"]
    study.add_trial(create_trial(params={"a": 0.3}, distributions={"a": KNOWN["a"]}, value=1.0))
    growing.read(study)
    assert [list(growing.of(name)) for name in ("a", "b")] == [["a"], ["b"]]


def test_what_tpe_draws_does_not_depend_on_what_else_is_asked_for_or_when() -> None:
    def asked(order: Sequence[str]) -> dict[str, object]:
        trial = study_of(TRIALS, TrialState.COMPLETE).ask()
        suggest = {
            "a": lambda: trial.suggest_float("a", 0, 1),
            "b": lambda: trial.suggest_categorical("b", ["x", "y"]),
            "c": lambda: trial.suggest_float("c", 0, 1),
        }
        return {name: suggest[name]() for name in order}

    every = asked("abc")
    assert asked("cba") == every
    assert [asked(name)[name] for name in "abc"] == [every[name] for name in "abc"]

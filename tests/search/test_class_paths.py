"""Samplers and pruners of one's own, by the path of their class."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from click.testing import Result

from mer_nas import trust
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError, Untrusted
from mer_nas.search import pruners
from mer_nas.search.config import StudyConfig
from mer_nas.search.samplers import RepeatableSampler, build_sampler
from mer_nas.study.folder import StudyFolder

MINE = """
import optuna


class First(optuna.samplers.RandomSampler):
    '''Draws the first value of each choice.'''

    def sample_independent(self, study, trial, name, distribution):
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return distribution.choices[0]
        return super().sample_independent(study, trial, name, distribution)


class Notes(optuna.samplers.RandomSampler):
    '''Notes in the study with which seed it was made before each trial.'''

    def __init__(self, **given):
        super().__init__(given["seed"])
        self.given = given

    def before_trial(self, study, trial):
        study.set_user_attr(str(trial.number), self.given)


class Fixed(optuna.samplers.RandomSampler):
    '''Hands on what it is given, to whoever knows no seed.'''

    def __init__(self, **given):
        super().__init__(7)
        self.named(**given)

    def named(self, number=3):
        self.number = number


class Late(optuna.pruners.BasePruner):
    '''Stops every trial after its first fold.'''

    def prune(self, study, trial):
        return True


class Asks(optuna.samplers.RandomSampler):
    def __init__(self, needed):
        pass
"""


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "own_search.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path / "package")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "own_search.Fist",
            r"study\.sampler: own_search\.Fist cannot be imported: AttributeError",
        ),
        (
            "no_such.Sampler",
            r"no_such\.Sampler cannot be imported: ModuleNotFoundError: No module",
        ),
        (
            "own_search.Late",
            r"own_search\.Late is .*; a subclass of optuna\.samplers\.BaseSampler",
        ),
        ("os.system", r"os\.system is .*; a subclass of optuna\.samplers\.BaseSampler would"),
        ("own_search.Asks", r"cannot be made without arguments \(TypeError: .*'needed'\)"),
    ],
)
def test_what_is_no_sampler_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_sampler(path, 0, 0)


def test_a_sampler_of_ones_own_prepares_each_trial_with_a_seed_of_its_own() -> None:
    seeds = []
    for _ in range(2):  # a search that is begun again draws the same
        study = optuna.create_study(sampler=RepeatableSampler("own_search.Notes", 0, seed=3))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        seeds.append([study.user_attrs[number]["seed"] for number in ("0", "1")])
    assert seeds[0] == seeds[1]
    assert len({*seeds[0]}) == 2


def test_a_sampler_that_knows_no_seed_gets_none() -> None:
    sampler = build_sampler("own_search.Fixed", 0, 0)
    assert type(sampler).__name__ == "Fixed"


def test_a_pruner_that_is_none_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"subclass of optuna\.pruners\.BasePruner would be right"
    ):
        pruners.build("own_search.First", 0.05, 0.0, 3)


def shown(page: str, folder: Path) -> None:
    """Write the class that a page of the docs shows as a module of its name."""
    text = (Path(__file__).parents[2] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (folder / "package" / f"{page}_shown.py").write_text(code)


def test_the_sampler_of_the_docs_stays_with_the_best(tmp_path: Path) -> None:
    shown("own_sampler", tmp_path)
    study = optuna.create_study(
        direction="maximize", sampler=build_sampler("own_sampler_shown.Steady", 0, 0)
    )
    study.enqueue_trial({"width": 7})
    study.optimize(lambda trial: trial.suggest_categorical("width", list(range(8))), 10)
    widths = [trial.params["width"] for trial in study.trials]
    assert [w for number, w in enumerate(widths) if number % 5] == [7] * 8


def test_the_pruner_of_the_docs_stops_at_chance_after_two_blocks(tmp_path: Path) -> None:
    shown("own_pruner", tmp_path)
    pruner = pruners.build("own_pruner_shown.Floor", 0.05, 0.0, 3)
    counts = np.zeros((3, 3), int)
    for number, curve in enumerate([(0.2,), (0.5, 0.3), (0.2, 0.4)]):
        for step, value in enumerate(curve):
            pruner.report(number, step, value)
    stops = [
        bool(pruner.should_prune(pruners.TrialSnapshot(number, {"s": counts}, counts[0], None)))
        for number in range(3)
    ]
    assert stops == [False, True, False]


def test_a_path_that_is_none_is_told_from_a_name() -> None:
    with pytest.raises(ConfigError, match=r"study\.sampler: string should match pattern"):
        validate(StudyConfig, {"sampler": "own search.First"}, "study")


def test_a_search_draws_and_stops_by_classes_and_somebody_elses_asks_first(
    tiny: list[str], here: Path, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["study.sampler=own_search.First", "study.pruner=own_search.Late"]
    done = call("search", *tiny, *own, "study.final=none", "study.startup=0")
    assert done.exit_code == 0, done.output
    study = here / "runs" / "small-faces-1"
    trials = json.loads((study / "report.json").read_text())["study"]["trials"]
    drawn = [trial for trial in trials if trial["origin"] != "seed"]
    assert drawn
    widths = [trial["architecture"]["paths"][0]["stem"]["width"] for trial in drawn]
    assert widths == [8] * len(drawn)  # the first of {choice: [8, 16]}
    assert "pruned" in {trial["outcome"] for trial in drawn}
    file = study / "settings.yaml"
    file.write_text(file.read_text("utf-8") + "# by somebody\n", "utf-8")
    monkeypatch.setattr(trust, "_agreed", set())
    monkeypatch.setenv("MER_NAS_CONFIG", str(here / "own"))
    with pytest.raises(Untrusted, match=r"import the class own_search\.First\n  import the class"):
        StudyFolder(study).settings()

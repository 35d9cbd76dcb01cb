"""Samplers and pruners of one's own, by the path of their class."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from mer_nas import trust
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError, Untrusted
from mer_nas.search import pruners
from mer_nas.search.config import StudyConfig
from mer_nas.search.samplers import build_sampler
from mer_nas.study.folder import StudyFolder

MINE = """
import optuna


class First(optuna.samplers.RandomSampler):
    '''Draws the first value of each choice.'''

    def sample_independent(self, study, trial, name, distribution):
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return distribution.choices[0]
        return super().sample_independent(study, trial, name, distribution)


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


def test_a_pruner_that_is_none_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"subclass of optuna\.pruners\.BasePruner would be right"
    ):
        pruners.build("own_search.First", 0.05, 0.0, 3)


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

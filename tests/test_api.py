"""The public functions: their examples run, and keywords mean what words mean."""

import re
from doctest import DocTest, DocTestFinder, DocTestRunner
from pathlib import Path
from typing import Any

import pytest

from mer_nas import api
from mer_nas.config import presets
from mer_nas.errors import ConfigError

EXAMPLES = [test for test in DocTestFinder().find(api) if test.examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_examples_of_the_public_functions_run(example: DocTest, here: Path) -> None:
    said: list[str] = []
    assert DocTestRunner().run(example, out=said.append, clear_globs=False).failed == 0, said


def test_keywords_words_and_typed_configuration_ask_for_the_same(here: Path) -> None:
    by_words = api.settings("space=moe", "study.trials=20", "trainer.lr=1e-3", "ray.workers=0")
    assert (
        api.settings(space="moe", trials=20, trainer={"lr": 1e-3}, ray={"workers": 0}) == by_words
    )
    typed = api.settings(study=by_words.study, ray=by_words.ray, trainer=by_words.trainer)
    assert (typed.study, typed.ray, typed.trainer) == (
        by_words.study,
        by_words.ray,
        by_words.trainer,
    )
    (here / "mine.yaml").write_text("{trials: 7}")
    assert api.settings(study=here / "mine.yaml", seed=3).study.trials == 7
    space = presets.read("space", "moe")
    assert api.settings(space=space).space.parameters() == api.settings().space.parameters()


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"epochs": 3}, "epochs: a setting of trainer, so trainer={'epochs': ...} would be right"),
        ({"trails": 3}, "no keyword is called 'trails'; known: "),
        ({"trainer": 3}, "trainer=3: the name of a preset, a mapping of settings or its typed"),
        ({"trials": object}, "trials=<class 'object'>: no setting can have such a value"),
        ({"trainer": {"lr": "fast"}}, "trainer.lr: "),
        ({"trials": 0}, "study.trials: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_keyword_that_means_nothing_is_refused_in_a_line(
    keywords: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        api.settings(**keywords)


def test_the_point_and_the_seeds_of_an_evaluation_may_be_words(here: Path) -> None:
    words = ("study.folds=2", "data.subjects=4", "data.clips=24")
    by_words = api.plan_evaluation("point=prog_s", "seeds=2", *words).tree
    by_keywords = api.plan_evaluation(*words, point="prog_s", seeds=2).tree
    for name in ("name", "folds", "seeds", "architecture", "trainer"):
        assert by_words[name] == by_keywords[name]
    assert (by_words["name"], by_words["folds"], by_words["seeds"]) == ("prog_s", 2, 2)
    for seeds in ("seeds=0", "seeds=two"):
        with pytest.raises(ConfigError, match="a whole number of 1 or more"):
            api.evaluate("point=prog_s", seeds)


@pytest.mark.parametrize("classes", [-1, 1, 2.5, "3", None, True])
def test_a_number_of_classes_that_is_none_is_refused(classes: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^classes=.*: a whole number of 2 or more would be right"
    ):
        api.build(api.point("prog_s"), classes)


def test_what_is_no_candidate_is_refused() -> None:
    for function in (api.build, api.diagram, api.time_candidate):
        with pytest.raises(ConfigError, match=r"^candidate=None: one of `point\(NAME\)` would be"):
            function(None, 3)  # type: ignore[operator]


def test_the_file_of_a_picture_may_be_a_word_and_stands_first(here: Path) -> None:
    words = ("data.subjects=2", "data.clips=6", "data.size=16")
    api.draw_clips("out=clips.svg", *words)
    assert "<svg" in (here / "clips.svg").read_text()
    with pytest.raises(ConfigError, match="out"):
        api.draw_clips("clips.svg", *words, "out=other.svg")


def test_what_is_no_name_path_or_study_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match=r"compare: \[1\]; a path, a name or a study would be"):
        api.compare([1], "mine")  # type: ignore[arg-type]


def test_a_seed_has_32_bits() -> None:
    with pytest.raises(ConfigError, match=r"study.seed: input should be less than 4294967296"):
        api.plan(space="moe", seed=2**32)

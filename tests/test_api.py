"""The public functions: their examples run, and keywords mean what words mean."""

import math
import re
from collections.abc import Callable
from doctest import DocTest, DocTestFinder, DocTestRunner
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mer_nas import api
from mer_nas.config import presets
from mer_nas.errors import ConfigError, MerNasError
from mer_nas.study.folder import StudyFolder

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
        (
            {"trials": object},
            "trials=<class 'object'>: no setting can have such a value; a text, a finite number,",
        ),
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


def test_a_number_of_numpy_is_the_number_that_it_is() -> None:
    found = api.settings(trials=np.int64(5), trainer={"lr": np.float32(0.5)})
    assert (found.study.trials, found.trainer.lr) == (5, 0.5)


@pytest.fixture
def plain(here: Path) -> api.Study:
    """A study of which there are the settings alone."""
    study = api.Study("runs/plain")  # type: ignore[arg-type]
    study.folder.mkdir(parents=True)
    StudyFolder(study.folder).save(api.settings())
    (here / "folder").mkdir()
    return study


def test_an_argument_of_no_right_kind_is_refused_in_a_line(plain: api.Study) -> None:
    clips: Any = {"model": "nowhere", "clip": "clip"}
    no_words: tuple[Any, ...] = (None, 3, b"study.trials=3", ["study.trials=3"])
    mistakes: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
        *(
            (verb, (*first, word), more, f"{word!r}: a word of the form key=value would be right")
            for word in no_words
            for verb, first, more in (
                (api.settings, (), {}),
                (api.evaluate, (), {}),
                (api.leaderboard, (), {"folder": "board"}),
                (plain.resume, (), {}),
                (plain.export, (1,), {}),
            )
        ),
        *(
            (verb, (given,), {}, f"{name}: a path would be right, not {given!r}")
            for given in (None, 3)
            for verb, name in (
                (api.Study, "folder"),
                (api.load_study, "study"),
                (api.export, "study"),
                (api.open_export, "folder"),
                (api.load_model, "folder"),
                (api.reproduce, "report"),
                (api.plan_reproduction, "report"),
                (partial(api.hub_folder, folder=None), "export"),
                (partial(api.predict, clip="clip"), "model"),
                (partial(api.copy_preset, "space", "moe"), "folder"),
            )
        ),
        *(
            (verb, (), {name: given}, f"{name}={given!r}: a function that is told what happens, or")
            for given in (3, "x")
            for verb, name in (
                (api.search, "on_event"),
                (api.plan, "on_event"),
                (api.evaluate, "on_event"),
                (partial(api.leaderboard, folder="board"), "on_event"),
                (partial(api.reproduce, "mine"), "on_event"),
                (plain.resume, "on_event"),
                (plain.plan, "on_event"),
                (plain.export, "on_event"),
                (api.check_data, "progress"),
                (api.synthesize, "progress"),
            )
        ),
        *(
            (verb, (), {"anew": given}, f"anew: input should be true or false, not {given!r}")
            for given in ("no", None)
            for verb in (plain.resume, plain.plan, plain.export, plain.plan_export)
        ),
        *(
            (verb, ("mine",), {"trust": "no"}, "trust='no': True, False, or a function that is")
            for verb in (api.load_model, api.reproduce, api.plan_reproduction)
        ),
        *(
            (api.leaderboard, (), {"folder": "board", **more}, said)
            for more, said in (
                ({"folder": None}, "folder: a path would be right, not None"),
                ({"hours": -1}, "leaderboard.hours: input should be greater than 0, not -1"),
                ({"hours": math.nan}, "hours: input should be a finite number, not nan"),
                ({"hours": "x"}, "hours: input should be a valid number, not 'x'"),
                ({"plan": "no"}, "plan: input should be true or false, not 'no'"),
                ({"seeds": "2"}, "seeds='2': a whole number of 1 or more would be right"),
            )
        ),
        *(
            (api.predict, (), clips | more, said)
            for more, said in (
                ({"picture": "x.xyz"}, "--picture x.xyz: ends in .xyz; one of .svg, .png, .pdf"),
                ({"picture": 3}, "--picture: a path would be right, not 3"),
                ({"picture": "folder"}, "--picture folder: this is a folder; a file in it would"),
                ({"fps": 0}, "predict.fps: input should be greater than 0, not 0"),
                ({"fps": -5}, "predict.fps: input should be greater than 0, not -5"),
                ({"fps": math.nan}, "predict.fps: input should be a finite number, not nan"),
                ({"fps": "x"}, "predict.fps: input should be a valid number, not 'x'"),
                ({"cropped": "no"}, "predict.cropped: input should be true or false, not 'no'"),
                ({"onset": True}, "predict.onset: input should be a valid integer, not True"),
                ({"onset": "1"}, "predict.onset: input should be a valid integer, not '1'"),
            )
        ),
        (api.compare, ("a", "b"), {"picture": 3}, "--picture: a path would be right, not 3"),
        (api.draw_clips, (3,), {}, "out: a path would be right, not 3"),
        (api.copy_preset, ("space", None), {}, "space=None: the name of a preset, or a YAML file,"),
        *(
            (verb, ([], *more), {}, "no group is called '[]'; known: data, ")
            for verb, *more in ((api.presets,), (api.keys,), (api.schema,), (api.copy_preset, "a"))
        ),
        (plain.track, ([],), {}, "no tracker is called '[]'; known: mlflow, "),
        (plain.watch, ("x",), {}, "--port 'x': a port is a number from 0 to 65535; without, a"),
        *(
            (api.as_yaml, ({"b": given},), {}, f"{given!r} has no place in YAML; a text, a number,")
            for given in (object, {1}, b"c")
        ),
    ]  # fmt: skip
    for verb, words, keywords, said in mistakes:
        with pytest.raises(MerNasError) as refused:
            verb(*words, **keywords)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    assert sorted(path.name for path in Path().iterdir()) == ["folder", "runs"]


def test_a_study_stands_for_its_folder(plain: api.Study) -> None:
    assert plain == api.Study(Path("runs/plain"))
    assert repr(plain) == "Study('runs/plain', no report yet)"
    (plain.folder / "origin.json").touch()
    assert api.load_study(plain, trust=True) is plain
    for function, said in (
        (api.reproduce, "runs/plain/report.json: no such file; "),
        (api.open_export, "runs/plain: this study has exported nothing; "),
        (api.load_model, "runs/plain: no model.yaml here; "),
    ):
        with pytest.raises(MerNasError, match=re.escape(said)):
            function(plain)  # type: ignore[operator]


def test_a_preset_is_copied_to_a_folder_that_is_named_by_a_text(here: Path) -> None:
    assert api.copy_preset("trainer", "quick", "mine") == Path("mine/quick.yaml")
    with pytest.raises(ConfigError, match=r"^mine/quick.yaml: no folder can be made there: "):
        api.copy_preset("space", "moe", "mine/quick.yaml")


def test_the_point_and_the_seeds_of_an_evaluation_may_be_words(here: Path) -> None:
    words = ("study.folds=2", "data.subjects=4", "data.clips=24")
    by_words = api.plan_evaluation("point=prog_s", "seeds=2", *words).tree
    by_keywords = api.plan_evaluation(*words, point="prog_s", seeds=2).tree
    for name in ("name", "folds", "seeds", "architecture", "trainer"):
        assert by_words[name] == by_keywords[name]
    assert (by_words["name"], by_words["folds"], by_words["seeds"]) == ("prog_s", 2, 2)
    for seeds in ("seeds=0", "seeds=two", "seeds="):
        with pytest.raises(ConfigError, match=f"^{seeds}: a whole number of 1 or more"):
            api.evaluate("point=prog_s", seeds)


@pytest.mark.parametrize("width", ["x", None, True])
def test_a_width_that_is_no_number_is_refused(width: Any) -> None:
    with pytest.raises(ConfigError, match=f"diagram.width: .* integer, not {width!r}$"):
        api.diagram(api.point("prog_s"), width=width)


@pytest.mark.parametrize("classes", [-1, 1, 2.5, "3", None, True])
def test_a_number_of_classes_that_is_none_is_refused(classes: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"^classes={classes!r}: a whole number of 2 or more would be right"
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

"""The border between plain trees and typed settings: every mistake at once, with a guess."""

import os
from pathlib import Path
from typing import Any

import pytest

from mer_nas.config import overrides
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError
from mer_nas.settings import resolve, worded
from mer_nas.training.config import TrainerConfig


def complaint(tree: object) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        validate(TrainerConfig, tree, "trainer")
    return str(refused.value).splitlines()


def test_every_mistake_is_said_each_in_its_line() -> None:
    assert complaint({"epochs": 0, "lr": "abc", "batsh": 3}) == [
        "trainer.epochs: input should be greater than 0, not 0",
        "trainer.lr: input should be a valid number, not 'abc'",
        "trainer: no setting is called 'batsh'; known: augment, batch, clip_norm, device, epochs, "
        "focal_power, label_smoothing, loss, lr, name, optimizer, prior_power, schedule, "
        "step_every, step_factor, steps, warmup, weight_decay. Did you mean 'batch'?",
    ]


def test_an_inner_block_lists_its_own_settings() -> None:
    assert complaint({"augment": {"flop": True}}) == [
        "trainer.augment: no setting is called 'flop'; known: flip, mixup, noise, own, rotate, scale, shift. "
        "Did you mean 'flip'?"
    ]


def test_an_unknown_option_is_answered_with_those_there_are() -> None:
    assert complaint({"optimizer": "adamv"}) == [
        "trainer.optimizer: input should be 'adamw', 'adam' or 'sgd', not 'adamv'"
    ]


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("epochs", [True, "3", 3.5, 2**63, float("nan"), [3]]),
        ("lr", [True, "1e-3", float("inf"), float("nan"), None]),
        ("augment", [{"flip": 1}, {"flip": "yes"}, {"shift": False}, {"scale": [0.5, True]}]),
    ],
)
def test_a_number_is_a_finite_number_and_no_truth_value(setting: str, values: list[Any]) -> None:
    for value in values:
        assert complaint({setting: value})[0].startswith(f"trainer.{setting}"), value
    assert validate(TrainerConfig, {"epochs": 1e1, "lr": 1}, "trainer").epochs == 10


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(complaint({"optimizer": "x" * 5000, "y" * 5000: 1})[0]) < 300


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trainer" + ".a" * 5000 + "=1", "no setting has so long a name or value"),
        ("space=" + "a" * 5000, "cannot be reached: file name too long"),
        ("space=~nosuchuser", "'~nosuchuser' cannot be reached: "),
        ("space=a\0b.yaml", "cannot be reached: embedded null byte"),
        ("space=/dev/zero", "this is no YAML file"),
        ("space=pipe.yaml", "pipe.yaml: cannot be read: this is no file"),
        ("data=megc2019 data.root=~nosuchuser", r"data.root: '~nosuchuser' cannot be reached: "),
        ("study.folder=" + "a" * 5000, "study.folder: .* cannot be reached: file name too long"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_message(word: str, message: str, here: Path) -> None:
    os.mkfifo("pipe.yaml")
    with pytest.raises(ConfigError, match=message) as refused:
        resolve(word.split(" "))
    assert len(str(refused.value)) < 400


def test_words_are_told_apart_and_read_as_yaml() -> None:
    words = overrides.parse(["space=moe", "trainer.lr=1e-3", "data.root=/a b", "study.name=a=b"])
    assert words.plain == {"space": "moe"}
    assert words.dotted == {"trainer.lr": 1e-3, "data.root": "/a b", "study.name": "a=b"}


@pytest.mark.parametrize("word", ["moe", "=moe", ".="])
def test_a_word_without_key_or_equals_sign_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="a word of the form key=value would be right"):
        overrides.parse([word])


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("study.final=none", "study.final.candidates=3"),
        ("study.final={candidates: 3}", "study.final.ensemble.members=3"),
        ("trainer.augment.own=null", "trainer.augment.own.dim=1"),
    ],
)
def test_words_that_set_a_whole_and_a_part_of_it_contradict_one_another(
    whole: str, part: str
) -> None:
    key = whole.partition("=")[0]
    for words in ([whole, part], [part, "study.trials=3", whole]):
        with pytest.raises(ConfigError) as refused:
            overrides.parse(words)
        assert str(refused.value) == (
            f"{whole!r} and {part!r} contradict one another: the first sets all of {key}, the "
            "second a part of it; one of them would be right"
        )


@pytest.mark.parametrize("order", [1, -1])
def test_a_block_may_be_chosen_and_one_of_its_settings_fixed(order: int) -> None:
    stem = "space.architecture.paths.0.stem"
    words = [f"{stem}=conv", f"{stem}.conv.width=16"][::order]
    open_settings = resolve(["space=moe", *words]).space.parameters()
    stems = {name for name in open_settings if ".paths.0.stem" in name}
    assert any(".stride" in name for name in stems), stems
    assert not any(".width" in name or ".patch" in name for name in stems), stems


def test_of_one_key_twice_the_last_holds_and_a_preset_goes_with_its_settings() -> None:
    words = ["study=quick", "study.final=none", "study.finale=1", "study.final={seeds: 2}"]
    assert overrides.parse(words).dotted == {"study.final": {"seeds": 2}, "study.finale": 1}


def test_keywords_contradict_one_another_as_words_do() -> None:
    words, _ = worded({"final": "none", "study": {"final": {"seeds": 2}}})
    with pytest.raises(
        ConfigError, match=r"^'study\.final=none' and 'study\.final\.seeds=2' contra"
    ):
        resolve(words)


def test_a_text_in_a_word_is_taken_whole_and_a_name_as_it_stands() -> None:
    words = overrides.parse(["data.root=/faces #2", "study.name=1e5", "a.b='x #y'", "a.c=3 # d"])
    assert list(words.dotted.values()) == ["/faces #2", "1e5", "x #y", 3]
    assert resolve(["study.name=null"]).study.name is None


def test_a_list_in_a_word_stays_a_list() -> None:
    assert overrides.parse(["space.architecture.stem=[a,b]"]).dotted == {
        "space.architecture.stem": ["a", "b"]
    }

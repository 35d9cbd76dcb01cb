"""The border between plain trees and typed settings: every mistake at once, with a guess."""

import pytest

from mer_nas.config import overrides
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError
from mer_nas.training.config import TrainerConfig


def complaint(tree: object) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        validate(TrainerConfig, tree, "trainer")
    return str(refused.value).splitlines()


def test_every_mistake_is_said_each_in_its_line() -> None:
    assert complaint({"epochs": 0, "lr": "abc", "batsh": 3}) == [
        "trainer.epochs: input should be greater than 0, not 0",
        "trainer.lr: input should be a valid number, unable to parse string as a number, not 'abc'",
        "trainer: no setting is called 'batsh'; known: augment, batch, clip_norm, device, epochs, "
        "focal_power, label_smoothing, loss, lr, name, optimizer, prior_power, schedule, "
        "step_every, step_factor, steps, warmup, weight_decay. Did you mean 'batch'?",
    ]


def test_an_inner_block_lists_its_own_settings() -> None:
    assert complaint({"augment": {"flop": True}}) == [
        "trainer.augment: no setting is called 'flop'; known: flip, mixup, noise, rotate, scale, shift. "
        "Did you mean 'flip'?"
    ]


def test_an_unknown_option_is_answered_with_those_there_are() -> None:
    assert complaint({"optimizer": "adamv"}) == [
        "trainer.optimizer: input should be 'adamw', 'adam' or 'sgd', not 'adamv'"
    ]


def test_words_are_told_apart_and_read_as_yaml() -> None:
    words = overrides.parse(["space=moe", "trainer.lr=1e-3", "data.root=/a b", "study.name=a=b"])
    assert words.plain == {"space": "moe"}
    assert words.dotted == {"trainer.lr": 1e-3, "data.root": "/a b", "study.name": "a=b"}


@pytest.mark.parametrize("word", ["moe", "=moe", ".="])
def test_a_word_without_key_or_equals_sign_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="a word of the form key=value would be right"):
        overrides.parse([word])


def test_a_list_in_a_word_stays_a_list() -> None:
    assert overrides.parse(["space.architecture.stem=[a,b]"]).dotted == {
        "space.architecture.stem": ["a", "b"]
    }

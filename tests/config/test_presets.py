"""Presets: where they are found, and what YAML may say."""

from pathlib import Path

import pytest

from mer_nas.config import presets
from mer_nas.errors import ConfigError


@pytest.mark.parametrize("group", presets.FOLDERS)
def test_every_group_ships_presets_that_can_be_read(group: str) -> None:
    assert presets.names(group)
    for name in presets.names(group):
        assert presets.read(group, name) == presets.read(group, f"{name}.yaml")


def test_a_yaml_file_in_the_working_directory_goes_before_the_preset_of_its_name(
    here: Path,
) -> None:
    (here / "quick.yaml").write_text("epochs: 3")
    assert presets.read("trainer", "quick.yaml") == {"epochs": 3}
    assert presets.read("trainer", "./quick.yaml") == {"epochs": 3}
    assert presets.read("trainer", "quick") != {"epochs": 3}


def test_a_misspelt_preset_is_answered_with_a_guess() -> None:
    with pytest.raises(
        ConfigError, match=r"space=mo: no preset is called 'mo'; .*Did you mean 'moe'"
    ):
        presets.read("space", "mo")


def test_a_path_to_nowhere_is_said_to_be_no_file() -> None:
    with pytest.raises(ConfigError, match=r"space=\./mine\.yaml: there is no such file"):
        presets.read("space", "./mine.yaml")


def test_numbers_in_scientific_notation_are_numbers() -> None:
    assert presets.parse("lr: 1e-4", "x") == {"lr": 1e-4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "x: cannot be read: line 2: found duplicate key a"),
        ("a: [1", "x: cannot be read: line 1: expected"),
        ("- 1", "x: a mapping of settings would be right, not a list"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        presets.parse(text, "x")
    assert str(refused.value).startswith(message)


def test_what_is_dumped_is_read_back_unchanged() -> None:
    tree = {
        "lr": 1e-5,
        "word": "1e-4",
        "off": "off",
        "none": None,
        "list": [1, 2.0],
        "deep": [{"a": True}],
    }
    assert presets.parse(presets.dump(tree), "x") == tree

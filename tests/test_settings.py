"""From the words of a command to typed settings."""

from pathlib import Path

import pytest

from mer_nas.config import presets
from mer_nas.errors import ConfigError
from mer_nas.settings import Settings, resolve


def test_without_words_the_quick_search_on_the_embedded_data_is_meant() -> None:
    settings = resolve([])
    assert (settings.space.name, settings.data.name) == ("moe", "synthetic")


@pytest.mark.parametrize("group", presets.FOLDERS)
def test_every_shipped_preset_is_valid(group: str) -> None:
    for name in presets.names(group):
        resolve([f"{group}={name}"])


def test_settings_survive_the_study_folder() -> None:
    words = ["trainer.lr=1e-3", "space.architecture.paths.0.stages.repeat=2", "study.final=none"]
    settings = resolve(words)
    tree = presets.parse(presets.dump(settings.dump()), "stored")
    assert Settings.load(tree, "stored") == settings
    assert settings.study.final is None


def test_stored_settings_without_their_parts_are_refused() -> None:
    tree = resolve([]).dump()
    for part in tree:
        damaged = {key: value for key, value in tree.items() if key != part}
        with pytest.raises(ConfigError, match=f"stored: the setting '{part}' is missing"):
            Settings.load(damaged, "stored")
    with pytest.raises(ConfigError, match=r"stored\.space: the setting 'file' is missing"):
        Settings.load({**tree, "space": {}}, "stored")


def test_a_trainer_word_decides_what_the_space_would_search() -> None:
    assert "trainer.lr" in resolve([]).space.parameters()
    settings = resolve(["trainer.lr=1e-3"])
    assert "trainer.lr" not in settings.space.parameters()
    assert settings.trainer.lr == 1e-3
    assert not any("trainer.lr" in point.params for point in settings.space.points)


def test_the_mistakes_of_all_groups_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        resolve(
            ["spcae=moe", "trainer.epoch=3", "data=sinthetic", "stdy.trials=3", "study.trials=0"]
        )
    assert str(refused.value).splitlines() == [
        "no key is called 'spcae'; known: data, space, study, trainer. Did you mean 'space'?",
        "stdy.trials: no group is called 'stdy'; known: data, ray, space, study, trainer. "
        "Did you mean 'study'?",
        "trainer: no setting is called 'epoch'; known: augment, batch, clip_norm, device, epochs, "
        "focal_power, label_smoothing, loss, lr, name, optimizer, prior_power, schedule, "
        "step_every, step_factor, steps, warmup, weight_decay. Did you mean 'epochs'?",
        "data=sinthetic: no preset is called 'sinthetic'; known: "
        f"{', '.join(presets.names('data'))}. Did you mean 'synthetic'?",
        "study.trials: input should be greater than 0, not 0",
    ]


def test_a_wrong_setting_of_the_data_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(ConfigError, match=r"^data\.subjects: input should be .* not 1$"):
        resolve(["data.subjects=1"])
    with pytest.raises(ConfigError, match=r"^data: no setting is called 'rooot'; .*'root'"):
        resolve(["data=megc2019_flow", "data.rooot=/x"])


def test_a_file_beside_the_presets_is_read(here: Path) -> None:
    (here / "mine.yaml").write_text("name: mine\narchitecture: {a: 1}\n")
    assert resolve(["space=mine.yaml"]).space.name == "mine"


def test_a_point_is_trained_with_the_recipe_of_the_trainer_where_it_has_none() -> None:
    settings = resolve(["trainer=quick"])
    for point in settings.space.points:
        assert point.params["trainer.lr"] == settings.trainer.lr

"""The recipes of the published systems, as the published texts and codes have them."""

import pytest

from mer_nas import systems
from mer_nas.errors import ConfigError
from mer_nas.settings import resolve
from mer_nas.space import SearchSpace
from mer_nas.training.config import Augmentation, TrainerConfig

# Optimizer, learning rate, weight decay, batch, length, loss: section 8 of the design notes.
RECIPES = {
    "htnet": ("adam", 5e-5, 0, 256, "800 epochs", "ce"),
    "dre": ("adam", 5e-5, 0, 256, "800 epochs", "ce"),
    "fdp": ("adam", 1e-4, 1e-3, 36, "500 steps", "ce"),
    "prog": ("adamw", 1e-4, 1e-4, 32, "100 epochs", "weighted_ce"),
    "dual": ("adam", 1e-3, 1e-4, 32, "90 epochs", "ce"),
    "medn": ("adamw", 1e-4, 0.05, 32, "100 epochs", "ce"),
}

POINT = {
    "name": "p",
    "source": "here",
    "fidelity": "reading",
    "values": {"architecture": {"width": 8}},
}

SYSTEMS = {
    "moe": {"htnet_ref": "htnet", "dre": "dre"},
    "dynamic": {"fdp": "fdp", "fdp_code": "fdp"},
    "progressive": {"prog": "prog", "prog_eq8": "prog"},
    "dual_branch": {"dual": "dual"},
    "decoupled": {"medn": "medn"},
}


def preset(name: str) -> TrainerConfig:
    return resolve([f"trainer={name}"]).trainer


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_values_of_its_system(name: str) -> None:
    found = preset(name)
    assert RECIPES[name] == (
        found.optimizer, found.lr, found.weight_decay, found.batch, found.duration, found.loss,
    )  # fmt: skip
    assert (found.warmup, found.clip_norm, found.label_smoothing) == (0, None, 0)
    assert found.name == name


def test_only_the_one_system_that_says_so_changes_its_clips() -> None:
    nothing = Augmentation(flip=False, shift=0)
    changed = {name for name in RECIPES if preset(name).augment != nothing}
    assert changed == {"prog"}
    assert preset("prog").augment == Augmentation(flip=True, shift=16, rotate=10)


def test_the_rate_falls_where_the_notes_say_so() -> None:
    schedules = {name: preset(name).schedule for name in RECIPES}
    assert schedules.pop("dual") == "step"
    assert schedules.pop("medn") == "cosine"
    assert set(schedules.values()) == {"constant"}
    assert (preset("dual").step_every, preset("dual").step_factor) == (30, 0.1)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_published_system_is_trained_by_its_own_recipe(name: str) -> None:
    settings = resolve([f"space={name}", "trainer=quick"])
    for system, recipe in SYSTEMS[name].items():
        found = systems.candidate(settings.space, system, settings.trainer)
        assert found.trainer == preset(recipe)


def space(**settings: object) -> SearchSpace:
    tree = {
        "name": "s",
        "architecture": {"width": {"choice": [8, 16]}},
        "trainer": {"lr": {"float": [5e-5, 1e-2]}, "weight_decay": {"float": [1e-6, 1e-5]}},
        "points": [{**POINT, **settings}],
    }
    return SearchSpace.read(tree, "space=s")


def test_a_point_takes_from_its_recipe_what_is_searched_and_in_range() -> None:
    quick = resolve(["trainer=quick"]).trainer.model_dump(mode="json")
    (start,) = space(recipe="dual").trained_with(quick).points
    assert start.params == {"architecture.width": 8, "trainer.lr": 1e-3}
    (start,) = space().trained_with(quick).points
    assert start.params == {"architecture.width": 8, "trainer.lr": quick["lr"]}


def test_a_recipe_that_does_not_exist_is_refused_with_the_point() -> None:
    with pytest.raises(ConfigError, match=r"p: recipe: trainer=duel: .* Did you mean 'dual'\?"):
        space(recipe="duel").point("p").training()


def test_words_win_over_a_recipe() -> None:
    settings = resolve(["space=moe", "trainer.batch=64"])
    found = systems.candidate(
        settings.space, "dre", settings.trainer, settings.trainer_words
    ).trainer
    assert found == preset("dre").model_copy(update={"batch": 64})


def test_a_length_in_epochs_does_not_silently_stand_beside_one_in_steps() -> None:
    settings = resolve(["space=dynamic", "trainer.epochs=3"])
    with pytest.raises(
        ConfigError, match="fdp: trainer: epochs 3 and steps 500; a number for one"
    ):
        systems.candidate(settings.space, "fdp", settings.trainer, settings.trainer_words)

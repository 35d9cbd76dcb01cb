"""The published systems and our hybrids, by the names that the shipped spaces give them."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from mer_nas.architectures import Architecture, Cost, parse, parse_drawn
from mer_nas.settings import resolve
from mer_nas.space import Point, Reference, SearchSpace
from mer_nas.space.domains import Choice, Leaf, Pick
from mer_nas.space.search_space import WarmStart

# Weights in training, from an independent count of the papers' networks.
WEIGHTS = {
    "htnet_ref": 139_582_982,
    "dre": 135_138_730,
    "fdp_code": 85_304_206,
    "fdp": 96_251_342,
    "prog": 11_339_473,
    "prog_eq8": 2_283_473,
    "dual": 9_963_415,
    "medn": 13_735_895,
    "dre_s": 1_464_603,
    "fdp_s": 848_356,
    "prog_s": 318_463,
    "dual_s": 159_145,
    "medn_s": 154_643,
    "hyb_ms_prog_expert": 312_388,
    "hyb_frames_arp_inception": 60_953,
    "hyb_dual_expert_sparse": 150_068,
}

# Warm starts and published systems of every space.
NAMED = {
    "moe": (["dre_s", "prog_s", "hyb_ms_prog_expert"], ["dre", "htnet_ref"]),
    "progressive": (["prog_s"], ["prog", "prog_eq8"]),
    "dynamic": (["fdp_s"], ["fdp", "fdp_code"]),
    "dual_branch": (["dual_s"], ["dual"]),
    "decoupled": (["medn_s"], ["medn"]),
    "hybrid": ([name for name in WEIGHTS if name.endswith("_s") or name.startswith("hyb_")], []),
}


def spaces() -> Iterator[SearchSpace]:
    for name in NAMED:
        yield resolve([f"space={name}"]).space


def architecture(system: Point | Reference) -> Architecture:
    tree = system.architecture if isinstance(system, Reference) else system.values["architecture"]
    return parse(tree, system.name)


@pytest.mark.parametrize("name", NAMED)
def test_a_space_names_its_warm_starts_and_its_published_systems(name: str) -> None:
    file = resolve([f"space={name}"]).space.file
    points, references = NAMED[name]
    assert sorted(point.name for point in file.points) == sorted(points)
    assert sorted(reference.name for reference in file.references) == sorted(references)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_system_has_the_weights_that_were_counted(name: str) -> None:
    found = [s for space in spaces() for s in space.systems if s.name == name]
    assert found
    for system in found:
        classes = system.classes if isinstance(system, Reference) else 3
        assert Cost.of(architecture(system), classes).parameters == WEIGHTS[name]


def test_a_name_means_one_network_in_all_spaces() -> None:
    known: dict[str, Any] = {}
    for space in spaces():
        for system in space.systems:
            tree = architecture(system).model_dump(mode="json")
            assert known.setdefault(system.name, tree) == tree


@pytest.mark.parametrize("name", NAMED)
def test_a_warm_start_leaves_nothing_of_its_network_to_chance(name: str) -> None:
    space = resolve([f"space={name}"]).space
    for point, start in zip(space.file.points, space.points, strict=True):
        for seed in range(5):
            tree = space.fill(following(start, random.Random(seed)))
            assert parse_drawn(tree["architecture"]) == architecture(point)


def following(start: WarmStart, chance: random.Random) -> Pick:
    """Pick what a warm start says, and anything where it says nothing."""

    def pick(name: str, leaf: Leaf) -> Any:
        if name in start.params:
            return start.params[name]
        return chance.choice(leaf.labels if isinstance(leaf, Choice) else (leaf.low, leaf.high))

    return pick

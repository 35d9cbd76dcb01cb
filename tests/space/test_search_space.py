"""The syntax of search spaces: drawing, finding a point, narrowing, and every mistake of a file."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import optuna
import pytest

from mer_nas.config import presets
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.settings import schema
from mer_nas.space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.ERROR)


def read(architecture: dict[str, Any], **rest: Any) -> SearchSpace:
    return SearchSpace.read({"name": "x", "architecture": architecture, **rest}, "space=x")


def first(space: SearchSpace) -> dict[str, Any]:
    def pick(_: str, leaf: Any) -> Any:
        return leaf.labels[0] if hasattr(leaf, "labels") else leaf.low

    tree: dict[str, Any] = space.fill(pick)["architecture"]
    return tree


def trials(count: int) -> Iterator[optuna.Trial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        yield study.ask()


@pytest.fixture(params=presets.names("space"))
def shipped(request: pytest.FixtureRequest) -> SearchSpace:
    """Every search space that the repository ships."""
    return SearchSpace.read(presets.read("space", request.param), f"space={request.param}")


def test_encode_undoes_suggest(shipped: SearchSpace) -> None:
    for trial in trials(100):
        tree = shipped.suggest(trial)
        assert shipped.encode(tree) == trial.params


def test_every_shipped_space_has_warm_starts_inside(shipped: SearchSpace) -> None:
    assert (
        {point.name for point in shipped.points} == {p.name for p in shipped.file.points} != set()
    )


def test_every_shipped_space_fits_its_json_schema(shipped: SearchSpace) -> None:
    jsonschema.validate(shipped.source, schema("space"))


def test_the_json_schema_refuses_a_misspelt_domain() -> None:
    tree = {"name": "x", "architecture": {"a": {"int": [1, 2], "stepp": 1}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, schema("space"))


def test_a_plain_value_is_fixed_and_no_parameter() -> None:
    space = read({"a": 1, "b": [1, 2], "c": {"d": "x"}})
    assert space.parameters() == {}
    assert first(space) == {"a": 1, "b": [1, 2], "c": {"d": "x"}}


def test_a_chosen_block_names_its_kind_and_brings_its_own_parameters() -> None:
    space = read({"m": {"choice": {"one": {"heads": {"int": [2, 4]}}, "two": {}}}})
    assert list(space.parameters()) == ["architecture.m", "architecture.m.one.heads"]
    assert first(space) == {"m": {"kind": "one", "heads": 2}}


def test_repeated_blocks_are_drawn_anew_and_the_first_may_differ() -> None:
    space = read(
        {
            "s": {
                "repeat": {"int": [2, 3]},
                "first": {"w": 1},
                "each": {"w": {"choice": [2, 3]}, "d": {"int": [0, 9]}},
            }
        }
    )
    assert list(space.parameters()) == [
        "architecture.s.repeat",
        "architecture.s.0.d",
        "architecture.s.1.w",
        "architecture.s.1.d",
        "architecture.s.2.w",
        "architecture.s.2.d",
    ]
    assert first(space) == {"s": [{"w": 1, "d": 0}, {"w": 2, "d": 0}]}


def test_either_gives_the_block_around_it_the_settings_of_one_option() -> None:
    space = read({"either": {"a": {"x": {"int": [1, 2]}}, "b": {"y": 3}}, "z": 4})
    assert first(space) == {"z": 4, "x": 1}
    assert space.encode({"architecture": {"z": 4, "y": 3}}) == {"architecture.either": "b"}
    assert space.encode({"architecture": {"z": 4, "x": 2}}) == {
        "architecture.either": "a",
        "architecture.a.x": 2,
    }


def test_a_relation_that_does_not_hold_makes_a_draw_infeasible() -> None:
    space = read({"top_k": 4, "experts": {"int": [2, 8]}, "require": ["top_k <= experts"]})
    with pytest.raises(Infeasible, match=r"architecture: 'top_k <= experts' does not hold"):
        first(space)


def test_a_relation_about_an_option_that_was_not_chosen_holds() -> None:
    space = read(
        {
            "w": 7,
            "m": {"choice": {"conv": {}, "mhsa": {"heads": 2}}},
            "require": ["w % m.heads == 0"],
        }
    )
    assert first(space)["m"] == {"kind": "conv"}


def test_it_holds_whatever_its_other_side_is() -> None:
    options = {"conv": {}, "mhsa": {"w": 3}}
    tree = {"a": {"choice": [None, 2]}, "m": {"choice": options}, "require": ["a * 2 <= m.w"]}
    space = read(tree)
    assert first(space) == {"a": None, "m": {"kind": "conv"}}
    with pytest.raises(
        Infeasible, match=r"'a \* 2 <= m\.w' has no answer for a = None and m.w = 3"
    ):
        first(space.narrowed({"architecture.m": "mhsa"}))
    with pytest.raises(Infeasible, match="does not hold"):
        first(space.narrowed({"architecture.m": "mhsa", "architecture.a": 2}))


@pytest.mark.parametrize(
    ("relation", "holds"), [("a > -3", True), ("a < -2", False), ("-1 * a == 5 - 3", True)]
)
def test_numbers_of_a_relation_may_be_below_zero(relation: str, holds: bool) -> None:
    space = read({"a": -2, "require": [relation]})
    assert len(list(space.combinations())) == holds


def test_every_mistake_of_a_file_is_said_at_once() -> None:
    tree = {
        "name": "x",
        "summry": "",
        "architecture": {
            "a": {"int": [3, 1]},
            "b": {"choice": []},
            "c": {"float": [0, 1], "log": True, "lg": 1},
            "d": {"repeat": 0, "each": {}},
            "e": {"int": [1.5, 2]},
            "f": {"float": [float("nan"), 1.0]},
            "g": {"float": [1e-4, float("inf")], "log": True},
            "h": {"int": [1, 8], "step": 3},
            "i": {"choice": [[1, {}], [1, 2], "[1, 2]", 1.0, 1, True]},
            "j": {"repeat": True, "each": {}},
            "k.l": float("inf"),
            "require": ["a <= zz", "a +", "f(a) > 1"],
        },
    }
    with pytest.raises(ConfigError) as refused:
        SearchSpace.read(tree, "space=x")
    assert str(refused.value).splitlines() == [
        "space=x: no setting is called 'summry'; known: architecture, extensions, limits, name, "
        "points, references, summary, tables, trainer. Did you mean 'summary'?",
        "space=x: architecture.a: int: low 3 is above high 1",
        "space=x: architecture.b: choice: a list of values or a mapping of blocks would be right, not []",
        "space=x: architecture.c: no key beside float is called 'lg'; known: float, log. Did you mean 'log'?",
        "space=x: architecture.c: a log scale needs a low above 0, not 0",
        "space=x: architecture.d.repeat: a whole number from 1 to 100 or {int: [low, high]} would be right, not 0",
        "space=x: architecture.e: int: [low, high] would be right, not [1.5, 2]",
        "space=x: architecture.f: float: [low, high] would be right, not [nan, 1.0]",
        "space=x: architecture.g: float: [low, high] would be right, not [0.0001, inf]",
        "space=x: architecture.h: int: steps of 3 from 1 do not reach 8; [1, 7] would be right",
        "space=x: architecture.i: choice: a list among the values holds plain values, not [1, {}]",
        "space=x: architecture.i: choice: '[1, 2]' stands there twice",
        "space=x: architecture.i: choice: 1 stands there twice",
        "space=x: architecture.i: choice: truth values or numbers would be right, not both, not [[1, 2], 1.0, True]",
        "space=x: architecture.j.repeat: a whole number from 1 to 100 or {int: [low, high]} would be right, not True",
        "space=x: architecture: a name without a dot would be right, not 'k.l'",
        "space=x: architecture.k.l: a finite number of 64 bits would be right, not inf",
        "space=x: architecture.require: 'a <= zz': no setting is called 'zz'; known: a, b, c, d, e, f, g, h, i, j, k.l",
        "space=x: architecture.require: 'a +' is no relation; 'top_k <= experts' would be right",
        "space=x: architecture.require: 'f(a) > 1': 'f(a)' is not allowed; names, numbers, + - * // % are",
    ]


def test_a_point_need_not_repeat_what_its_space_fixes() -> None:
    block = {"k": 3, "l": {"int": [1, 2]}}
    architecture = {
        "w": 7,
        "open": {"choice": [1, 2]},
        "m": {"choice": {"conv": block}},
        "n": {"repeat": 2, "each": block},
    }
    values = {"architecture": {"m": {"l": 2}}}
    space = read(architecture, points=[{**POINT, "values": values}])
    assert space.points[0].params == {"architecture.m.conv.l": 2}
    assert space.file.points[0].values == {
        "architecture": {"w": 7, "m": {"kind": "conv", "k": 3, "l": 2}, "n": [{"k": 3}, {"k": 3}]}
    }


def test_two_systems_of_one_name_are_refused() -> None:
    point = {**POINT, "values": {}}
    with pytest.raises(ConfigError, match="two points or references are called 'p'"):
        read({"a": 1}, points=[point, point])


def test_a_space_that_would_never_be_drawn_to_its_end_is_refused() -> None:
    tree: dict[str, Any] = {"a": 1}
    for _ in range(3):
        tree = {"n": {"repeat": 100, "each": tree}}
    with pytest.raises(ConfigError, match="1,000,000 settings; at most 100,000"):
        read(tree)


def test_a_point_outside_of_its_space_is_refused_with_the_place() -> None:
    point = {
        "name": "p",
        "source": "none",
        "fidelity": "reading",
        "values": {"architecture": {"a": 9}},
    }
    with pytest.raises(ConfigError) as refused:
        read({"a": {"int": [1, 3]}}, points=[point])
    assert str(refused.value) == (
        "space=x: point 'p' lies outside: architecture.a: a whole number in [1, 3] would be right, not 9"
    )


def test_a_point_of_somebodys_own_says_so_and_a_published_one_has_a_source() -> None:
    own = {"name": "mine", "values": {"architecture": {"a": 2}}}
    (point,) = read({"a": {"int": [1, 3]}}, points=[own]).file.points
    assert (point.fidelity, point.source) == ("own", "")
    with pytest.raises(ConfigError) as refused:
        read({"a": {"int": [1, 3]}}, points=[{**own, "fidelity": "code"}])
    assert str(refused.value).endswith(
        "fidelity 'code' without a source; name it, or say fidelity: own"
    )


POINT = {"name": "p", "source": "none", "fidelity": "reading"}
SPACE: dict[str, Any] = {
    "w": {"choice": [16, 32]},
    "k": {"choice": [[3, 5], [3]]},
    "m": {"choice": {"conv": {}, "mhsa": {"heads": {"int": [1, 4]}}}},
    "n": {"repeat": {"int": [1, 3]}, "each": {"d": {"int": [1, 9]}}},
    "f": 28,
}


@pytest.mark.parametrize(
    ("key", "value", "gone"),
    [
        ("w", 16, {"w"}),
        ("k", [3, 5], {"k"}),
        ("m", "mhsa", {"m"}),
        ("m.mhsa.heads", 2, {"m.mhsa.heads"}),
        ("n.repeat", 1, {"n.repeat", "n.1.d", "n.2.d"}),
        ("n.each.d", 3, {"n.0.d", "n.1.d", "n.2.d"}),
        ("f", 28, set()),
    ],
)
def test_an_override_fixes_a_leaf(key: str, value: Any, gone: set[str]) -> None:
    before, after = read(SPACE), read(SPACE).narrowed({f"architecture.{key}": value})
    assert before.parameters().keys() - after.parameters().keys() == {
        f"architecture.{name}" for name in gone
    }


@pytest.mark.parametrize(
    ("key", "value", "drawn"),
    [
        ("w", 16.0, {"w": 16}),
        ("k", [3.0, 5.0], {"k": [3, 5]}),
        ("m.mhsa.heads", 2.0, {"m": {"kind": "mhsa", "heads": 2}}),
        ("n.repeat", 2.0, {"n": [{"d": 1}, {"d": 1}]}),
        ("r", 1, {"r": 1.0}),
        ("f", 28.0, {"f": 28}),
    ],
)
def test_a_number_is_fixed_in_the_form_that_the_space_gives_it(
    key: str, value: Any, drawn: dict[str, Any]
) -> None:
    words = {"architecture.m": "mhsa", f"architecture.{key}": value}
    tree = first(read({**SPACE, "r": {"float": [0, 2]}}).narrowed(words))
    assert repr({name: tree[name] for name in drawn}) == repr(drawn)


def test_a_list_narrows_a_choice_to_its_options_and_a_range_to_its_bounds() -> None:
    space = read(SPACE).narrowed({"architecture.n.each.d": [2, 4], "architecture.k": [[3]]})
    assert space.parameters()["architecture.n.0.d"].low == 2
    assert "architecture.k" not in space.parameters()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("architecture.w", 64, "space=x: architecture.w: one of 16, 32 would be right, not 64"),
        (
            "architecture.m",
            "mhsb",
            "space=x: architecture.m: no option is called 'mhsb'; known: conv, mhsa. Did you mean 'mhsa'?",
        ),
        (
            "architecture.n.repeat",
            4,
            "space=x: architecture.n.repeat: a whole number in [1, 3] would be right, not 4",
        ),
        ("architecture.f", 56, "space=x: architecture.f: fixed to 28 in this space, not 56"),
        (
            "architecture.v",
            1,
            "space=x: architecture: no setting is called 'v'; known: f, k, m, n, w",
        ),
        (
            "architecture.n.0.d",
            1,
            "space=x: architecture.n: no part of a repeat is called '0'; known: each, first, repeat; an override speaks of each, not of one item",
        ),
        (
            "limits.macs",
            11,
            "space=x: limits.macs: 11 would widen the space; at most 10 would be right",
        ),
        (
            "trainer.lr",
            1,
            "space.trainer.lr: no part of a space is called 'trainer'; known: architecture, limits",
        ),
    ],
)
def test_an_override_that_widens_a_space_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(SPACE, limits={"macs": 10}).narrowed({key: value})
    assert str(refused.value) == message


def test_a_point_outside_of_a_narrowed_space_is_no_warm_start() -> None:
    point = {
        "name": "p",
        "source": "none",
        "fidelity": "reading",
        "values": {"architecture": {"w": 16}},
    }
    space = read(SPACE, points=[point])
    assert [p.name for p in space.points] == ["p"]
    assert space.narrowed({"architecture.w": 32}).points == ()


# Recipes

GENTLE_OR_ROUGH = {
    "either": {
        "gentle": {"optimizer": "adam", "lr": {"float": [1e-4, 1e-2]}},
        "rough": {"optimizer": "sgd", "lr": {"float": [1e-2, 1e-1]}},
    }
}
SCALE = {"augment": {"scale": [{"float": [0.5, 1]}, 2.0]}}
DIM = {"augment": {"own": {"dim": {"float": [0, 0.5]}}}}


@pytest.mark.parametrize(
    ("searched", "recipe", "taken"),
    [
        ({"lr": {"float": [0.1, 1]}}, {"lr": 0.5}, {"lr": 0.5}),
        ({"lr": {"float": [0.1, 1]}}, {"lr": 0.01}, {}),
        ({"epoch": {"int": [10, 30]}}, {"epochs": 20}, {}),
        (DIM, {"augment": {"flip": True}}, {}),
        (DIM, {"augment": {"flip": True, "own": {"dim": 0.3}}}, {"augment.own.dim": 0.3}),
        (SCALE, {"augment": {"scale": 0.2}}, {}),
        (SCALE, {"augment": {"scale": [0.5, 2.0]}}, {"augment.scale.0": 0.5}),
        (
            GENTLE_OR_ROUGH,
            {"optimizer": "sgd", "lr": 0.01, "epochs": 20},
            {"either": "rough", "rough.lr": 0.01},
        ),
        (GENTLE_OR_ROUGH, {"optimizer": "adamw", "lr": 0.01}, {}),
        (
            {"either": {"a": {"lrr": {"int": [1, 2]}}, "b": {"epochs": 5}}},
            {"epochs": 5},
            {"either": "b"},
        ),
    ],
)
def test_a_point_takes_from_the_recipe_what_is_searched_and_in_range(
    searched: dict[str, Any], recipe: dict[str, Any], taken: dict[str, Any]
) -> None:
    space = read(SPACE, trainer=searched, points=[{**POINT, "values": {}}]).trained_with(recipe)
    assert space.points[0].params == {f"trainer.{name}": value for name, value in taken.items()}


def test_of_two_options_that_a_point_may_mean_its_recipe_says_which() -> None:
    point = {**POINT, "values": {"trainer": {"lr": 0.01}}}
    space = read(SPACE, trainer=GENTLE_OR_ROUGH, points=[point])
    assert space.points[0].params == {"trainer.either": "gentle", "trainer.gentle.lr": 0.01}
    space = space.trained_with({"optimizer": "sgd", "lr": 0.05})
    assert space.points[0].params == {"trainer.either": "rough", "trainer.rough.lr": 0.01}


# Grids


def test_a_grid_is_every_combination_that_exists_once() -> None:
    space = read(
        {
            "width": {"choice": [8, 16]},
            "gate": {
                "choice": {"none": {}, "prog": {"carry": {"choice": ["mul", "max", "mean"]}}}
            },
            "stages": {"repeat": {"choice": [1, 2]}, "each": {"blocks": {"choice": [1, 2]}}},
        }
    )
    rows = list(space.combinations())
    # 2 widths; no gate, or one of 3 carries; one stage of 2 kinds, or two of 2 x 2
    assert len(rows) == 2 * (1 + 3) * (2 + 4)
    trees = [space.fill(lambda name, _, row=row: row[name]) for row in rows]
    assert len({repr(tree) for tree in trees}) == len(rows)
    assert [space.encode(tree) for tree in trees] == rows


def test_a_grid_leaves_out_what_breaks_a_relation() -> None:
    space = read(
        {"experts": {"choice": [1, 2]}, "k": {"choice": [1, 2]}, "require": ["k <= experts"]}
    )
    found = [tuple(row.values()) for row in space.combinations()]
    assert found == [(1, 1), (2, 1), (2, 2)]
    assert list(read({"width": 8}).combinations()) == [{}]


def test_a_grid_refuses_ranges() -> None:
    space = read(
        {"depth": {"int": [1, 3]}, "rate": {"float": [0, 1]}, "width": {"choice": [1, 2]}}
    )
    with pytest.raises(ConfigError) as refused:
        list(space.combinations())
    assert str(refused.value) == (
        "space=x: a grid takes every combination of choices, but architecture.depth, "
        "architecture.rate may be any number of a range; fix it (space.architecture.depth=VALUE), "
        "or write it as a choice"
    )


# Published tables


def test_a_table_names_points_and_data_sets_that_there_are() -> None:
    point = {"name": "wide", "source": "s", "fidelity": "paper", "values": {"architecture": {}}}
    row = {"name": "A", "about": "", "scores": {"SMIC": {"accuracy": 0.5, "uf1": 0.4}}}
    table = {"title": "t", "source": "s", "data": {"SMIC": "3 classes"}}
    rows = [
        {**row, "point": "wide"},
        {**row, "point": "wdie", "scores": {"SMCI": {"accuracy": 1, "uf1": 1}}},
    ]
    architecture = {"width": {"choice": [8, 16]}}
    good = read(architecture, points=[point], tables=[{**table, "rows": rows[:1]}])
    assert good.file.tables[0].rows[0].scores["SMIC"].uf1 == 0.4
    with pytest.raises(ConfigError) as refused:
        read(architecture, points=[point], tables=[{**table, "rows": rows}])
    assert str(refused.value).splitlines() == [
        "space=x: table 't', row A: no point is called 'wdie'; known: wide. Did you mean 'wide'?",
        "space=x: table 't', row A: no data set is called 'SMCI'; known: SMIC. Did you mean 'SMIC'?",
    ]

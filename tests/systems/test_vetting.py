"""What is wrong with a space although it is well formed."""

from pathlib import Path
from typing import Any

import pytest

from mer_nas import api
from mer_nas.config import presets
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.settings import resolve
from mer_nas.space import SearchSpace
from mer_nas.training.config import TrainerConfig
from mer_nas.vetting import vet

Tree = dict[str, Any]


def network(axis: object) -> Tree:
    path = {
        "input": "frames",
        "frames": 4,
        "stem": {"kind": "conv", "width": 8},
        "stages": [{"local": {"kind": "res_basic"}}],
        "temporal": {"kind": "conv3d", "axis": axis},
    }
    return {"paths": [path], "head": {"kind": "rank_fc"}}


def offered(axis: object, **systems: list[Tree]) -> SearchSpace:
    tree = {"name": "ranks", "architecture": network(axis), **systems}
    return SearchSpace.read(tree, "space=ranks")


def system(**settings: Any) -> list[Tree]:
    return [{"name": "public", "source": "its code", "fidelity": "code", **settings}]


def choice(*values: Any) -> Tree:
    return {"choice": list(values)}


def experts(block: Tree, path: Tree | None = None, **rest: Any) -> SearchSpace:
    """Return a space of two stages whose global block, an expert, is as asked for."""
    stages = {"repeat": 2, "each": {"global": block}}
    stem = {"kind": "patch", "patch": 4, "width": 16}
    tree: Tree = {"architecture": {"paths": [{"stem": stem, "stages": stages, **(path or {})}]}}
    for key, value in rest.items():
        (tree if key in {"trainer", "limits"} else tree["architecture"])[key] = value
    return SearchSpace.read({"name": "x", **tree}, "space=x")


def said(space: SearchSpace) -> str:
    return "\n".join(vet(space, TrainerConfig()))


def test_a_reference_may_reproduce_what_no_point_may() -> None:
    found = network("code_reshape")
    assert said(offered("time", references=system(classes=5, architecture=found))) == ""
    with pytest.raises(Infeasible, match=r"ranks: public: architecture.*published code only"):
        said(
            offered(choice("time", "code_reshape"), points=system(values={"architecture": found}))
        )


@pytest.mark.parametrize("axis", ["code_reshape", choice("time", "code_reshape")])
def test_a_space_whose_draws_may_reproduce_a_mistake_is_refused(axis: object) -> None:
    with pytest.raises(
        Infeasible, match=r"(keeps 'code_reshape'|0 of 1 draws feasible): .*code only"
    ):
        said(offered(axis))


@pytest.mark.parametrize("name", presets.names("space"))
def test_every_value_of_a_shipped_space_stands_somewhere(name: str) -> None:
    settings = resolve([f"space={name}"])
    assert vet(settings.space, settings.trainer) == []


@pytest.mark.parametrize(
    ("top_k", "lost"),
    [
        (choice(3, 4), "3, 4"),
        (choice(2, 3), "3"),
        ({"int": [1, 4]}, "3, 4"),
        (4, "4"),
    ],
)
def test_a_value_that_every_draw_turns_into_another_is_refused(top_k: Any, lost: str) -> None:
    with pytest.raises(Infeasible, match=rf"top_k: no draw of 64 keeps {lost}: .* the 2 experts"):
        said(experts({"kind": "expert", "experts": 2, "top_k": top_k}))


def test_so_is_one_of_an_option_or_shared_and_none_that_stands_with_another_choice() -> None:
    settings = {"experts": 2, "top_k": 4}
    for space in (
        experts({"choice": {"mhsa": {}, "expert": settings}}),
        experts({"kind": "expert"}, {"shared": {"expert": settings}}),
    ):
        with pytest.raises(Infeasible, match=r"top_k: no draw of 64 keeps 4: .* the 2 experts"):
            said(space)
    assert said(experts({"kind": "expert", "experts": choice(2, 4), "top_k": choice(1, 4)})) == ""


def test_a_parameter_that_changes_nothing_is_said() -> None:
    block = {"kind": "expert", "experts": 4, "top_k": 4, "expert_drop": choice(0.1, 0.2)}
    assert said(experts(block, {"shared": {"mhsa": {"heads": choice(1, 2)}}})) == (
        "space=x: these parameters change nothing in any draw: "
        "architecture.paths.0.stages.each.global.expert_drop, "
        "architecture.paths.0.shared.mhsa.heads"
    )


def test_what_words_leave_unused_is_said_and_not_refused() -> None:
    word = "space.architecture.paths.0.stages.each.either=convolution"
    settings = resolve(["space=moe", word])
    lines = vet(settings.space, settings.trainer)
    assert "losses.balance: " in lines[0]
    assert "shared.expert.experts, " in lines[1]


def test_a_point_that_a_limit_of_the_users_leaves_out_is_said_and_not_refused() -> None:
    settings = resolve(["space=moe", "space.limits.params=400_000"])
    assert vet(settings.space, settings.trainer)[0] == (
        "space=moe: dre_s: 1,464,603 weights; the space allows at most 400,000; this point is not "
        "tried"
    )


@pytest.mark.parametrize(
    ("block", "rest", "message"),
    [
        (
            {"experts": choice(2, 4), "top_k": choice(1, 2), "require": ["top_k > experts"]},
            {},
            "'top_k > experts' does",
        ),
        ({}, {"limits": {"params": 10}}, "weights; the space allows at most 10"),
    ],
)
def test_a_space_without_a_feasible_draw_is_refused(block: Tree, rest: Tree, message: str) -> None:
    with pytest.raises(Infeasible, match=rf"0 of \d+ draws feasible: 1\d* x .*{message}"):
        said(experts({"kind": "expert", **block}, **rest))


@pytest.mark.parametrize(
    ("block", "path", "message"),
    [
        ({"kind": "mhsa", "blocks": 10**9}, {}, "2,000,000,000 layers; right: at most 1,000"),
        ({"kind": "mhsa", "ffn_ratio": 10**9}, {}, r"[0-9,]+ weights; at most 10,000,000,000"),
        ({"kind": "expert", "ratio": 1e300}, {}, "more weights than 64 bits count; at most 10"),
        ({"kind": "mhsa"}, {"size": 10**9}, "size: .* less than or equal to 4096"),
    ],
)
def test_a_network_that_no_machine_holds_is_refused_before_it_is_laid_out(
    block: Tree, path: Tree, message: str
) -> None:
    with pytest.raises((ConfigError, Infeasible), match=message):
        said(experts(block, path))


def test_few_feasible_draws_are_said_with_the_reason() -> None:
    block = {"kind": "expert", "experts": choice(*range(20, 60)), "require": ["experts < 21"]}
    assert "of 100 draws feasible: " in said(experts(block, {"stages": [{"global": block}]}))


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ({"head": {"kind": "gap", "dropout": {"float": [0, 1]}}}, "less than 1, not "),
        ({"drop_path": choice(0.1, "much")}, r"drop_path: .* valid number, not 'much'"),
        ({"trainer": {"lr": {"float": [-1, 1]}}}, r"trainer\.lr: .* greater than 0, not -1\.0"),
        ({"trainer": {"lrr": choice(1, 2)}}, "no setting is called 'lrr'"),
        ({"trainer": {"augment": {"flip": choice(0, 2)}}}, r"flip: .*true or false, not 0"),
    ],
)
def test_a_value_of_a_wrong_type_or_range_is_found_wherever_it_stands(
    rest: Tree, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        said(experts({"kind": "mhsa"}, **rest))


def test_a_misspelt_setting_of_the_trainer_is_said_once_where_there_are_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = presets.read("space", "shallow")
    tree["trainer"] = {"epoch": {"int": [10, 30]}}
    Path("mine.yaml").write_text(presets.dump(tree))
    settings = resolve(["space=mine.yaml"])
    with pytest.raises(ConfigError) as refused:
        vet(settings.space, settings.trainer)
    assert len(str(refused.value).splitlines()) == 1
    assert "trainer: no setting is called 'epoch'; " in str(refused.value)
    assert str(refused.value).endswith("Did you mean 'epochs'?")


def test_limits_hold_for_the_classes_that_the_data_have() -> None:
    """`prog_s` answers by one layer of 128 values: (128 + 1) weights more for each class."""
    words = ["space=progressive", "space.limits.params=318463", "data=casme2"]
    assert api.check(*words, "data.labels=three").systems
    with pytest.raises(
        Infeasible, match=r"prog_s: 318,721 weights; the space allows at most 318,"
    ):
        api.check(*words, "data.labels=five")
    system = api.system("prog_s", "data=casme2", "data.labels=five")
    assert system.params - api.system("prog_s").params == 2 * 129

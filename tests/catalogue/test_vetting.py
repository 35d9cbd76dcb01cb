"""What may be written, but not searched."""

from typing import Any

import pytest

from mer_nas import catalogue
from mer_nas.errors import Infeasible
from mer_nas.space import SearchSpace

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


def test_a_reference_may_reproduce_what_no_point_may() -> None:
    found = network("code_reshape")
    catalogue.vet(offered("time", references=system(classes=5, architecture=found)))
    open_axis = {"choice": ["time", "code_reshape"]}
    with pytest.raises(Infeasible, match=r"ranks: public: architecture.*published code only"):
        catalogue.vet(offered(open_axis, points=system(values={"architecture": found})))


def test_a_space_all_of_whose_draws_reproduce_a_mistake_is_refused() -> None:
    catalogue.vet(offered({"choice": ["time", "code_reshape"]}))
    with pytest.raises(Infeasible, match=r"ranks: architecture.*published code only"):
        catalogue.vet(offered("code_reshape"))

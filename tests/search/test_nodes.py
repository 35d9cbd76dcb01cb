"""Nodes of a cluster that is joined: by what they say of themselves."""

import pytest

from mer_nas.errors import StudyError
from mer_nas.search.nodes import unlike_here, what_is_here
from mer_nas.search.ray_connect import _other_versions

HERE = {"python": "3.11.7", "torch": "2.9.0", "numpy": "2.3.1", "timm": "1.0.20"}


def test_nodes_like_this_machine_are_not_spoken_of() -> None:
    assert unlike_here(HERE, {"one (10.0.0.1)": HERE, "two (10.0.0.2)": HERE}) == []


def test_a_node_with_other_versions_is_named() -> None:
    (line,) = unlike_here(
        HERE, {"one (10.0.0.1)": HERE, "two (10.0.0.2)": {**HERE, "torch": "2.8.0"}}
    )
    assert line == (
        "two (10.0.0.2) has torch 2.8.0 (2.9.0 here); scores may differ in their last digits"
    )


def test_nodes_that_lack_something_are_refused_each_with_what_it_is() -> None:
    lacks = {"lacks": "ModuleNotFoundError: No module named 'timm'"}
    with pytest.raises(StudyError) as refused:
        unlike_here(HERE, {"one (10.0.0.1)": HERE, "two (10.0.0.2)": lacks})
    assert str(refused.value).startswith(
        "a node of the cluster cannot train: two (10.0.0.2): ModuleNotFoundError: No module named "
        "'timm'; "
    )


def test_this_machine_can_train() -> None:
    assert "lacks" not in what_is_here()


def test_a_cluster_of_other_versions_is_named_with_both() -> None:
    said = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.12.1\n"
        "This process on 10.0.0.9 was started with:\n    Ray: 2.52.1\n    Python: 3.11.7\n"
    )
    assert _other_versions("10.0.0.1:6379", said) == (
        "ray.address=10.0.0.1:6379: the cluster there runs other versions (Ray: 2.40.0, Python: "
        "3.12.1) than this process (Ray: 2.52.1, Python: 3.11.7); start one of them with those of "
        "the other"
    )

"""The JSON schemas that editors read: current, and true of every preset."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mer_nas.config import presets
from mer_nas.settings import GROUPS, schema

ROOT = Path(__file__).parents[2]
SHIPPED = [(group, name) for group in presets.FOLDERS for name in presets.names(group)]


def committed(group: str) -> dict[str, Any]:
    file = ROOT / "mer_nas" / "config" / "schemas" / f"{group}.json"
    tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return tree


@pytest.mark.parametrize("group", GROUPS)
def test_the_committed_schema_is_what_the_models_say(group: str) -> None:
    assert committed(group) == schema(group), (
        f"mer-nas schema {group} > mer_nas/config/schemas/{group}.json"
    )


@pytest.mark.parametrize(("group", "name"), SHIPPED)
def test_every_preset_keeps_its_schema_and_names_it_in_its_first_line(
    group: str, name: str
) -> None:
    jsonschema.validate(presets.read(group, name), committed(group))
    first = presets.find(group, name).read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema=../mer_nas/config/schemas/{group}.json"


@pytest.mark.parametrize(
    ("group", "tree", "where"),
    [
        ("trainer", {"epochs": 0}, ["epochs"]),
        ("study", {"samplr": "tpe"}, []),
        ("data", {"kind": "synthetic", "subjects": 1}, []),
        ("space", {"name": "a", "architecture": {"x": {"int": [1]}}}, ["architecture", "x"]),
    ],
)
def test_a_schema_finds_mistakes(group: str, tree: dict[str, Any], where: list[str]) -> None:
    with pytest.raises(jsonschema.ValidationError) as refused:
        jsonschema.validate(tree, committed(group))
    assert list(refused.value.absolute_path)[: len(where)] == where


@pytest.mark.parametrize("final", ["none", None, {"seeds": 2}])
def test_a_study_may_do_without_a_final_stage(final: object) -> None:
    jsonschema.validate({"trials": 3, "final": final}, committed("study"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"final": "never"}, committed("study"))

"""The JSON schema of a search-space file, with which editors check and complete it."""

from typing import Any

from mer_nas.config.base import Tree
from mer_nas.space.domains import RESERVED
from mer_nas.space.search_space import SpaceFile

_NODE = {"$ref": "#/$defs/Node"}
_BLOCK = {"$ref": "#/$defs/Block"}


def _domain(key: str, description: str, **properties: Any) -> Tree:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [key],
        "additionalProperties": False,
    }


def _bounds(kind: str) -> Tree:
    return {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}


def space_schema() -> Tree:
    """Return the schema of a space's YAML; open leaves may stand wherever a value may."""
    schema = SpaceFile.model_json_schema()
    log = {"type": "boolean", "description": "Draw on a log scale."}
    choice = {
        "oneOf": [
            {
                "type": "array",
                "minItems": 1,
                "items": {"type": ["string", "number", "boolean", "null", "array"]},
            },
            {"type": "object", "minProperties": 1, "additionalProperties": _BLOCK},
        ]
    }
    schema["$defs"] |= {
        "Choice": _domain("choice", "One of some values, or of some blocks.", choice=choice),
        "Int": _domain(
            "int",
            "A whole number, both ends included.",
            int=_bounds("integer"),
            step={"type": "integer", "minimum": 1},
            log=log,
        ),
        "Float": _domain(
            "float", "A number, both ends included.", float=_bounds("number"), log=log
        ),
        "Repeat": _domain(
            "repeat", "A list of blocks, each drawn anew.", repeat=_NODE, each=_BLOCK, first=_BLOCK
        ),
        # A plain block must not look like a domain, or both would match.
        "Block": {
            "type": "object",
            "propertyNames": {"not": {"enum": list(RESERVED)}},
            "properties": {
                "require": {"type": "array", "items": {"type": "string"}},
                "either": {"type": "object", "minProperties": 1, "additionalProperties": _BLOCK},
            },
            "additionalProperties": _NODE,
        },
        "Node": {
            "oneOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"type": "array", "items": _NODE},
                *(
                    {"$ref": f"#/$defs/{name}"}
                    for name in ("Choice", "Int", "Float", "Repeat", "Block")
                ),
            ]
        },
    }
    schema["properties"]["architecture"] |= _BLOCK
    schema["properties"]["trainer"] |= _BLOCK
    return schema

"""Settings that a path gives once for all its blocks of a kind.

    shared:
      expert: {experts: 4, top_k: 2}

What a block says itself holds. The settings are checked even where no block takes them.
"""

from typing import Any

from pydantic import ValidationError

from mer_nas.architectures.blocks import SLOTS, Block
from mer_nas.config.base import Tree
from mer_nas.errors import shown, unknown

_OUTSIDE = frozenset({"fusion", "head", "dyn_image", "orth"})
"""Slots that are no part of a path."""


def expand(tree: Tree) -> Tree:
    """Return the tree of a path with its `shared` settings written into the blocks they are for.

    Raises:
        ValueError: A block or a setting is unknown, or a value is wrong.
    """
    shared = tree["shared"]
    if not isinstance(shared, dict):
        raise ValueError(f"shared: settings by kind of block, not {shared!r}")
    for kind, settings in shared.items():
        _check_shared(kind, settings)
    rest = {key: value for key, value in tree.items() if key != "shared"}
    expanded: Tree = {key: _share(value, shared) for key, value in rest.items()}
    return expanded


def describe(schema: dict[str, Any]) -> None:
    """Add `shared` to the JSON schema of a path, in which it is no field."""
    schema["properties"]["shared"] = {
        "type": "object",
        "description": "Settings for every block of a kind, by kind.",
        "properties": {kind: {"type": "object"} for kind in _inside_paths()},
        "additionalProperties": False,
    }


def _inside_paths() -> dict[str, type[Block]]:
    """Return the blocks that stand in paths, by their kind."""
    slots = (registry for slot, registry in SLOTS.items() if slot not in _OUTSIDE)
    return {kind: block for slot in slots for kind, block in slot.items() if kind != "none"}


def _share(node: Any, shared: Tree) -> Any:
    if isinstance(node, list | tuple):
        return [_share(child, shared) for child in node]
    if not isinstance(node, dict):
        return node
    block = {key: _share(value, shared) for key, value in node.items()}
    kind = block.get("kind")
    return {**shared[kind], **block} if isinstance(kind, str) and kind in shared else block


def _check_shared(kind: object, settings: object) -> None:
    known = _inside_paths()
    if kind not in known:
        raise ValueError(f"shared: {unknown('block', kind, known)}")
    block = known[str(kind)]
    if not isinstance(settings, dict):
        raise ValueError(f"shared.{kind}: settings of the block, not {settings!r}")
    for name in settings:
        if name not in block.model_fields:
            raise ValueError(f"shared.{kind}: {unknown('setting', name, block.model_fields)}")
    try:
        block.model_validate({**settings, "kind": kind})
    except ValidationError as error:
        for mistake in error.errors():
            at = ".".join(map(str, mistake["loc"]))
            if mistake["loc"] and mistake["loc"][0] in settings:  # what is missing, the block says
                text = mistake["msg"][0].lower() + mistake["msg"][1:]
                found = shown(mistake["input"])
                raise ValueError(f"shared.{kind}.{at}: {text}, not {found}") from None

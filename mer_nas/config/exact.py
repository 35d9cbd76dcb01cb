"""Numbers are numbers, truth values are truth values: pydantic would make one of the other."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError, core_schema


def exact(schema: Any) -> Any:
    """Return a schema whose numbers and truth values are taken from nothing else."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(exact, schema))
    if not isinstance(schema, Mapping):
        return schema
    inner = {key: value if key in _OPAQUE else exact(value) for key, value in schema.items()}
    if inner.get("type") in {"bool", "float"}:
        return {**inner, "strict": True}
    if inner.get("type") == "int":
        return core_schema.no_info_before_validator_function(_whole, inner)
    return inner


_OPAQUE = frozenset({"metadata", "default", "serialization", "expected"})


def _whole(value: object) -> object:
    """Refuse what pydantic would make a whole number of; 1e3 is one."""
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise PydanticCustomError("int_size", "Input should be a whole number of 64 bits")
    return value

"""The base of every configuration model, and the border where plain trees become typed.

Past `validate` everything is a frozen object: no dictionaries are passed around, and no key is
looked up twice.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from mer_nas import files
from mer_nas.errors import ConfigError, shown, unknown
from mer_nas.wording import brief

Tree = dict[str, Any]
"""A mapping as YAML gives it: strings to scalars, lists and further mappings."""

Share = Annotated[float, Interval(ge=0, le=1)]
"""A part of a whole, from 0 to 1."""


def _exact(schema: Any) -> Any:
    """Return a schema whose numbers and truth values are taken from nothing else.

    Pydantic would make one of the other. What is said to be strict is so already, and quicker.
    """
    if isinstance(schema, list | tuple):
        return type(schema)(map(_exact, schema))
    if not isinstance(schema, Mapping):
        return schema
    inner = {key: value if key in _OPAQUE else _exact(value) for key, value in schema.items()}
    if inner.get("type") in {"bool", "float"}:
        return {**inner, "strict": True}
    if inner.get("type") == "int" and not inner.get("strict"):
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


class Config(BaseModel):
    """A closed, frozen block of configuration.

    A number is a finite number and no truth value, a truth value no number, and a text neither:
    nothing is made to fit.

    The docstring under a field is its help, its description in the JSON schema and its line in
    `mer-nas show`; units and ranges stand there and nowhere else.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    def __repr__(self) -> str:
        """Return the first settings, shortened: a report has 80,000 characters."""
        return brief(self, self.__repr_args__())

    def __str__(self) -> str:
        """Return the same."""
        return repr(self)

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the JSON schema, with the docstrings of the fields (see `documented`)."""
        from mer_nas.config.documented import Documented

        return super().model_json_schema(*args, **{"schema_generator": Documented, **kwargs})

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: CoreSchema = _exact(handler(source))
        return schema


def _reachable(path: Path) -> Path:
    try:
        files.place(path, "", ConfigError)
    except ConfigError as error:
        raise ValueError(str(error).removeprefix(": ")) from None
    return path


Place = Annotated[Path, AfterValidator(_reachable)]
"""The path of a file or folder, there or not."""

_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³")
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$", *_PORTS})
"""Names that mean no file on Windows, whatever comes after a dot."""


def file_name(text: str) -> str:
    """Return what is a plain name of a file or folder on any system.

    Raises:
        ValueError: It is none; the text says why.
    """
    wrong = next((c for c in text if c in '/\\:*?"<>|' or not c.isprintable()), "")
    if wrong:
        raise ValueError(f"this is a name and no path; {wrong!r} has no place in {shown(text)}")
    if not text or text[0] in ".-~ " or text[-1] in ". ":
        raise ValueError(f"a name begins and ends with a letter or a number, not as {text!r} does")
    if text.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
        raise ValueError(f"{text!r} is no file on some systems; another name would be right")
    if (size := len(text.encode())) > MAX_NAME:
        raise ValueError(f"a name of {size} bytes; at most {MAX_NAME} would be right")
    return text


MAX_NAME = 100
"""Bytes of the longest name: others are put together with it, and 255 is the most."""
Name = Annotated[str, AfterValidator(file_name)]
"""What files and folders are called after; never a path."""

C = TypeVar("C", bound=BaseModel)
T = TypeVar("T")

_BRANCH = re.compile(r"(literal\[|form\[|tuple\[|constrained-|function-|(int|float|str|bool)$)")
"""How pydantic names, within the place of a mistake, a form that the value there may have."""


def validate(model: type[C], tree: object, place: str) -> C:
    """Return `tree` as a `model`.

    Args:
        model: What the tree should be.
        tree: What was read.
        place: How the user knows the tree, for messages: "trainer", "moe.yaml".

    Raises:
        ConfigError: Every mistake of the tree, one a line.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_line(place, model, mistake) for mistake in _united(error.errors())]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def parse_line(kind: TypeAdapter[T], line: str) -> T:
    """Return what a line of JSON holds, to the letter: "3" is no 3, true no 1, and 1.0 no whole 1.

    Args:
        kind: What the line should be.
        line: Of a file that a program has written.

    Raises:
        ValueError: The first mistake, in a line.
    """
    try:
        return kind.validate_json(line, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise ValueError(f"{at}: {first['msg']}".removeprefix(": ").splitlines()[0]) from None


def _united(mistakes: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the mistakes; a value that misses each form it may have makes one of them."""
    united: list[ErrorDetails] = []
    for mistake in mistakes:
        loc = tuple(part for part in mistake["loc"] if not _BRANCH.match(str(part)))
        if loc != mistake["loc"] and united and united[-1]["loc"] == loc:
            united[-1]["msg"] += " or " + mistake["msg"].removeprefix("Input should be ")
        else:
            mistake["loc"] = loc
            united.append(mistake)
    return united


def _line(place: str, model: type[BaseModel], mistake: ErrorDetails) -> str:
    *parents, last = mistake["loc"] or ("",)
    found = mistake["input"]
    match mistake["type"]:
        case "extra_forbidden":
            return f"{_at(place, parents)}: {unknown('setting', last, _settings(model, parents))}"
        case "union_tag_invalid":
            context = mistake["ctx"]
            known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            return f"{_at(place, mistake['loc'])}: {unknown('option', context['tag'], known)}"
        case "missing":
            return f"{_at(place, parents)}: the setting {str(last)!r} is missing"
        case "value_error":
            return f"{_at(place, mistake['loc'])}: {mistake['ctx']['error']}"
    text = mistake["msg"][0].lower() + mistake["msg"][1:]
    text = text.replace("a valid boolean", "true or false")
    return f"{_at(place, mistake['loc'])}: {text}, not {shown(found)}"


def _at(place: str, loc: object) -> str:
    assert isinstance(loc, tuple | list)
    return ".".join([place, *map(str, loc)]).rstrip(".")


def _settings(model: type[BaseModel], parents: list[int | str]) -> list[str]:
    """Return the settings that the block at `parents` knows, as far as the model tells."""
    candidates: list[type[BaseModel]] = [model]
    for name in parents:
        inner = [
            found
            for candidate in candidates
            for key, field in candidate.model_fields.items()
            if (field.alias or key) == str(name)
            for part in (field.annotation, *field.metadata)
            for found in _models(part)
        ]
        tagged = [found for found in candidates if _kind(found) == name]
        candidates = inner or tagged or candidates
    return sorted(
        {field.alias or key for found in candidates for key, field in found.model_fields.items()}
    )


def _kind(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = (*getattr(annotation, "__args__", ()), *getattr(annotation, "__metadata__", ()))
    return [model for part in parts for model in _models(part)]

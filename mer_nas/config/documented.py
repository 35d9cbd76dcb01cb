"""JSON schemas of settings whose descriptions are the docstrings under the fields.

pydantic can read these when a class is made, which takes an eighth of the time in which everything
is imported; schemas are asked for far more rarely.
"""

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema


def docstrings(model: type) -> dict[str, str]:
    """Return the docstring under each field of a class, those of its bases among them.

    A class whose source is not known, such as one that was made in a session of Python, has none.
    """
    found: dict[str, str] = {}
    for each in reversed(model.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, text in pairwise((*body, ast.Pass())):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found.pop(field.target.id, None)  # of the base: here it may be something else
                match text:
                    case ast.Expr(ast.Constant(str(said))):
                        found[field.target.id] = inspect.cleandoc(said)
    return found


class Documented(GenerateJsonSchema):
    """Describes each property by the docstring under its field."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the schema of a model."""
        found = super().model_schema(schema)
        properties: dict[str, Any] = found.get("properties", {})
        model = schema["cls"]
        for name, said in docstrings(model).items():
            field = model.model_fields.get(name)
            described = properties.get((field and field.alias) or name)
            if field is not None and described is not None:
                described.setdefault("description", said)
        return found

"""`require`: relations between the settings of one block, such as `top_k <= experts`.

Names are the block's own, dotted where they reach into an inner block; `+ - * // %`, comparisons
and numbers are all there is. A relation that speaks of a setting which the drawn block does not
have, because its option was not chosen, holds.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from mer_nas.errors import shown

_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class _Inactive(Exception):
    """The relation speaks of a setting that the block does not have."""


@dataclass(frozen=True)
class Relation:
    """A parsed relation.

    >>> Relation.parse("top_k <= experts").broken({"top_k": 4, "experts": 2})
    'does not hold'
    >>> Relation.parse("width % mixer.heads == 0").broken({"width": 6, "mixer": {"kind": "conv"}})
    ''
    >>> Relation.parse("width < kind").broken({"width": 6, "kind": "conv"})
    "has no answer for width = 6 and kind = 'conv'"
    """

    text: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Relation:
        """Read a relation.

        Raises:
            ValueError: The text is no comparison of names and numbers.
        """
        tree = _tree(text)
        if not isinstance(tree, ast.Compare):
            raise ValueError(f"{text!r} compares nothing; 'top_k <= experts' would be right")
        return cls(text, tuple(dict.fromkeys(_names(tree, text))))

    def broken(self, block: Mapping[str, Any]) -> str:
        """Return what a drawn block has against the relation; empty where it satisfies it."""
        try:
            found = {name: _value(_tree(name), block) for name in self.names}
        except _Inactive:
            return ""
        try:
            return "" if _value(_tree(self.text), block) else "does not hold"
        except (TypeError, ArithmeticError):  # a comparison without an answer does not hold
            values = " and ".join(f"{name} = {shown(value)}" for name, value in found.items())
            return f"has no answer for {values}"


_LONGEST = 200
"""Characters of a relation; Python reads what is nested deeper than it can follow otherwise."""


def _tree(text: str) -> ast.expr:
    try:
        if len(text) <= _LONGEST:
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):  # a ValueError where it holds a NUL
        pass
    raise ValueError(f"{shown(text)} is no relation; 'top_k <= experts' would be right")


def _names(tree: ast.expr, text: str) -> list[str]:
    match tree:
        case ast.Compare(left=left, ops=ops, comparators=right) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            return [name for part in [left, *right] for name in _names(part, text)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _names(left, text) + _names(right, text)
        case ast.Name() | ast.Attribute():
            return [ast.unparse(tree)]
        case ast.Constant(value=str()):
            return []
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float()) as number):
            return _names(number, text)
        case ast.Constant(value=int() | float() as number) if isfinite(number):
            return []
    raise ValueError(
        f"{text!r}: {ast.unparse(tree)!r} is not allowed; names, numbers, + - * // % are"
    )


def _value(tree: ast.expr, block: Mapping[str, Any]) -> Any:
    match tree:
        case ast.Compare(left=left, ops=ops, comparators=right):
            values = [_value(part, block) for part in [left, *right]]
            pairs = zip(ops, values, values[1:], strict=False)
            return all(_COMPARISONS[type(op)](one, other) for op, one, other in pairs)
        case ast.BinOp(left=left, op=op, right=right_side):
            numbers = _value(left, block), _value(right_side, block)
            if not all(isinstance(number, int | float) for number in numbers):
                raise TypeError("texts are compared, and not reckoned with")
            return _ARITHMETIC[type(op)](*numbers)
        case ast.UnaryOp(operand=number):
            return -_value(number, block)
        case ast.Constant(value=number):
            return number
    found: Any = block
    for key in ast.unparse(tree).split("."):
        if not isinstance(found, Mapping) or key not in found:
            raise _Inactive
        found = found[key]
    return found

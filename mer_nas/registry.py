"""Components that YAML names: an open set that packages and users can add to."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from mer_nas.errors import ConfigError, unknown

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Mapping[str, type[T]]):
    """The components of one slot by the `kind` that YAML gives them.

    A component is a class whose field `kind` has its name as default:

    >>> class Twice:
    ...     kind = "twice"
    >>> doublers = Registry[Twice]("doubler")
    >>> doublers.register(Twice) is doublers["twice"]
    True
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        """What the components are, in the singular: "gate"."""
        self._components: dict[str, type[T]] = {}

    def register(self, component: type[T]) -> type[T]:
        """File `component` under its kind; to be used as a decorator.

        Raises:
            ConfigError: It has no kind, or two components claim one; the later would hide the
                earlier.
        """
        kind = _kind(component)
        if not isinstance(kind, str):
            name = component.__name__
            raise ConfigError(f'{name} has no kind; kind: Literal["{name.lower()}"] = ... says it')
        if kind in self._components:
            files = (_file_of(self._components[kind]), _file_of(component))
            raise ConfigError(f"two {self.slot}s are called {kind!r}: in {' and in '.join(files)}")
        self._components[kind] = component
        return component

    def __getitem__(self, kind: str) -> type[T]:
        if kind not in self._components:
            raise ConfigError(unknown(self.slot, kind, self._components))
        return self._components[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._components

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)


def _file_of(component: type[object]) -> str:
    module = sys.modules.get(component.__module__)
    return str(getattr(module, "__file__", None) or component.__module__)


def _kind(component: type[object]) -> object:
    fields = getattr(component, "model_fields", {})
    return fields["kind"].default if "kind" in fields else getattr(component, "kind", None)


class Functions(Mapping[str, Callable[..., Any]]):
    """Functions of users for one purpose, by the names that YAML gives them.

    Args:
        what: One of them: "loss".
        taken: Names and types of its arguments.
        gives: Type of what it returns.
        optional: How many of the last arguments it may do without.
        more: Whether further arguments may follow, with any annotation.
    """

    def __init__(
        self,
        what: str,
        taken: Mapping[str, Any],
        gives: Any,
        optional: int = 0,
        *,
        more: bool = False,
    ) -> None:
        self.what = what
        """What they are, in the singular."""
        self._taken, self._gives, self._more = dict(taken), gives, more
        self._fewest = len(taken) - optional
        self._functions: dict[str, Callable[..., Any]] = {}

    def named(self, name: str) -> Callable[[F], F]:
        """Return a decorator that files a function under a name.

        Raises:
            ConfigError: It takes or gives something else, or the name is taken; with its line.
        """

        def register(function: F) -> F:
            where = f"{place_of(function)}: the {self.what} {name!r}"
            if wrong := self._wrong(function):
                raise ConfigError(f"{where} {wrong}; {self._right()} would be right")
            if name in self._functions:
                before = place_of(self._functions[name])
                raise ConfigError(
                    f"{place_of(function)}: another {self.what} is called {name!r}: {before}"
                )
            self._functions[name] = function
            return function

        return register

    def taken_by(self, name: str) -> int:
        """Return how many of the arguments that all may take a function takes."""
        names = inspect.signature(self[name]).parameters
        return sum(each in self._taken for each in names)

    def _wrong(self, function: Callable[..., Any]) -> str:
        """Return what is wrong with a function's signature; empty where nothing is."""
        names = tuple(inspect.signature(function).parameters)
        try:
            hints = get_type_hints(function)
        except Exception as error:  # an annotation as text may be anything
            return f"has an annotation that cannot be read: {type(error).__name__}: {error}"
        wanted, many = tuple(self._taken), sum(each in self._taken for each in names)
        if not self._fewest <= many or names[:many] != wanted[:many]:
            return f"takes ({', '.join(names)})"
        if len(names) > many and not self._more:
            return f"takes ({', '.join(names)})"
        bare = [each for each in (*names, "return") if each not in hints]
        if bare:
            return f"has no annotation of {', '.join(bare)}"
        expected = {**self._taken, "return": self._gives}
        odd = [each for each in (*names[:many], "return") if not _is(hints[each], expected[each])]
        return f"has another type of {', '.join(odd)}" if odd else ""

    def _right(self) -> str:
        """Return the signature that is right."""
        parts = [f"{name}: {_word(kind)}" for name, kind in self._taken.items()]
        needed, rest = parts[: self._fewest], parts[self._fewest :]
        perhaps = f", or with {', '.join(rest)}," if rest else ""
        return f"({', '.join(needed)}) -> {_word(self._gives)}{perhaps}"

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._functions:
            raise ConfigError(unknown(self.what, name, self._functions))
        return self._functions[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


def place_of(function: Callable[..., Any]) -> str:
    """Return where a function is defined: "margin.py, line 9"."""
    code = getattr(function, "__code__", None)
    if code is None:
        return str(getattr(function, "__module__", function))
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _is(hint: Any, wanted: Any) -> bool:
    return bool(hint == wanted) or get_origin(hint) is wanted


def _word(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)

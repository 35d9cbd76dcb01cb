"""Components that YAML names: an open set that packages and users can add to."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from mer_nas.errors import ConfigError, unknown

T = TypeVar("T")


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
            raise ConfigError(f"two {self.slot}s are called {kind!r}")
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


def _kind(component: type[object]) -> object:
    fields = getattr(component, "model_fields", {})
    return fields["kind"].default if "kind" in fields else getattr(component, "kind", None)

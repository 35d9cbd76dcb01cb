"""A promise that can be checked."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

C = TypeVar("C")


@dataclass(frozen=True)
class Check:
    """One promise about a part; called, it raises AssertionError where the promise is broken."""

    name: str
    """In one word, for the names of tests: "keeps_clips_apart"."""
    promise: str
    """What holds, as a sentence."""
    run: Callable[[], None]
    """Holds the part to it."""

    @classmethod
    def of_each(cls, promises: Iterable[Callable[[C], None]], case: C) -> list["Check"]:
        """Return a check of each promise: a function, whose docstring says it, about a case."""
        return [
            cls(run.__name__.lstrip("_"), (run.__doc__ or "").rstrip("."), partial(run, case))
            for run in promises
        ]

    def __call__(self) -> None:
        """Hold the part to the promise.

        Raises:
            AssertionError: The promise, and how it is broken.
        """
        try:
            self.run()
        except Exception as error:
            said = str(error) or type(error).__name__
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            raise AssertionError(f"{self.name}: {self.promise}\n  {kind}{said}") from error

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def run_all(checks: Iterable[Check]) -> None:
    """Run every check, also behind one that fails.

    Raises:
        AssertionError: Every promise that is broken.
    """
    broken = []
    for check in checks:
        try:
            check()
        except AssertionError as error:
            broken.append(str(error))
    expect(not broken, "\n".join(broken))


def expect(holds: object, otherwise: str) -> None:
    """Raise AssertionError, with what is wrong, unless something holds.

    A statement `assert` would be left out under `python -O`, and so would the check.
    """
    if not holds:
        raise AssertionError(otherwise)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator, and leave it afterwards as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def no_global_chance() -> Iterator[None]:
    """Hold what runs inside to drawing from no global generator but torch's.

    Raises:
        AssertionError: One of Python's or numpy's was drawn from.
    """
    before = random.getstate(), np.random.get_state(legacy=False)
    yield
    after = random.getstate(), np.random.get_state(legacy=False)
    expect(before[0] == after[0], "Python's global generator `random` was drawn from or seeded")
    same = str(before[1]) == str(after[1]) and _position(before[1]) == _position(after[1])
    expect(same, "numpy's global generator `numpy.random` was drawn from or seeded")


def _position(state: object) -> object:
    assert isinstance(state, dict)
    return state["state"]["pos"], state["state"]["key"].tobytes()

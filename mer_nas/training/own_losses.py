"""Class losses of users: functions of logits and classes, named in YAML as `loss: own.NAME`.

    @loss("margin")
    def margin(logits: Tensor, target: Tensor) -> Tensor:
        return functional.multi_margin_loss(logits, target)

Shapes speak of B clips and K classes.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from torch import Tensor

from mer_nas.errors import ConfigError, shown, unknown

OWN = "own."
"""How the name of a user's loss begins in YAML."""
TAKEN = ("logits", "target", "rarity")
"""What a loss may take: (B, K), (B,) and (K,), the inverse of each class's share of the fold."""
F = TypeVar("F", bound=Callable[..., Any])

LOSSES: dict[str, Callable[..., Any]] = {}
"""The losses by their names."""


def loss(name: str) -> Callable[[F], F]:
    """Return a decorator that makes a function the class loss `own.NAME`.

    Args:
        name: What YAML calls it, behind `own.`.

    Raises:
        ConfigError: It takes something else than logits, target and rarity, or the name is taken.
    """

    def register(function: F) -> F:
        names = tuple(inspect.signature(function).parameters)
        hints = get_type_hints(function)
        typed = all(hints.get(each) is Tensor for each in (*names, "return"))
        if names not in (TAKEN[:2], TAKEN) or not typed:
            raise ConfigError(
                f"{_place(function)}: the loss {name!r} takes ({', '.join(names)}); (logits: "
                "Tensor, target: Tensor) -> Tensor, or with rarity: Tensor, would be right"
            )
        if name in LOSSES:
            raise ConfigError(f"two losses are called {name!r}")
        LOSSES[name] = function
        return function

    return register


def own_loss(name: str, logits: Tensor, target: Tensor, rarity: Tensor) -> Tensor:
    """Return what a user's loss says of a batch, a scalar.

    Args:
        name: As YAML has it: "own.margin".
        logits: (B, K).
        target: (B,).
        rarity: (K,).

    Raises:
        ConfigError: There is no such loss, or it gives no single number.
    """
    known = {f"{OWN}{each}": function for each, function in LOSSES.items()}
    if name not in known:
        raise ConfigError(f"trainer.loss: {unknown('loss', name, known)}")
    function = known[name]
    taken = (logits, target, rarity)[: len(inspect.signature(function).parameters)]
    found = function(*taken)
    if isinstance(found, Tensor) and not found.ndim:
        return found
    gives = f"a tensor of {tuple(found.shape)}" if isinstance(found, Tensor) else shown(found)
    raise ConfigError(f"{_place(function)}: the loss {name!r} gives {gives}; one number would do")


def try_loss(name: str) -> None:
    """Ask a user's loss about a few clips, and for its slope; other losses need no trial.

    Raises:
        ConfigError: It fails, or gives no number; with the line where it is.
    """
    if not name.startswith(OWN):
        return
    logits = torch.linspace(-1, 1, 12).view(4, 3).requires_grad_()
    said = ""
    try:
        found = own_loss(name, logits, torch.arange(4) % 3, torch.ones(3))
        (slope,) = torch.autograd.grad(found, [logits])
        if not (found.isfinite() and slope.isfinite().all()):
            said = f"gives {float(found.detach())}, or a slope that is no number"
    except ConfigError:
        raise
    except Exception as error:  # a user's function may fail of anything
        said = f"fails: {type(error).__name__}: {' '.join(str(error).split())}"
    if said:
        raise ConfigError(f"{_place(LOSSES[name.removeprefix(OWN)])}: the loss {name!r} {said}")


def _place(function: Callable[..., Any]) -> str:
    """Return where a function is defined: "margin.py, line 9"."""
    code = getattr(function, "__code__", None)
    if code is None:
        return str(getattr(function, "__module__", function))
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"

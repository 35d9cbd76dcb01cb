"""Class losses of users: functions of logits and classes, named in YAML as `loss: own.NAME`.

    @loss("margin")
    def margin(logits: Tensor, target: Tensor) -> Tensor:
        return functional.multi_margin_loss(logits, target)

Shapes speak of B clips and K classes.
"""

import torch
from torch import Tensor

from mer_nas.errors import ConfigError, shown, told, unknown
from mer_nas.registry import Functions, place_of

OWN = "own."
"""How the name of a user's loss begins in YAML."""

LOSSES = Functions(
    "loss", {"logits": Tensor, "target": Tensor, "rarity": Tensor}, Tensor, optional=1
)
"""The losses by their names. They take (B, K), (B,) and perhaps (K,), the inverse of each class's
share of the fold."""
loss = LOSSES.named
"""Makes a function the class loss `own.NAME`: `@loss("margin")`."""


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
    refuse_unknown_loss(name)
    function = LOSSES[name.removeprefix(OWN)]
    found = function(*(logits, target, rarity)[: LOSSES.taken_by(name.removeprefix(OWN))])
    if isinstance(found, Tensor) and not found.ndim:
        return found
    gives = f"a tensor of {tuple(found.shape)}" if isinstance(found, Tensor) else shown(found)
    raise ConfigError(
        f"{place_of(function)}: the loss {name!r} gives {gives}; one number would do"
    )


def refuse_unknown_loss(name: str) -> None:
    """Refuse the name of a user's loss that there is not.

    Raises:
        ConfigError: There is no such loss.
    """
    known = [f"{OWN}{each}" for each in LOSSES]
    if name.startswith(OWN) and name not in known:
        raise ConfigError(f"trainer.loss: {unknown('loss', name, known)}")


def try_loss(name: str, classes: int) -> None:
    """Ask a user's loss about a few clips, and for its slope; other losses need no trial.

    Args:
        name: As YAML has it.
        classes: K.

    Raises:
        ConfigError: It fails, or gives no number; with the line where it is.
    """
    if not name.startswith(OWN):
        return
    logits = torch.linspace(-1, 1, 4 * classes).view(4, classes).requires_grad_()
    said = ""
    try:
        found = own_loss(name, logits, torch.arange(4) % classes, torch.ones(classes))
        (slope,) = torch.autograd.grad(found, [logits])
        if not (found.isfinite() and slope.isfinite().all()):
            said = f"gives {float(found.detach())}, or a slope that is no number"
    except ConfigError:
        raise
    except Exception as error:  # a user's function may fail of anything
        said = f"fails: {told(error)}"
    if said:
        raise ConfigError(f"{place_of(LOSSES[name.removeprefix(OWN)])}: the loss {name!r} {said}")

"""What a network costs: parameters and nominal multiply-accumulates; and what there is to do.

Deployed means: without what only training uses, auxiliary heads and decoders. Nominal means: one
clip, the deployed network in evaluation mode, of routed experts the chosen ones only, although
masks run them all, and of kernels on a diagonal the diagonal only. Matrix products and
convolutions count; sums, norms and pools do not.
Nothing is computed where that will do: the network is built on the meta device, which knows shapes
and no numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from mer_nas.architectures.assembly import Network
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.shapes import Operator, Outlines, with_numbers, without_numbers
from mer_nas.architectures.user_blocks import BlockError, record_built
from mer_nas.errors import Infeasible

MAX_WEIGHTS = 10**10
"""Weights of the largest network: 40 GB."""
_MAX_NUMBERS = 10**9
"""Weights of the largest that is counted with numbers: 4 GB."""


class Cost(NamedTuple):
    """What a network costs."""

    parameters: int
    """Numbers that training sets."""
    macs: int
    """Nominal multiply-accumulates for one clip."""
    deployed: int
    """Numbers of the deployed network, those that are limited and compared."""

    @classmethod
    def of(cls, architecture: Architecture, classes: int) -> "Cost":
        """Return the cost of an architecture for a number of classes.

        Raises:
            BlockError: A block of the user's own fails, or gives another shape than it says.
            Infeasible: It has more weights than any machine holds.
        """
        return counted(architecture, classes)[0]


class Effort(NamedTuple):
    """What there is to do for one clip."""

    operations: int
    """Calls of torch's operators."""
    macs: int
    """Multiply-accumulates that are computed: of routed experts all, unlike the nominal ones."""
    values: int
    """Numbers that the operators give."""


def counted(architecture: Architecture, classes: int) -> tuple[Cost, Effort]:
    """Return what an architecture costs, and what there is to do, from one run without numbers.

    A forward of the user's own may branch on numbers; one that fails without them gets some.

    Raises:
        BlockError: A block of the user's own fails, or gives another shape than it says.
        Infeasible: It has more weights than any machine holds.
    """
    try:
        return _counted(architecture, classes, torch.device("meta"))
    except BlockError:
        with without_numbers():
            network = Network(architecture, classes)
        if _parameters(network) > _MAX_NUMBERS:
            raise
        with with_numbers():
            return _counted(architecture, classes, torch.device("cpu"))


def _counted(
    architecture: Architecture, classes: int, device: torch.device
) -> tuple[Cost, Effort]:
    meter = _Meter()
    with torch.inference_mode(False), torch.no_grad(), meter:
        with device, record_built() as own, _countable():
            network = Network(architecture, classes).eval()
            clip = [torch.rand(1, *architecture.shapes[name]) for name in architecture.inputs]
        meter.begin()
        partly = [
            (share, meter.spent_in(module))
            for module in network.modules()
            if isinstance(share := getattr(module, "active_share", None), float)
        ]
        # What a user's own forward makes anew must lie where the clip does.
        with device if own else nullcontext(), own.checked():
            network(*clip)
    idle = sum((1 - share) * sum(spent) for share, spent in partly)
    parameters = _parameters(network)
    if parameters > MAX_WEIGHTS:
        raise _too_many(f"{parameters:,} weights")
    deployed = parameters - (_parameters(network.auxiliary) if network.auxiliary else 0)
    return Cost(parameters, round((meter.flops - idle) / 2), deployed), meter.effort


@contextmanager
def _countable() -> Iterator[None]:
    """Say what torch says of a size that no 64 bits hold; any other is built without numbers."""
    try:
        yield
    except (RuntimeError, TypeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        raise _too_many("more weights than 64 bits count") from error


def _too_many(found: str) -> Infeasible:
    return Infeasible(f"the network has {found}; at most {MAX_WEIGHTS:,} would be right")


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class _Meter(Outlines):  # type: ignore[no-untyped-call]
    """Counts operations by torch's own formulas, as its `FlopCounterMode` does in twice the time.

    That one keeps a table of all modules, and waits for torch to work out shapes on the meta
    device in Python; here the commonest of them are answered at once. Those in Python also import
    torch's compiler, which takes longer than to count a hundred networks.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.begin()

    def begin(self) -> None:
        """Count from here."""
        self.flops = self._operations = self._values = 0

    @property
    def effort(self) -> Effort:
        """What was counted."""
        return Effort(self._operations, round(self.flops / 2), self._values)

    def spent_in(self, module: nn.Module) -> list[int]:
        """Return a list that will hold what each call of a module takes."""
        began: list[int] = []
        spent: list[int] = []
        module.register_forward_pre_hook(lambda *_: began.append(self.flops))
        module.register_forward_hook(lambda *_: spent.append(self.flops - began.pop()))
        return spent

    def __torch_dispatch__(
        self,
        func: Operator,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        found = super().__torch_dispatch__(func, types, args, given)
        formula: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **given, out_val=found)
        self._operations += 1
        if isinstance(found, Tensor):
            self._values += found.numel()
        return found

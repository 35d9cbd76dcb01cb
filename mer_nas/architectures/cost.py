"""What a network costs: parameters and nominal multiply-accumulates.

Deployed means: without what only training uses, auxiliary heads and decoders. Nominal means: one
clip, the deployed network in evaluation mode, of routed experts the chosen ones only, although
masks run them all, and of kernels on a diagonal the diagonal only. Matrix products and
convolutions count; sums, norms and pools do not.
Nothing is computed: the network is built on the meta device, which knows shapes and no numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mer_nas.architectures.assembly import Network
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.user_blocks import record_built
from mer_nas.errors import Infeasible

_Operator: TypeAlias = Any
"""An operator of ATen; torch has no public type for it."""
MAX_WEIGHTS = 10**10
"""Weights of the largest network: 40 GB."""


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
        meter = _Meter()
        with torch.inference_mode(False), torch.no_grad(), meter:
            with torch.device("meta"), record_built() as own, _counted():
                network = Network(architecture, classes).eval()
                clip = [torch.empty(1, *architecture.shapes[name]) for name in architecture.inputs]
            meter.flops = 0
            partly = [
                (share, meter.spent_in(module))
                for module in network.modules()
                if isinstance(share := getattr(module, "active_share", None), float)
            ]
            # What a user's own forward makes anew must lie where the clip does.
            with torch.device("meta") if own else nullcontext(), own.checked():
                network(*clip)
        idle = sum((1 - share) * sum(spent) for share, spent in partly)
        parameters = _parameters(network)
        if parameters > MAX_WEIGHTS:
            raise _too_many(f"{parameters:,} weights")
        deployed = parameters - (_parameters(network.auxiliary) if network.auxiliary else 0)
        return cls(parameters, round((meter.flops - idle) / 2), deployed)


@contextmanager
def _counted() -> Iterator[None]:
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


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations by torch's own formulas, as its `FlopCounterMode` does in twice the time.

    That one keeps a table of all modules, and waits for torch to work out shapes on the meta
    device in Python; here the commonest of them are answered at once. Those in Python also import
    torch's compiler, which takes longer than to count a hundred networks.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that this need not be kept from its compiler, which nothing here uses."""
        return False

    def spent_in(self, module: nn.Module) -> list[int]:
        """Return a list that will hold what each call of a module takes."""
        began: list[int] = []
        spent: list[int] = []
        module.register_forward_pre_hook(lambda *_: began.append(self.flops))
        module.register_forward_hook(lambda *_: spent.append(self.flops - began.pop()))
        return spent

    def __torch_dispatch__(
        self,
        func: _Operator,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        found = _answered(func, args, given) if func in _ANSWERS else None
        found = func(*args, **given) if found is None else found
        formula: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **given, out_val=found)
        return found


def _answered(func: _Operator, args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """Return what an operator gives on the meta device; none where torch has to be asked."""
    first = args[0][0] if isinstance(args[0], list) else args[0]
    return _ANSWERS[func](*args, **given) if first.is_meta else None


def _itself(x: Tensor, *_: object, **__: object) -> Tensor:
    return x


def _alike(x: Tensor, *_: object, **__: object) -> Tensor:
    return x.new_empty(x.shape)


def _normed(x: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    """Answer without the statistics, for which nobody asks."""
    return _alike(x), x.new_empty(0), x.new_empty(0)


def _layer_normed(x: Tensor, shape: Sequence[int], *_: object) -> tuple[Tensor, Tensor, Tensor]:
    if list(x.shape[-len(shape) :]) != list(shape):
        raise RuntimeError(f"a norm over {list(shape)} of a tensor {list(x.shape)}")
    return _normed(x)


def _like(x: Tensor, *_: object) -> Tensor:
    """Answer with the same order of dimensions in memory, which decides what is copied later."""
    return torch.empty_like(x)


def _together(x: Tensor, y: Tensor | float, **_: object) -> Tensor | None:
    """Answer where one fits into the other, dimension by dimension from the last."""
    if not isinstance(y, Tensor):
        return _like(x) if x.is_floating_point() else None
    small, large = sorted((x, y), key=lambda each: (each.ndim, each.numel()))
    ends = large.shape[large.ndim - small.ndim :]
    fits = all(have in (1, wanted) for have, wanted in zip(small.shape, ends, strict=True))
    return _like(large) if fits and x.dtype == y.dtype else None


def _joined(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    shapes = [list(part.shape) for part in parts]
    sizes = [shape.pop(dim) for shape in shapes]
    if any(shape != shapes[0] for shape in shapes) or len({part.dtype for part in parts}) > 1:
        return None
    shapes[0].insert(dim % (len(shapes[0]) + 1), sum(sizes))
    return parts[0].new_empty(shapes[0])


def _stacked(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    if any((part.shape, part.dtype) != (parts[0].shape, parts[0].dtype) for part in parts):
        return None
    shape = list(parts[0].shape)
    shape.insert(dim % (len(shape) + 1), len(parts))
    return parts[0].new_empty(shape)


def _linear(_: Tensor, x: Tensor, weight: Tensor, **__: object) -> Any:
    return _ATEN.mm.default(x, weight)


def _mean(x: Tensor, dims: Sequence[int], keepdim: bool = False, **_: object) -> Tensor:
    gone = {dim % x.ndim for dim in dims or range(x.ndim)}
    left = [1 if dim in gone else size for dim, size in enumerate(x.shape)]
    return x.new_empty(left if keepdim else [left[d] for d in range(x.ndim) if d not in gone])


def _vector_norm(
    x: Tensor, _: float = 2, dims: Sequence[int] | None = None, keepdim: bool = False, **__: object
) -> Tensor:
    return _mean(x, dims or (), keepdim)


def _compared(x: Tensor, _: float) -> Tensor:
    return torch.empty_like(x, dtype=torch.bool)


def _filled(x: Tensor, mask: Tensor, _: float) -> Tensor | None:
    ends = x.shape[x.ndim - mask.ndim :]
    fits = all(have in (1, wanted) for have, wanted in zip(mask.shape, ends, strict=True))
    return _like(x) if fits else None


_ATEN = torch.ops.aten


_ANSWERS: dict[_Operator, Callable[..., Any]] = {
    _ATEN.normal_.default: _itself,
    _ATEN.uniform_.default: _itself,
    _ATEN.relu.default: _alike,
    _ATEN.gelu.default: _alike,
    _ATEN.native_batch_norm.default: _normed,
    _ATEN.native_layer_norm.default: _layer_normed,
    _ATEN.hardswish.default: _like,
    _ATEN.abs.default: _like,
    _ATEN.rsub.Scalar: _together,
    _ATEN.add.Tensor: _together,
    _ATEN.sub.Tensor: _together,
    _ATEN.mul.Tensor: _together,
    _ATEN.div.Tensor: _together,
    _ATEN.maximum.default: _together,
    _ATEN.eq.Scalar: _compared,
    _ATEN.masked_fill.Scalar: _filled,
    _ATEN.mean.dim: _mean,
    _ATEN.linalg_vector_norm.default: _vector_norm,
    _ATEN.cat.default: _joined,
    _ATEN.stack.default: _stacked,
    _ATEN.addmm.default: _linear,
}

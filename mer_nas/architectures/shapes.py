"""What torch's operators give on the meta device, which knows shapes and no numbers.

Much of it torch works out in Python. That takes longer than an answer from the shapes alone, and
imports first its compiler and a package for algebra: 1.3 s of processor time. So the operators of
our blocks are answered here; whatever else comes, and what would not fit, is torch's.

Modules of the user's own may ask for numbers: rates of `torch.linspace` as they are built, or a
forward that branches on what it computes. They get them where nothing else will do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

T = TypeVar("T")
Operator: TypeAlias = Any
"""An operator of ATen; torch has no public type for it."""
_ATEN = torch.ops.aten


def answered(func: Operator, args: Sequence[Any], given: dict[str, Any]) -> Any:
    """Return what an operator gives on the meta device; None where torch has to be asked.

    Args:
        func: The operator.
        args: Its arguments.
        given: Those with a name.
    """
    answer = _ANSWERS.get(func)
    if answer is None:
        return None
    first = args[0][0] if isinstance(args[0], list) else args[0]
    return answer(*args, **given) if first.is_meta else None


class Outlines(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers for torch where the shapes alone decide, while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that this need not be kept from its compiler, which nothing here uses."""
        return False

    def __torch_dispatch__(
        self,
        func: Operator,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        found = answered(func, args, given)
        return func(*args, **given) if found is None else found


@contextmanager
def without_numbers() -> Iterator[None]:
    """Let networks that are built have shapes and no numbers: no draw, and hardly any memory."""
    with torch.device("meta"), Outlines():  # type: ignore[no-untyped-call]
        yield


@contextmanager
def with_numbers() -> Iterator[None]:
    """Let networks have numbers whatever stands around, always the same, and disturb no draw."""
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def constructed(build: Callable[[], T]) -> T:
    """Return what `build` gives, without numbers where nothing has any, though it asks for some.

    >>> with without_numbers():
    ...     constructed(lambda: nn.Dropout(torch.linspace(0, 1, 3)[1].item()))
    Dropout(p=0.5, inplace=False)
    """
    try:
        return build()
    except Exception:
        if torch.get_default_device().type != "meta":
            raise
    with with_numbers():
        found = build()
    return found.to("meta") if isinstance(found, nn.Module) else found


def outlined(work: Callable[[], T]) -> T:
    """Return what some work with networks gives without numbers, or with them where it has to."""
    try:
        with torch.device("meta"):
            return work()
    except Exception:
        with with_numbers():
            return work()


def _itself(x: Tensor, *_: object, **__: object) -> Tensor:
    return x


def _normed(x: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    """Answer without the statistics, for which nobody asks."""
    return _like(x), x.new_empty(0), x.new_empty(0)


def _layer_normed(x: Tensor, shape: Sequence[int], *_: object) -> tuple[Tensor, Tensor, Tensor]:
    if list(x.shape[-len(shape) :]) != list(shape):
        raise RuntimeError(f"a norm over {list(shape)} of a tensor {list(x.shape)}")
    return x.new_empty(x.shape), x.new_empty(0), x.new_empty(0)


def _like(x: Tensor, *_: object, dtype: torch.dtype | None = None, **__: object) -> Tensor:
    """Answer with the same order of dimensions in memory, which decides what is copied later."""
    dense = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size > 1 and stride != dense:
            return torch.empty_like(x, dtype=dtype)
        dense *= size
    return x.new_empty_strided(x.shape, x.stride(), dtype=dtype)


def _together(x: Tensor, y: Tensor | float, **_: object) -> Tensor | None:
    """Answer where one fits into the other, dimension by dimension from the last."""
    if not isinstance(y, Tensor):
        return _like(x) if x.is_floating_point() else None
    small, large = sorted((y, x), key=lambda each: (each.ndim, each.numel()))
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


def _linear(_: Tensor, x: Tensor, weight: Tensor, **__: object) -> Tensor | None:
    return _multiplied(x, weight)


def _multiplied(x: Tensor, y: Tensor) -> Tensor | None:
    """Answer for matrices, and for as many of them on either side."""
    fits = x.shape[:-2] == y.shape[:-2] and x.shape[-1] == y.shape[-2] and x.dtype == y.dtype
    return x.new_empty(*x.shape[:-1], y.shape[-1]) if fits else None


def _convolved(
    x: Tensor,
    weight: Tensor,
    _: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    __: Sequence[int],
    groups: int,
) -> Tensor | None:
    """Answer where the kernel fits in; of others torch says what is wrong."""
    if transposed or x.ndim != weight.ndim or x.dtype != weight.dtype:
        return None
    sizes = _slid(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    fits = x.shape[1] == groups * weight.shape[1] and len(weight) % groups == 0 and min(sizes) > 0
    return x.new_empty(len(x), len(weight), *sizes) if fits else None


def _slid(sizes: Sequence[int], *settings: Sequence[int], over: bool = False) -> list[int]:
    """Return how often a kernel fits in, by kernel, stride, padding and dilation of each side.

    Args:
        sizes: Height and width.
        settings: Of each side, or one for both.
        over: Whether a last one may reach over the edge, as long as it begins before it.
    """
    each = [way if len(way) == len(sizes) else [*way] * len(sizes) for way in settings]
    found = []
    for size, kernel, step, pad, gap in zip(sizes, *each, strict=True):
        left = size + 2 * pad - gap * (kernel - 1) - 1
        many = left // step + 1
        found.append(many + (over and left % step > 0 and many * step < size + pad))
    return found


def _max_pooled(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    over: bool = False,
) -> tuple[Tensor, Tensor] | None:
    """Answer without the places of the maxima, for which nobody asks."""
    sizes = _slid(x.shape[-2:], kernel, stride or kernel, padding, dilation, over=over)
    fits = min(sizes) > 0 and 2 * max(padding) <= min(kernel)
    return (_map_of(x, [*x.shape[:-2], *sizes]), x.new_empty(0)) if fits else None


def _average_pooled(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    over: bool = False,
    *_: object,
) -> Tensor | None:
    pooled = _max_pooled(x, kernel, stride, padding, (1,), over)
    return pooled and pooled[0]


def _map_of(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Return another map, with its channels side by side in memory if x has them so."""
    if x.ndim != 4 or x.is_contiguous():
        return x.new_empty(shape)
    last = x.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)


def _repeated(x: Tensor, times: Sequence[int]) -> Tensor | None:
    if len(times) < x.ndim:
        return None
    sizes = [1] * (len(times) - x.ndim) + list(x.shape)
    return x.new_empty([many * size for many, size in zip(times, sizes, strict=True)])


def _gathered(x: Tensor, dim: int, index: Tensor, **_: bool) -> Tensor:
    return x.new_empty(index.shape)


def _best(x: Tensor, k: int, dim: int = -1, *_: bool) -> tuple[Tensor, Tensor] | None:
    shape = list(x.shape)
    if k > shape[dim]:
        return None
    shape[dim] = k
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)


def _mean(
    x: Tensor, dims: Sequence[int] = (), keepdim: bool = False, **_: object
) -> Tensor | None:
    if not x.is_floating_point():
        return None
    gone = {dim % x.ndim for dim in dims or range(x.ndim)}
    left = [1 if dim in gone else size for dim, size in enumerate(x.shape)]
    return x.new_empty(left if keepdim else [left[d] for d in range(x.ndim) if d not in gone])


def _vector_norm(
    x: Tensor, _: float = 2, dims: Sequence[int] | None = None, keepdim: bool = False, **__: object
) -> Tensor | None:
    return _mean(x, dims or (), keepdim)


def _compared(x: Tensor, _: float) -> Tensor:
    return _like(x, dtype=torch.bool)


def _filled(x: Tensor, mask: Tensor, _: float) -> Tensor | None:
    ends = x.shape[x.ndim - mask.ndim :]
    fits = all(have in (1, wanted) for have, wanted in zip(mask.shape, ends, strict=True))
    return _like(x) if fits else None


_ANSWERS: dict[Operator, Callable[..., Any]] = {
    _ATEN.normal_.default: _itself,
    _ATEN.uniform_.default: _itself,
    _ATEN.relu.default: _like,
    _ATEN.gelu.default: _like,
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
    _ATEN.mm.default: _multiplied,
    _ATEN.bmm.default: _multiplied,
    _ATEN.convolution.default: _convolved,
    _ATEN.max_pool2d_with_indices.default: _max_pooled,
    _ATEN.avg_pool2d.default: _average_pooled,
    _ATEN.repeat.default: _repeated,
    _ATEN.topk.default: _best,
    _ATEN.gather.default: _gathered,
    _ATEN.scatter.value: _like,
    _ATEN.zeros_like.default: _like,
    _ATEN.clamp_min.default: _like,
    _ATEN.sigmoid.default: _like,
    _ATEN.sqrt.default: _like,
    _ATEN._softmax.default: _like,
    _ATEN.amax.default: _mean,
    _ATEN.sum.dim_IntList: _mean,
}

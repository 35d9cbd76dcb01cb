"""Kernel sizes: what a kernel may be, and which ones a map is large enough for."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, PositiveInt

from mer_nas.architectures.blocks import BuildContext, Size, non_empty


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel has a middle, so it is odd, not {kernel}")
    return kernel


def _ascending(kernels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(kernels))


OddKernel = Annotated[PositiveInt, AfterValidator(_odd)]
"""Height and width of a kernel."""

KernelSet = Annotated[tuple[OddKernel, ...], AfterValidator(non_empty), AfterValidator(_ascending)]
"""Kernels whose order has no meaning."""


def largest(size: Size) -> int:
    """Return the largest useful kernel: from the middle of a map it reaches every position."""
    return 2 * min(size) - 1


def check_kernels(kernels: Iterable[int], context: BuildContext) -> None:
    """Refuse a kernel that reaches past the map from every position."""
    limit = largest(context.size)
    if (found := max(kernels, default=1)) > limit:
        height, width = context.size
        raise context.refuse(
            f"a kernel of {found} is too large for a map of {height} x {width}",
            f"kernels up to {limit}",
        )


def fitting(kernels: tuple[int, ...], context: BuildContext) -> tuple[int, ...]:
    """Return `kernels` with the largest that fits for those too large, if 3 or more does."""
    limit = largest(context.size)
    if limit < 3:
        return kernels
    return tuple(min(kernel, limit) for kernel in kernels)

"""What networks ask of chance while they learn, drawn for each network from a stream of its own.

Dropout and the noise of routers draw from torch itself, all from one stream and in the order in
which numbers lie in memory. Here every network has its own generator and is drawn for in the order
of the axes; so what it sees depends neither on the networks that are trained beside it nor on how
its maps are laid out.

Shapes speak of F networks that are trained as one computation (`stack`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Fill = Callable[[Tensor, torch.Generator], object]
"""Fills a tensor."""


def _uniform(out: Tensor, generator: torch.Generator) -> None:
    out.uniform_(generator=generator)


def _normal(out: Tensor, generator: torch.Generator) -> None:
    out.normal_(generator=generator)


class _Draw(torch.autograd.Function):
    """A tensor of random numbers, (F, ...) beneath `vmap`."""

    @staticmethod
    def forward(
        which: Tensor, generators: Sequence[torch.Generator], fill: Fill, shape: Any, like: Any
    ) -> Tensor:
        (generator,) = generators
        out = torch.empty(shape, **like)
        fill(out, generator)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        return None, None, None, None, None

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        which: Tensor,
        generators: Sequence[torch.Generator],
        fill: Fill,
        shape: Any,
        like: Any,
    ) -> tuple[Tensor, int]:
        out = torch.empty((len(generators), *shape), **like)
        for own, generator in zip(out, generators, strict=True):
            fill(own, generator)
        return out, 0


class Chance(TorchFunctionMode):
    """Draws for networks while it is entered.

    What is drawn otherwise than by these functions comes from torch itself, and is an error in
    networks that are trained together.

    Args:
        generators: Of each network.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators
        self.drawn = False
        """Whether a network has asked for anything yet."""
        self.which = torch.zeros(())
        """Stands for the networks: beneath `vmap` a number of each, (F,)."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer a function of torch."""
        given = kwargs or {}
        answer = _ANSWERS.get(func)
        found = None if answer is None else answer(self, *args, **given)
        return func(*args, **given) if found is None else found

    def draw(self, like: Tensor, fill: Fill) -> Tensor:
        """Return random numbers of the shape, type and device of a tensor."""
        self.drawn = True
        kind = {"dtype": like.dtype, "device": like.device}
        drawn: Tensor = _Draw.apply(self.which, self.generators, fill, tuple(like.shape), kind)
        return drawn


def _rand_like(chance: Chance, like: Tensor, **given: Any) -> Tensor | None:
    return None if given else chance.draw(like, _uniform)


def _randn_like(chance: Chance, like: Tensor, **given: Any) -> Tensor | None:
    return None if given else chance.draw(like, _normal)


def _bernoulli_(chance: Chance, x: Tensor, p: float = 0.5, **given: Any) -> Tensor | None:
    if given or not isinstance(p, float | int):
        return None
    return x.copy_(chance.draw(x, lambda out, generator: out.bernoulli_(p, generator=generator)))


def _dropout(
    chance: Chance, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor | None:
    if not training or not 0 < p < 1:
        return None
    keep = 1 - p
    kept = chance.draw(x, lambda out, generator: out.bernoulli_(keep, generator=generator))
    kept = kept.div_(keep)
    return x.mul_(kept) if inplace else x * kept


_ANSWERS: Mapping[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.rand_like: _rand_like,
    torch.randn_like: _randn_like,
    torch.Tensor.bernoulli_: _bernoulli_,
    nn.functional.dropout: _dropout,
}
"""By function, what is drawn in its place; None: what torch itself draws."""


def stream(device: torch.device) -> torch.Generator:
    """Return a generator that goes on as torch itself would on a device."""
    generator = torch.Generator(device)
    if device.type == "cuda":
        generator.set_state(torch.cuda.get_rng_state(device))
    elif device.type == "cpu":
        generator.set_state(torch.get_rng_state())
    else:
        generator.manual_seed(torch.initial_seed())
    return generator

"""What is answered from shapes alone is what torch works out on the meta device."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mer_nas.architectures import Network
from mer_nas.architectures.shapes import answered
from mer_nas.search.draws import KnownDraw
from mer_nas.search.proposals import Proposer
from mer_nas.settings import resolve

UNASKED = ("max_pool2d_with_indices", "native_batch_norm", "native_layer_norm")
"""Operators that give more than anybody asks for; only their first result is answered."""


def described(found: Any, first: bool) -> list[tuple[Any, ...]]:
    """Return shape, type and order in memory; of sides of one value the order means nothing."""
    tensors = [each for each in tree_flatten(found)[0] if isinstance(each, Tensor)]
    return [
        (
            tuple(each.shape),
            each.dtype,
            [step for step, size in zip(each.stride(), each.shape, strict=True) if size > 1],
        )
        for each in (tensors[:1] if first else tensors)
    ]


class Compared(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Holds what is answered against what torch says."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        found = func(*args, **given)
        said = answered(func, args, given)
        if said is not None:
            name = func.overloadpacket.__name__
            self.seen[name] += 1
            first = name in UNASKED
            assert described(said, first) == described(found, first), (func, args, given)
        return found


@pytest.mark.parametrize("space", ["moe", "decoupled", "hybrid"])
def test_every_operator_of_a_network_that_is_answered_gives_just_that(space: str) -> None:
    settings = resolve([f"space={space}"])
    proposer = Proposer(settings.space, settings.trainer, classes=3)
    with torch.no_grad(), torch.device("meta"), Compared() as compared:
        for point in settings.space.points[:4]:
            network = proposer.draft(
                KnownDraw(point.params, random.Random(0))
            ).candidate.architecture
            Network(network, 3).eval()(
                *[torch.rand(1, *network.shapes[n]) for n in network.inputs]
            )
    assert {"convolution", "add", "mul", "addmm"} <= set(compared.seen)


MAP, WEIGHT = torch.empty(2, 4, 9, 7, device="meta"), torch.empty(6, 2, 3, 3, device="meta")
LAST = MAP.to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "call",
    [
        lambda: functional.conv2d(MAP, WEIGHT, None, 2, 1, 2, 2),
        lambda: functional.conv2d(LAST, WEIGHT, torch.rand(6), (1, 2), (0, 1), 1, 2),
        lambda: functional.conv_transpose2d(MAP, torch.rand(4, 3, 2, 2), stride=2),
        lambda: functional.max_pool2d(MAP, 2, ceil_mode=True),
        lambda: functional.max_pool2d(LAST, 3, 2, 1, ceil_mode=True),
        lambda: functional.max_pool2d(MAP, 2, 5, 1, ceil_mode=True),
        lambda: functional.avg_pool2d(MAP, (3, 2), (2, 2), ceil_mode=True),
        lambda: MAP.amax((-1, 1)) + MAP.sum((1, 3)) + MAP.mean((1, -1)),
        lambda: MAP.permute(0, 3, 1, 2).sigmoid().clamp_min(0.1).sqrt() + MAP.softmax(1)[0, 0, 0, 0],
        lambda: MAP[..., :1].expand(2, 4, 9, 7).abs() * MAP[:1],
        lambda: MAP.repeat(2, 1, 1, 1, 3),
        lambda: MAP.gather(1, MAP.topk(2, dim=1).indices),
        lambda: torch.rand(2, 3, 4) @ torch.rand(2, 4, 5),
        lambda: torch.cat([MAP, MAP], -1).mean((2, 3), keepdim=True),
    ],
)  # fmt: skip
def test_an_operator_is_answered_as_torch_would(call: Callable[[], Tensor]) -> None:
    with torch.no_grad(), torch.device("meta"), Compared():
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: functional.conv2d(MAP, torch.empty(6, 3, 3, 3)),
        lambda: functional.conv2d(MAP, torch.empty(6, 4, 9, 9)),
        lambda: functional.max_pool2d(MAP, 2, 2, 2),
        lambda: functional.linear(MAP[0, 0], torch.empty(3, 8)),
        lambda: MAP.topk(5, dim=1),
        lambda: MAP + torch.empty(3),
    ],
)
def test_what_does_not_fit_is_refused_by_torch(call: Callable[[], Tensor]) -> None:
    class Meta(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            found = answered(func, args, kwargs or {})
            return func(*args, **(kwargs or {})) if found is None else found

    with torch.no_grad(), torch.device("meta"), Meta(), pytest.raises((RuntimeError, IndexError)):
        call()

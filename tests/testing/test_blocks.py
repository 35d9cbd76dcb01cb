"""Our own blocks keep what is promised of every block, and a broken one is found out."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mer_nas.architectures import GATES, SLOTS, Block, BuildContext, State, Stateful
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.testing import block_checks, check_block

# Widths of the checks are smaller than those that these blocks' defaults are for.
NARROW: dict[str, dict[str, Any]] = {
    "gra": {"rounding": 8},
    "lra": {"rounding": 8},
    "mmnet": {"size": 32, "width": 8, "entry": 12, "depth": 2},
    "timm": {"model": "test_resnet"},
}

OURS = [
    (slot, kind, NARROW.get(kind, {}))
    for slot, registry in SLOTS.items()
    for kind, block in registry.items()
    if block.__module__.startswith("mer_nas.") and (kind != "none" or slot == "gate")
]
"""Of the one empty block for all slots, once."""

QUIET = {"noise": "off"}  # so that stacked copies can be compared in training, too
OTHERWISE: list[tuple[str, str, dict[str, Any]]] = [
    ("stem", "conv", {"kernel": 5, "pool": True}),
    ("multi_scale", "parallel", {"kernels": [3, 5], "depthwise": True, "place": "after"}),
    (
        "down",
        "maa",
        {
            "kernels": [3, 5],
            "orientations": ["h", "v", "d1", "d2"],
            "square": True,
            "attention": "coord",
            "grain_gate": "softmax",
        },
    ),
    ("down", "maa", {"orientations": ["d2"], "attention": "eca"}),
    ("local", "lra", {"rounding": 8, "heads": 2, "pointwise": True}),
    ("global", "mhsa", {"window": "hier", "blocks": 2}),
    (
        "global",
        "expert",
        {
            **QUIET,
            "expert": "conv",
            "router": "sigmoid",
            "router_level": "sample",
            "collaboration": "xattn",
            "shared": 1,
        },
    ),
    ("global", "expert", {**QUIET, "expert": "attn", "top_k": 1, "prior": True, "shared": 2}),
    ("global", "expert", {"expert": "hetero", "router": "soft", "collaboration": "none"}),
    ("global", "expert", {**QUIET, "expert": "orient", "router_level": "sample"}),
    ("global", "gra", {"growth": 2, "reduction": 2, "rounding": 8, "blocks": 2}),
    ("global", "gra", {"mix": 0.5, "rounding": 8}),
    (
        "global",
        "sparse_vit",
        {
            "blocks": 2,
            "heads": 4,
            "rates": [0.25, 0.5],
            "rate_mode": "progressive",
            "select": "gumbel",
        },
    ),
    ("global", "sparse_vit", {"heads": 2, "rate_mode": "progressive"}),
    ("gate", "prog", {"carry": "none", "residual": True}),
    ("gate", "prog", {"carry": "learned", "kernel": 3}),
    ("head", "rank_fc", {"hidden": 16}),
]
"""Blocks with other settings than their defaults, which build other modules."""


@pytest.mark.parametrize(("slot", "kind", "settings"), [*OURS, *OTHERWISE], ids=str)
def test_every_block_of_ours_keeps_what_is_promised(
    slot: str, kind: str, settings: dict[str, Any]
) -> None:
    check_block(slot, kind, **settings)


Forward = Callable[["Module", Tensor], Tensor]


class Module(nn.Module):
    """Scales channels and then does something else."""

    def __init__(self, channels: int, forward: Forward) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.then = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self, x * self.weight)


class Scale(Block):
    """A weight for every channel."""

    kind: Literal["sound"] = "sound"
    strength: float = 1.0
    """Factor of all weights."""
    source: ClassVar[str] = "none: for tests"

    def build(self, context: BuildContext) -> nn.Module:
        return self.altered(Module(context.channels, lambda module, x: self.forward(module, x)))

    def altered(self, module: Module) -> nn.Module:
        return module

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x * self.strength


class Silent(Scale):
    kind: Literal["silent"] = "silent"  # type: ignore[assignment]


Silent.__doc__ = ""


class Unhelpful(Scale):
    """Says nothing of use where it does not fit."""

    kind: Literal["unhelpful"] = "unhelpful"  # type: ignore[assignment]

    def check(self, context: BuildContext) -> None:
        if context.stage == 1:
            raise Infeasible("no")


class Nowhere(Scale):
    """Fits nowhere."""

    kind: Literal["nowhere"] = "nowhere"  # type: ignore[assignment]

    def check(self, context: BuildContext) -> None:
        raise context.refuse("a block", "another one")


class Restless(Scale):
    """Repairs what fits."""

    kind: Literal["restless"] = "restless"  # type: ignore[assignment]

    def repair(self, context: BuildContext) -> Block:
        return self.model_copy(update={"strength": 2.0})


class TwoFaced(Scale):
    """Is another block once it is written down."""

    kind: Literal["two_faced"] = "two_faced"  # type: ignore[assignment]

    def canonical(self, context: BuildContext) -> Block:
        written = "strength" in self.model_fields_set
        return self.model_copy(update={"strength": 3.0}) if written else self


class Cutting(Scale):
    """Takes a row away without saying so."""

    kind: Literal["cutting"] = "cutting"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x[:, :, 1:] if x.shape[2] > 1 else x


class Dividing(Scale):
    """Divides by what may be nothing."""

    kind: Literal["dividing"] = "dividing"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x / x.abs().mean((1, 2, 3), keepdim=True)


class Steep(Scale):
    """Has a slope without end where a map is zero."""

    kind: Literal["steep"] = "steep"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x.abs().sqrt()


class Unused(Scale):
    """Has a weight that nothing uses."""

    kind: Literal["unused"] = "unused"  # type: ignore[assignment]

    def altered(self, module: Module) -> nn.Module:
        module.unused = nn.Parameter(torch.zeros(3))
        return module


class Adding(Stateful):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x * self.weight, state.add_loss("more", x.mean())


class Unsaid(Scale):
    """Adds a loss that it does not name."""

    kind: Literal["unsaid"] = "unsaid"  # type: ignore[assignment]

    def build(self, context: BuildContext) -> nn.Module:
        return Adding(context.channels)


class Noisy(Scale):
    """Draws in evaluation, too."""

    kind: Literal["noisy"] = "noisy"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x * (1 + torch.rand_like(x))


class Remembering(Scale):
    """Counts its calls in a buffer."""

    kind: Literal["remembering"] = "remembering"  # type: ignore[assignment]

    def altered(self, module: Module) -> nn.Module:
        module.register_buffer("calls", torch.zeros(()))
        return module

    def forward(self, module: Module, x: Tensor) -> Tensor:
        module.calls = module.calls + 1
        return x


class Mixing(Scale):
    """Subtracts the mean over the clips of a batch."""

    kind: Literal["mixing"] = "mixing"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x - x.mean(0)


class OtherChance(Scale):
    """Starts from numpy's global generator."""

    kind: Literal["other_chance"] = "other_chance"  # type: ignore[assignment]

    def altered(self, module: Module) -> nn.Module:
        with torch.no_grad():
            module.weight.fill_(float(np.random.rand()))
        return module


class Uncounted(Scale):
    """Does less on the device where costs are counted."""

    kind: Literal["uncounted"] = "uncounted"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x if x.is_meta else x @ torch.ones(x.shape[3], x.shape[3]) / x.shape[3]


class Forgetful(Scale):
    """Keeps a weight where no state finds it."""

    kind: Literal["forgetful"] = "forgetful"  # type: ignore[assignment]

    def altered(self, module: Module) -> nn.Module:
        module.hidden = torch.rand(1)
        return module

    def forward(self, module: Module, x: Tensor) -> Tensor:
        hidden: Tensor = module.hidden
        return x * hidden


class Choosing(Scale):
    """Chooses its way by what the clips show."""

    kind: Literal["choosing"] = "choosing"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return x if x.is_meta or x.sum() > 0 else 2 * x


class Unexportable(Scale):
    """Uses a function that no graph has."""

    kind: Literal["unexportable"] = "unexportable"  # type: ignore[assignment]

    def forward(self, module: Module, x: Tensor) -> Tensor:
        return torch.special.i0e(x)


BROKEN = [
    (Silent, "says_what_it_is"),
    (Unhelpful, "refuses_with_a_way_out"),
    (Nowhere, "refuses_with_a_way_out"),
    (Restless, "is_repaired_for_good"),
    (TwoFaced, "has_a_canonical_form"),
    (Cutting, "gives_the_shape_it_says"),
    (Dividing, "answers_with_finite_logits"),
    (Steep, "answers_with_finite_logits"),
    (Unused, "learns_in_every_weight"),
    (Unsaid, "gives_the_losses_it_says"),
    (Noisy, "answers_the_same_twice"),
    (Remembering, "answers_the_same_twice"),
    (Mixing, "keeps_clips_apart"),
    (OtherChance, "starts_from_torchs_seed_alone"),
    (Uncounted, "is_counted_exactly"),
    (Forgetful, "survives_its_state"),
    (Choosing, "runs_stacked"),
    (Unexportable, "exports_to_onnx"),
]


def test_a_sound_block_of_ones_own_passes(registries: None) -> None:
    GATES.register(Scale)
    check_block("gate", "sound")


@pytest.mark.parametrize(("block", "name"), BROKEN)
def test_a_broken_block_is_found_out(block: type[Block], name: str, registries: None) -> None:
    kind = block.model_fields["kind"].default
    GATES.register(block)
    (check,) = [check for check in block_checks("gate", kind) if str(check) == name]
    with pytest.raises(AssertionError, match=f"{name}: {check.promise}\n  "):
        check()


def test_every_promise_is_broken_by_some_block() -> None:
    assert {str(check) for check in block_checks("gate", "se")} == {name for _, name in BROKEN}


def test_all_promises_that_a_block_breaks_are_said_at_once(registries: None) -> None:
    class Poor(Mixing):
        kind: Literal["poor"] = "poor"  # type: ignore[assignment]

    GATES.register(Poor)
    with pytest.raises(AssertionError) as caught:
        check_block("gate", "poor")
    assert "says_what_it_is: " in str(caught.value)
    assert "keeps_clips_apart: " in str(caught.value)


def test_a_block_that_is_not_registered_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'prog'"):
        check_block("gate", "porg")

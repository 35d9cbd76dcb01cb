"""A network as other programs take one: an ordinary module whose answer is the logits."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from mer_nas.architectures import Architecture, ModelOutput, Network
from mer_nas.architectures.blocks.timm import Backbone
from mer_nas.architectures.state import State, advance
from mer_nas.architectures.walk import walk
from mer_nas.errors import ConfigError


class Classifier(Network):
    """The network of an architecture, with the names by which timm's people know one.

    Weights are called as those of `Network`, so either reads what the other has kept.

    Args:
        architecture: What to build.
        classes: K.
        auxiliary: Whether to build what only training uses.
    """

    def __init__(
        self, architecture: Architecture, classes: int, *, auxiliary: bool = True
    ) -> None:
        super().__init__(architecture, classes, auxiliary=auxiliary)
        self.num_classes = classes
        """K."""
        heads = [
            v.context.channels for v in walk(architecture, classes=classes) if v.slot == "head"
        ]
        whole = getattr(self._own, "num_features", None)
        self.num_features: int | None = heads[0] if heads else whole
        """Channels of what `forward_features` returns; None where a network of one's own does not
        say."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Classify clips, in training mode as in evaluation mode.

        Args:
            inputs: (B, C, H, W) or (B, T, C, H, W) each, in the order of `Architecture.inputs`.

        Returns:
            The logits (B, K).
        """
        return logits_of(super().forward(*inputs))

    def forward_training(self, *inputs: Tensor) -> ModelOutput:
        """Return the logits with what else is learned from; see `ModelOutput`.

        Args:
            inputs: As for `forward`.
        """
        told = super().forward(*inputs)
        return told if isinstance(told, ModelOutput) else ModelOutput(told)

    def forward_features(self, *inputs: Tensor) -> Tensor:
        """Return what the head is given: (B, `num_features`, H', W') of most networks.

        Args:
            inputs: As for `forward`.

        Raises:
            ConfigError: It is a network of one's own without a method of this name.
        """
        if self.whole is None:
            return logits_of(Network.forward(self._without_head(), *inputs))
        called: Any = getattr(self._own, "forward_features", None)
        if called is None:
            raise ConfigError(
                f"{type(self._own).__name__}: this network has no features of its own; a method "
                "forward_features would be right"
            )
        clips = self.ways[0].read([inputs[index] for index in self.sources[0]])
        found: Tensor = called(*clips)
        return found

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits (B, K) of what `forward_features` returned.

        Raises:
            ConfigError: It is a network of one's own without a method of this name.
        """
        if self.whole is None:
            return advance(self.head, features, State())[0]
        called: Any = getattr(self._own, "forward_head", None)
        if called is None:
            raise ConfigError(
                f"{type(self._own).__name__}: this network has no head of its own; a method "
                "forward_head would be right"
            )
        said: Tensor = called(features)
        return said

    @property
    def _own(self) -> nn.Module | None:
        """The network that is used whole, such as timm's own."""
        return self.whole.model if isinstance(self.whole, Backbone) else self.whole

    def _without_head(self) -> Network:
        """Return the same network, its parts shared, that ends before the head."""
        body: Any = copy.copy(self)
        body._modules = {**self._modules, "head": nn.Identity(), "auxiliary": None}
        return body  # type: ignore[no-any-return]


def logits_of(told: ModelOutput | Tensor) -> Tensor:
    """Return the logits (B, K) of what a network says in either mode."""
    return told.logits if isinstance(told, ModelOutput) else told

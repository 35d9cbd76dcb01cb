"""How long a training step will take, predicted before anything is trained.

Multiply-accumulates alone do not tell: a small network spends its time on calls of operators, a
wide one on numbers that are only moved. So a step is taken for a sum over all three, each at its
price on one machine (see `probes`, where prices are found).
"""

from typing import TYPE_CHECKING, Self

from pydantic import NonNegativeFloat, model_validator

from mer_nas.config.base import Config

if TYPE_CHECKING:  # who only reads a pace does not wait for torch
    from mer_nas.architectures.cost import Effort


class Pace(Config):
    """Prices of a training step of 16 clips on one machine, in seconds."""

    per_operation: NonNegativeFloat
    """For each operation of the network (`mer_nas.architectures.cost.Effort`)."""
    per_mac: NonNegativeFloat
    """For each multiply-accumulate of a clip."""
    per_value: NonNegativeFloat
    """For each number that the operations give of a clip."""
    machine: str = ""
    """Where it was measured."""

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        if not self.per_operation + self.per_mac + self.per_value:
            raise ValueError("all three prices are 0; one of them above 0 would be right")
        return self

    def step_seconds(self, effort: "Effort") -> float:
        """Return the seconds that a training step of 16 clips will take about."""
        prices = (self.per_operation, self.per_mac, self.per_value)
        return sum(price * amount for price, amount in zip(prices, effort, strict=True))

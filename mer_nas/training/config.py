"""How a candidate is trained on one fold, and the same on every fold."""

from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from mer_nas.config.base import Config

Share = Annotated[float, Interval(ge=0, le=1)]


class Augmentation(Config):
    """Random changes of the training clips, drawn anew for every batch."""

    flip: bool = True
    """Mirror half of the clips left to right; the horizontal flow u changes its sign with them."""
    shift: NonNegativeInt = 2
    """Move each clip by at most this many pixels along both axes."""
    scale: Share = 0.0
    """Multiply the motion of each clip by a factor drawn from [1 - scale, 1 + scale]."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of Gaussian noise added to every pixel, in units of the input."""


class TrainerConfig(Config):
    """How the network of one candidate is trained on one fold."""

    name: str = ""
    """What the recipe is called, for reports."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    epochs: PositiveInt = 30
    """Passes over the training clips of the fold; fixed, so that no epoch is selected."""
    batch: PositiveInt = 32
    """Clips in a batch; a last batch of a single clip is left out."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate, reached after `warmup`."""
    weight_decay: NonNegativeFloat = 1e-2
    """Decay of matrices and kernels; biases, norms and position tables are not decayed."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises linearly from zero."""
    loss: Literal["weighted_ce", "ce"] = "weighted_ce"
    """Cross-entropy; weighted_ce weighs each class by the inverse of its share of the fold."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Probability mass that the target spreads evenly over all classes."""
    clip_norm: PositiveFloat | None = 5.0
    """Largest norm of a step's gradient; null leaves gradients as they are."""
    augment: Augmentation = Field(default_factory=Augmentation)
    device: str = "auto"
    """cpu, cuda, cuda:1, mps ...; auto takes a GPU where the worker has one."""

"""How a candidate is trained on one fold, and the same on every fold."""

import math
from typing import Annotated, Any, Literal

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    StringConstraints,
    Tag,
    model_serializer,
    model_validator,
)

from mer_nas.config.base import Config, Share
from mer_nas.wording import count

LossName = Annotated[
    Annotated[Literal["weighted_ce", "ce", "focal", "logit_adjusted"], Tag("form[name]")]
    | Annotated[str, StringConstraints(pattern=r"^own\.\w+$"), Tag("form[own]")],
    Discriminator(lambda name: "form[own]" if str(name).startswith("own.") else "form[name]"),
]
Scale = Share | tuple[PositiveFloat, PositiveFloat]


def _ascending(scale: Scale) -> Scale:
    if isinstance(scale, tuple) and scale[0] > scale[1]:
        raise ValueError(f"low {scale[0]} is above high {scale[1]}")
    return scale


class Augmentation(Config):
    """Random changes of the training clips, drawn anew for every batch.

    All inputs and all frames of a clip are changed alike.
    """

    flip: bool = True
    """Mirror half of the clips left to right; the horizontal flow u changes its sign with them."""
    shift: NonNegativeInt = 2
    """Move each clip by at most this many pixels along both axes."""
    rotate: Annotated[float, Interval(ge=0, le=45)] = 0.0
    """Turn each clip by at most this many degrees either way; flow turns with the picture."""
    scale: Annotated[Scale, AfterValidator(_ascending)] = 0.0
    """Multiply the motion of each clip by a factor drawn from [1 - scale, 1 + scale], or from a
    range [low, high]; frames then depart that many times as far from the first of them."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of Gaussian noise added to every pixel, in units of the input."""
    mixup: NonNegativeFloat = 0.0
    """Blend each clip with another of its batch, and what is asked of them likewise; the share is
    drawn from Beta(mixup, mixup) for the batch. 0: no blending."""
    own: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """Augmentations of your own, by name, and how much of each; they come after the others."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write no `own` where there is none: such a recipe is the one of before there was any."""
        tree: dict[str, Any] = handler(self)
        return tree if self.own else {key: tree[key] for key in tree if key != "own"}


class TrainerConfig(Config):
    """How the network of one candidate is trained on one fold."""

    name: str = ""
    """What the recipe is called, for reports."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Takes the steps; sgd with a momentum of 0.9, as Nesterov has it."""
    epochs: PositiveInt | None = 30
    """Passes over the training clips of the fold; fixed, so that no epoch is selected."""
    steps: PositiveInt | None = None
    """Batches in all, instead of `epochs`, which then is null."""
    batch: PositiveInt = 32
    """Clips in a batch; a last batch of a single clip is left out."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate, reached after `warmup`."""
    weight_decay: NonNegativeFloat = 1e-2
    """Decay of matrices and kernels; biases, norms and position tables are not decayed."""
    schedule: Literal["cosine", "constant", "step"] = "cosine"
    """Course of the learning rate after the warm-up; step: times `step_factor` after every
    `step_every` epochs."""
    step_every: PositiveInt = 30
    """Epochs between two falls of the learning rate, with schedule: step."""
    step_factor: Annotated[float, Interval(gt=0, le=1)] = 0.1
    """What the learning rate is then multiplied by."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises linearly from zero."""
    loss: LossName = "weighted_ce"
    """Cross-entropy; weighted_ce weighs each class by the inverse of its share of the fold, focal
    each clip by how unsure the network is of it, logit_adjusted asks frequent classes for more.
    own.NAME: a function of your own."""
    focal_power: NonNegativeFloat = 2.0
    """With loss: focal, the power of 1 - p that a clip is weighed by; 0 is ce."""
    prior_power: NonNegativeFloat = 1.0
    """With loss: logit_adjusted, how often the logarithm of a class's share is added to its logit
    in training; 0 is ce."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Probability mass that the target spreads evenly over all classes."""
    clip_norm: PositiveFloat | None = 5.0
    """Largest norm of a step's gradient; null leaves gradients as they are."""
    augment: Augmentation = Field(default_factory=Augmentation)
    device: str = "auto"
    """cpu, cuda, cuda:1, mps ...; auto takes a GPU where the worker has one."""

    @model_validator(mode="after")
    def _one_length(self) -> "TrainerConfig":
        if (self.epochs is None) == (self.steps is None):
            found = "neither epochs nor steps" if self.epochs is None else (
                f"epochs {self.epochs} and steps {self.steps}"
            )  # fmt: skip
            raise ValueError(f"{found}; a number for one of them and null for the other")
        return self

    @property
    def duration(self) -> str:
        """How long training is, in words: "30 epochs"."""
        return count(self.steps, "step") if self.steps else count(self.epochs or 0, "epoch")

    def batches(self, clips: int) -> int:
        """Return the number of batches of an epoch; a last one of a single clip is left out."""
        whole, rest = divmod(clips, self.batch)
        return whole + (rest > 1)

    def steps_for(self, clips: int) -> int:
        """Return the number of batches that training takes in all."""
        return self.steps or (self.epochs or 0) * self.batches(clips)

    def epochs_for(self, clips: int) -> int:
        """Return how many epochs training takes, the last perhaps not whole."""
        return math.ceil(self.steps_for(clips) / self.batches(clips))

    def lr_factor(self, step: int, clips: int) -> float:
        """Return the learning rate of a step as a share of its peak, in (0, 1].

        Args:
            step: From 0.
            clips: Training clips of the fold.
        """
        steps = self.steps_for(clips)
        rise = round(self.warmup * steps)
        if step < rise:
            return (step + 1) / rise
        match self.schedule:
            case "constant":
                return 1.0
            case "step":
                epoch = step // self.batches(clips)
                return float(self.step_factor ** (epoch // self.step_every))
            case "cosine":
                return (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))) / 2

    def visits(self, clips: int, folds: int = 1) -> int:
        """Return how many clips training goes through in all, each time it meets one counted.

        Args:
            clips: Training clips of all folds together.
            folds: Number of folds.
        """
        return (self.epochs or 0) * clips + (self.steps or 0) * self.batch * folds

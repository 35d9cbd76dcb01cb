"""Which steps lie between the frames of a clip and the inputs of a network."""

import math
from typing import Annotated, Literal, Self

from annotated_types import Interval, MinLen
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from mer_nas.config.base import Config


def _none(value: object) -> object:
    """Read the word none as YAML's null."""
    return None if value == "none" else value


class Alignment(Config):
    """The face of the clip's first frame by 68 landmarks: eyes level, then a square crop."""

    margin: NonNegativeFloat = 0.2
    """Added on every side of the landmarks, as a share of their box's longer side."""


class Magnification(Config):
    """Linear Eulerian magnification of the motions in a band of frequencies (Wu et al. 2012)."""

    factor: PositiveFloat = 10.0
    """How many times a motion is added to itself; alpha in the paper."""
    low: PositiveFloat = 0.4
    """Lower end of the band in Hz."""
    high: PositiveFloat = 3.0
    """Upper end of the band in Hz; below half the frame rate."""
    levels: Annotated[int, Interval(ge=3)] = 4
    """Levels of the Laplacian pyramid; the finest and the coarsest are left as they are."""
    wavelength: PositiveFloat = 16.0
    """Spatial wavelength in pixels below which the factor is lowered; lambda_c in the paper."""

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} Hz is not below high {self.high:g} Hz")
        return self

    def factors(self, height: int, width: int) -> list[float]:
        """Return how many times the changes of each band are added to it, finest first.

        A band whose wavelength w is short takes no more than w / (8 d) - 1, where d is the motion
        that the full factor would just bear at `wavelength` (equation 14).

        Args:
            height: Of a frame, in pixels.
            width: The same.
        """
        motion = self.wavelength / 8 / (1 + self.factor)
        # The coarsest band stands for a third of the diagonal; each finer one for half as much.
        longest = math.hypot(height, width) / 3
        waves = [longest / 2 ** (self.levels - 1 - level) for level in range(self.levels)]
        inner = [max(0.0, min(self.factor, wave / (8 * motion) - 1)) for wave in waves[1:-1]]
        return [0.0, *inner, 0.0]


class Farneback(Config):
    """Farnebäck's flow (2003), by OpenCV."""

    kind: Literal["farneback"] = "farneback"
    """The algorithm: here that of Farneback 2003."""
    levels: PositiveInt = 3
    """Levels of the pyramid, each half as large as the one below."""
    window: PositiveInt = 15
    """Side of the averaging window in pixels."""
    iterations: PositiveInt = 3
    """Iterations on each level."""


class TVL1(Config):
    """Total variation with an L1 data term (Zach et al. 2007), by scikit-image."""

    kind: Literal["tvl1"] = "tvl1"
    """The algorithm: here that of Zach et al. 2007."""
    attachment: PositiveFloat = 15.0
    """Weight of the data; the smaller, the smoother the flow. Frames are in [0, 1]."""
    tightness: PositiveFloat = 0.3
    """How closely the two terms of the splitting are tied."""
    warps: PositiveInt = 5
    """Warps of the second frame on each level of the pyramid."""
    iterations: PositiveInt = 10
    """Iterations of the fixed point for each warp."""


class DIS(Config):
    """Dense inverse search (Kroeger et al. 2016), by OpenCV."""

    kind: Literal["dis"] = "dis"
    """The algorithm: here that of Kroeger et al. 2016."""
    preset: Literal["ultrafast", "fast", "medium"] = "medium"
    """Speed against precision, as OpenCV has them."""


Flow = Annotated[Farneback | TVL1 | DIS, Field(discriminator="kind")]

ApexBy = Literal["annotated", "middle", "spotted"]


class Pipeline(Config):
    """How the frames of a clip become the inputs of a network."""

    align: Annotated[Alignment | None, BeforeValidator(_none)] = Field(default_factory=Alignment)
    """Find the face and turn it upright; none takes frames as they are. A release that is cropped
    to faces is never aligned."""
    face: Annotated[int, Interval(ge=16)] = 128
    """Height and width of a face in pixels; flow is computed at this size, in these pixels."""
    colour: bool = True
    """false: frames become grey at once, also for inputs that could have colour."""
    apex: Annotated[tuple[ApexBy, ...], MinLen(1)] = ("annotated", "spotted")
    """How the apex is found; the first of these that gives one. annotated: as the data set says;
    middle: the frame midway from onset to offset; spotted: the largest motion since the onset."""
    magnify: Annotated[Magnification | None, BeforeValidator(_none)] = None
    """Make small motions larger before anything is measured; needs the frame rate."""
    flow: Flow = Field(default_factory=TVL1)
    """The optical flow from onset to apex."""
    values: Literal["magnitude", "min_max"] = "magnitude"
    """magnitude: motions keep their size, and are divided by their root mean square over the
    training clips of each fold; min_max: each channel of each clip is stretched to -1..1, as
    published flow images are, which loses the size of a motion."""


class Preparation(Config):
    """A pipeline, and the form of the inputs that it ends in."""

    pipeline: Pipeline
    size: PositiveInt
    """Height and width of every input in pixels."""
    frames: Annotated[int, Interval(ge=2)]
    """Frames from onset to apex, both counted, where an input has more than key frames."""

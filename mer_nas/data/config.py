"""Which clips are learned from, and where they lie."""

from typing import Annotated, Literal

from annotated_types import Interval, Len
from pydantic import Field, NonNegativeInt, PositiveInt

from mer_nas.config.base import Config, Name, Place, Share
from mer_nas.data.needs import Provides
from mer_nas.data.preprocess.config import Pipeline
from mer_nas.inputs import FLOW, INPUTS


class SyntheticData(Config):
    """Rendered faces whose expression is known; deterministic from the seed."""

    kind: Literal["synthetic"] = "synthetic"
    """Clips that this program renders."""
    name: Name = "synthetic"
    """What the clips are called, in reports and in the names of studies."""
    seed: NonNegativeInt = 0
    """Decides every subject, clip and pixel."""
    subjects: Annotated[int, Interval(ge=2, le=10_000)] = 12
    """Number of subjects; their numbers of clips differ as those of real sets do."""
    clips: Annotated[int, Interval(ge=1, le=100_000)] = 108
    """Number of clips in all, at least two a subject."""
    difficulty: Share = 0.5
    """0: large motion and still heads; 1: motion near the noise of the flow."""
    size: Annotated[int, Interval(ge=2, le=224)] = 28
    """Height and width of every input in pixels."""
    frames: Annotated[int, Interval(ge=2, le=64)] = 8
    """Frames from onset to apex, both counted, that networks may take fewer of."""

    @property
    def provides(self) -> Provides:
        """Every input, and the action units that were moved."""
        return Provides(
            f"data {self.name}", tuple(INPUTS), self.size, self.frames, action_units=True
        )


class PrecomputedFlow(Config):
    """Onset-to-apex flow images (u, v, strain) and a csv that names them, as HTNet published."""

    kind: Literal["precomputed_flow"] = "precomputed_flow"
    """Flow images that somebody has computed."""
    name: Name = "precomputed_flow"
    """What the clips are called, in reports and in the names of studies."""
    root: Place | None = None
    """Folder with the csv and the image folder."""
    csv: str = "combined_3_class2_for_optical_flow.csv"
    """The table of clips, relative to the root; columns dataset, sub, filename_o, label."""
    images: str = "datasets/STSNet_whole_norm_u_v_os"
    """Folder of the images, relative to the root; found by its name anywhere below it."""
    classes: tuple[str, ...] = ("negative", "positive", "surprise")
    """Names of the labels 0, 1, ..."""
    official: dict[str, int] = Field(default_factory=dict)
    """Counts of the full set, printed beside those found: clips, subjects and each class."""
    skip_missing: bool = False
    """Leave out clips whose image is missing or unreadable instead of refusing."""
    size: PositiveInt = 28
    """Height and width in pixels."""

    @property
    def provides(self) -> Provides:
        """Flow, and nothing that is not in the images."""
        return Provides(f"data {self.name}", (FLOW,), self.size)


class RecordedData(Config):
    """Clips of one or several licensed data sets, as their authors give them out."""

    kind: Literal["recorded"] = "recorded"
    """Frames or videos as a data set is given out."""
    name: Name = "recorded"
    """What the clips are called, in reports and in the names of studies."""
    layouts: Annotated[tuple[str, ...], Len(1)]
    """The data sets: names of files in mer_nas/data/annotations/layouts."""
    root: Place | None = None
    """Folder that holds the frames and the annotation; of several sets, one with all of them."""
    roots: dict[str, Place] = Field(default_factory=dict)
    """Folder of each data set, by layout, instead of one root."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """By layout, the annotation file relative to its root, where it has another name."""
    frames: Literal["raw", "cropped"] = "raw"
    """raw: frames as recorded; cropped: the registered faces that some sets come with."""
    labels: str = "three"
    """Which emotions make which class: one of mer_nas/data/annotations/label_maps, or a file."""
    pipeline: Pipeline = Field(default_factory=Pipeline)
    """How inputs are made from frames."""
    cache: Place | None = None
    """Folder in which prepared clips are kept; by default mer-nas in the user's cache folder."""
    skip_missing: bool = False
    """Leave out clips that cannot be used instead of refusing."""

    @property
    def provides(self) -> Provides:
        """Every input at any size, and the action units that coders saw, if any did."""
        return Provides(f"data {self.name}", tuple(INPUTS), action_units=True)


class OwnData(Config):
    """Clips that a function of the user's own yields."""

    kind: Literal["own"] = "own"
    """A function of an extension."""
    name: Name = "own"
    """What the clips are called, in reports and in the names of studies."""
    function: str
    """The name that `@dataset` gives it."""
    root: Place | None = None
    """Folder that it is given."""
    arguments: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Further arguments of it, by name."""
    classes: tuple[str, ...] = ("negative", "positive", "surprise")
    """Names of the classes, in their order."""
    frames: Literal["raw", "cropped"] = "cropped"
    """raw: faces are still to be aligned; cropped: frames show the registered face."""
    pipeline: Pipeline = Field(default_factory=Pipeline)
    """How inputs are made from frames."""

    @property
    def provides(self) -> Provides:
        """Every input at any size."""
        return Provides(f"data {self.name}", tuple(INPUTS))


DataConfig = Annotated[
    SyntheticData | PrecomputedFlow | RecordedData | OwnData, Field(discriminator="kind")
]

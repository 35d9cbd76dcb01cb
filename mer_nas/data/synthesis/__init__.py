"""Synthetic clips on disk, in the official form of a licensed data set.

Everything that reads the licensed sets can be run on files of the real shape without them:
folders, names, padding, workbook, and what is odd about each. `counts=official` writes as many
clips, subjects and emotions as the real set has, so that its counts can be checked as well; to be
quick, clips of one subject and class look alike there.
"""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import Field, NonNegativeInt

from mer_nas.config.base import Config, Share


class Synthesis(Config):
    """What is written, and where to."""

    layout: Literal["casme2", "samm", "smic", "casme_sq", "casme3"]
    """Whose form the files written."""
    out: Path
    """The folder that will hold the data set; it must not exist or be empty."""
    counts: Literal["few", "official"] = "few"
    """few: a dozen or two of clips; official: the real set's clips, subjects and emotions."""
    frames: Annotated[int, Interval(ge=3)] | None = None
    """Frames of a clip; by default 11, or 3 for official counts."""
    size: Annotated[int, Interval(ge=16, le=112)] | None = None
    """Height and width of a frame in pixels; by default 112, or 32 for official counts."""
    difficulty: Share = 0.5
    """0: large motion and still heads; 1: motion near the noise of the flow."""
    seed: NonNegativeInt = Field(default=0)
    """Decides every face and motion."""

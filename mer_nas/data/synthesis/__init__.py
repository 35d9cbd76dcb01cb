"""Synthetic clips on disk, in the official form of a licensed data set.

Everything that reads the licensed sets can be run on files of the real shape without them:
folders, names, padding, workbook, and what is odd about each. `counts=official` writes as many
clips, subjects and emotions as the real set has, so that its counts can be checked as well; to be
quick, clips of one subject and class look alike there.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval
from pydantic import Field, NonNegativeInt

from mer_nas.config.base import Config, Share
from mer_nas.data.synthesis.population import PlannedClip, population
from mer_nas.errors import DataError

Progress = Callable[[int, int], None]
"""Is told how many of how many clips are written."""


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


def synthesize(synthesis: Synthesis, progress: Progress = lambda done, of: None) -> int:
    """Write the data set and return how many clips it has.

    Raises:
        DataError: The folder holds something, or cannot be written.
    """
    from mer_nas.data.synthesis.official import write_official
    from mer_nas.data.synthesis.synthetic_writer import SyntheticWriter

    out = synthesis.out.expanduser()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError(f"out: {out} is not empty; a folder that is, or a new one, would be right")
    clips = population(synthesis.layout, official=synthesis.counts == "official")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_official(synthesis.layout, SyntheticWriter(synthesis, out), _told(clips, progress))
    except OSError as error:
        raise DataError(f"out: {out} cannot be written: {error.strerror}") from None
    return len(clips)


def _told(clips: Sequence[PlannedClip], progress: Progress) -> Iterator[PlannedClip]:
    """Yield each clip, and say so once it is written."""
    for done, clip in enumerate(clips, start=1):
        yield clip
        progress(done, len(clips))

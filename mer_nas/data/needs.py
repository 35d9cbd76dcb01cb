"""What networks need of a clip, what a data set provides, and whether the two fit.

Both sides are known before a frame is read, so what does not fit is refused before anything is
computed or trained, and what nobody needs is not computed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mer_nas.data.clips import ClipSet
from mer_nas.errors import ConfigError
from mer_nas.inputs import FLOW, FRAMES


@dataclass(frozen=True)
class Needs:
    """What a network, or every network of a space, reads of a clip."""

    place: str = "the network"
    """Who needs it, as the user knows it: "space=moe"."""
    inputs: tuple[str, ...] = (FLOW,)
    """Names of the inputs."""
    sizes: tuple[int, ...] = ()
    """Heights and widths at which inputs are read, in pixels; none: any will do."""
    frames: int = 0
    """The most frames that are taken of the input `frames`."""
    action_units: bool = False
    """Whether action units are learned besides the class."""


@dataclass(frozen=True)
class Provides:
    """What a data set can give of a clip."""

    place: str
    """Which data set, as the user knows it: "data (casme2)"."""
    inputs: tuple[str, ...]
    size: int | None = None
    """Height and width of every input, in pixels; None: the one that is asked for."""
    frames: int | None = None
    """Frames of the input `frames`; None: as many as are asked for."""
    action_units: bool = False
    """Whether any clip is annotated with action units."""


def provided(clips: ClipSet) -> Provides:
    """Return what a set of clips has, now that it is loaded."""
    frames = clips.inputs[FRAMES].shape[1] if FRAMES in clips.inputs else 0
    return Provides(
        clips.name,
        tuple(clips.inputs),
        next(array.shape[-1] for array in clips.inputs.values()),
        frames,
        any(record.action_units is not None for record in clips.records),
    )


def refuse_misfit(needs: Needs, provides: Provides) -> None:
    """Refuse data that lack what is needed.

    Raises:
        ConfigError: They do; a line for each thing that is lacking names both sides.
    """
    mistakes = list(_misfits(needs, provides))
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _misfits(needs: Needs, provides: Provides) -> Iterator[str]:
    lacking = [name for name in needs.inputs if name not in provides.inputs]
    if lacking:
        yield (
            f"{needs.place} reads {_list(lacking)}, but {provides.place} provides "
            f"{_list(provides.inputs)}"
        )
    if len(needs.sizes) > 1:
        yield (
            f"{needs.place} reads inputs of {_list(needs.sizes)} pixels, but {provides.place} "
            "provides all of them at one size"
        )
    elif provides.size is not None and needs.sizes not in ((), (provides.size,)):
        yield (
            f"{needs.place} reads inputs of {needs.sizes[0]} pixels, but {provides.place} "
            f"provides them with {provides.size}; size: {provides.size} there, or "
            f"data.size={needs.sizes[0]}, would be right"
        )
    if not lacking and provides.frames is not None and needs.frames > provides.frames:
        yield (
            f"{needs.place} takes {needs.frames} frames, but {provides.place} provides "
            f"{provides.frames}; data.frames={needs.frames} would be right"
        )
    if needs.action_units and not provides.action_units:
        yield (
            f"{needs.place} learns action units (losses.au), but no clip of {provides.place} is "
            "annotated with them; losses.au: 0 would be right"
        )


def _list(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))

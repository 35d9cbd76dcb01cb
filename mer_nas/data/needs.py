"""What networks need of a clip, what a data set provides, and whether the two fit.

Both sides are known before a frame is read, so what does not fit is refused before anything is
computed or trained, and what nobody needs is not computed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mer_nas.errors import ConfigError
from mer_nas.inputs import FLOW


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
    """The most frames that are taken of an input that has as many as are asked for."""
    action_units: bool = False
    """Whether action units are learned besides the class."""

    def refuse_misfit(self, provides: "Provides") -> None:
        """Refuse data that lack what is needed.

        Raises:
            ConfigError: They do; a line for each thing that is lacking names both sides.
        """
        mistakes = list(self._misfits(provides))
        if mistakes:
            raise ConfigError("\n".join(mistakes))

    def _misfits(self, provides: "Provides") -> Iterator[str]:
        lacking = [name for name in self.inputs if name not in provides.inputs]
        if lacking:
            yield (
                f"{self.place} reads {_list(lacking)}, but {provides.place} provides "
                f"{_list(provides.inputs)}"
            )
        if len(self.sizes) > 1:
            yield (
                f"{self.place} reads inputs of {_list(self.sizes)} pixels, but {provides.place} "
                "provides all of them at one size"
            )
        elif provides.size is not None and self.sizes not in ((), (provides.size,)):
            yield (
                f"{self.place} reads inputs of {self.sizes[0]} pixels, but {provides.place} "
                f"provides them with {provides.size}; size: {provides.size} there, or "
                f"data.size={self.sizes[0]}, would be right"
            )
        if not lacking and provides.frames is not None and self.frames > provides.frames:
            yield (
                f"{self.place} takes {self.frames} frames, but {provides.place} provides "
                f"{provides.frames}; data.frames={self.frames} would be right"
            )
        if self.action_units and not provides.action_units:
            yield (
                f"{self.place} learns action units (losses.au), but no clip of {provides.place} "
                "is annotated with them; losses.au: 0 would be right"
            )


@dataclass(frozen=True)
class Provides:
    """What a data set can give of a clip."""

    place: str
    """Which data set, as the user knows it: "data (casme2)"."""
    inputs: tuple[str, ...]
    size: int | None = None
    """Height and width of every input, in pixels; None: the one that is asked for."""
    frames: int | None = None
    """Frames of such an input; None: as many as are asked for."""
    action_units: bool = False
    """Whether any clip is annotated with action units."""


def _list(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))

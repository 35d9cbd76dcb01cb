"""Which experts the winner uses, and where on the face it looks, as a report holds it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, PositiveInt, model_validator

from mer_nas.config.base import Config, Share


def _rectangle(rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError("a map has rows of one length")
    return rows


Map = Annotated[tuple[tuple[float, ...], ...], AfterValidator(_rectangle)]
"""Rows of a small map, top to bottom; each from the left of the picture to its right."""


class ExpertAttribution(Config):
    """Which experts of a layer the winner uses, and where, by true class of the clips."""

    layer: str
    """Where in the network: "stage 2, layer 1"."""
    experts: PositiveInt
    chosen: PositiveInt
    """How many of them a position is sent to."""
    use: tuple[tuple[Share, ...], ...]
    """By class, then expert: its share of the say, over clips and positions; a row sums to 1."""
    maps: tuple[tuple[Map, ...], ...] = ()
    """By class, then expert: the same at each position; empty where a clip is sent as a whole."""


class GateAttribution(Config):
    """Where a progressive gate of the winner lets through, by true class of the clips."""

    layer: str
    maps: tuple[Map, ...]
    """By class: the mean of what features are multiplied with, in [0, 1]."""


class Attribution(Config):
    """What the exported winner looks at, over all clips, which it has learned from."""

    key: str
    """Of the candidate."""
    clips: PositiveInt
    input: str
    seen: tuple[Map, ...]
    """By class: how far that input is from its median at each position, to lay the maps upon."""
    experts: tuple[ExpertAttribution, ...] = ()
    """Layer by layer, input to output."""
    gates: tuple[GateAttribution, ...] = ()

    @property
    def classes(self) -> int:
        """For how many classes of clips it says so."""
        return len(self.seen)

    @model_validator(mode="after")
    def _of_all_classes(self) -> Self:
        for look in self.experts:
            for part in (look.use, look.maps):
                if part and {*map(len, part)} != {look.experts}:
                    raise ValueError(f"{look.layer} has {look.experts} experts")
        by_class = [part for look in self.experts for part in (look.use, look.maps or look.use)]
        if any(len(part) != self.classes for part in (*by_class, *(g.maps for g in self.gates))):
            raise ValueError(f"it shows clips of {self.classes} classes")
        return self

"""Facial motions: action units as displacements of the skin around the parts they move.

The units, the parts they pull and the directions are those of the Facial Action Coding System
(Ekman & Friesen 1978), reduced to one or two pulls each. Of the units that the annotations of
CASME II and SAMM name for an emotion, each class here has some around the eyes and some around
the mouth, chosen so that it has a form of its own in both places:

    negative    drawn sideways      4 brows together, 20 lips stretched
    positive    lifted              6 cheeks, 12 corners of the lips
    surprise    opened              1+2+5 brows up and lower lids down, 25+26 lips apart

A clip is annotated with the units that moved, a blink (43) among them.

A frame is a portrait resampled along a motion, relit, with the noise of a sensor. A camera of
twice the side sees the same motion finer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mer_nas.data.sources.faces import PIXELS, Face, Field, pixel_grid


@dataclass(frozen=True)
class _Displacement:
    """How an action unit moves the skin around one part."""

    part: str
    """A landmark, or the name of a pair of them without its side."""
    out: float
    """Motion away from the middle line, in units of the clip's intensity."""
    down: float
    """Motion downwards, in the same units."""
    reach: float
    """Distance over which the skin follows, in half images."""


UNITS: dict[str, tuple[_Displacement, ...]] = {
    "1": (_Displacement("brow_inner", 0.0, -0.8, 0.11),),
    "2": (_Displacement("brow_outer", 0.0, -0.8, 0.11),),
    "4": (_Displacement("brow_inner", -1.0, 0.3, 0.12),),
    "5": (_Displacement("lid_lower", 0.0, 0.9, 0.11),),
    "6": (_Displacement("cheek", 0.1, -1.0, 0.13),),
    "12": (_Displacement("lip", 0.2, -1.0, 0.12),),
    "20": (_Displacement("lip", 1.0, 0.2, 0.12),),
    "25": (_Displacement("lip_upper", 0.0, -1.0, 0.12),),
    "26": (_Displacement("lip_lower", 0.0, 1.0, 0.12),),
    "43": (_Displacement("lid_upper", 0.0, 1.0, 0.07),),
}
"""By number, what each unit pulls."""

BLINK = "43"
"""The unit that says nothing about the class."""

EXPRESSIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "negative": (("4",), ("20",)),
    "positive": (("6",), ("12",)),
    "surprise": (("1", "2", "5"), ("25", "26")),
}
"""By class, the sets of units that show it."""


class Motion(NamedTuple):
    """A field of displacements, each (PIXELS, PIXELS), in pixels of a frame of PIXELS."""

    right: Field
    down: Field

    @classmethod
    def of_units(
        cls, face: Face, units: tuple[str, ...], pixels: float, balance: float
    ) -> "Motion":
        """Return the motion of the skin by several action units.

        Args:
            face: Whose.
            units: Which.
            pixels: Size of the motion; negative where the units let go.
            balance: In [-1, 1]; 0: both sides alike, 1: the right of the image alone.
        """
        x, y = pixel_grid()
        right, down = np.zeros_like(x), np.zeros_like(y)
        for displacement in (displacement for unit in units for displacement in UNITS[unit]):
            for name, sign, share in _sides(face, displacement.part, balance):
                px, py = face.landmarks[name]
                near = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * displacement.reach**2))
                right += pixels * share * sign * displacement.out * near
                down += pixels * share * displacement.down * near
        return cls(right.astype(np.float32), down.astype(np.float32))

    @classmethod
    def of_head(cls, shift: tuple[float, float], turn: float, zoom: float) -> "Motion":
        """Return the motion of a head that moves as a whole.

        Args:
            shift: To the right and down, in pixels.
            turn: Clockwise, in pixels at the edge of the image.
            zoom: Towards the camera, in pixels at the edge of the image.
        """
        x, y = pixel_grid()
        return cls(shift[0] - turn * y + zoom * x, shift[1] + turn * x + zoom * y)

    @classmethod
    def in_depth(cls, knots: NDArray[np.float64]) -> "Motion":
        """Return a smooth motion, as of a head that turns in depth before a moving camera.

        Args:
            knots: (2, k, k), motion to the right and down at k by k points spread over the image.
        """
        fields = [
            cv2.resize(plane, (PIXELS, PIXELS), interpolation=cv2.INTER_CUBIC)
            for plane in knots.astype(np.float32)
        ]
        return cls(fields[0], fields[1])

    @classmethod
    def together(cls, motions: Sequence["Motion"]) -> "Motion":
        """Return several motions at once."""
        right, down = zip(*motions, strict=True)
        return cls(np.sum(right, axis=0), np.sum(down, axis=0))

    def times(self, share: float) -> "Motion":
        """Return a share of the motion."""
        return Motion(share * self.right, share * self.down)

    def render(
        self, image: Field, gain: float, noise: float, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Return a portrait after the motion as a camera would record it, of the portrait's size.

        Args:
            image: The portrait.
            gain: Brightness relative to the portrait.
            noise: Standard deviation of the sensor's noise, in grey levels of 255.
            rng: Draws the noise.
        """
        axis = np.arange(len(image), dtype=np.float32)
        columns, rows = np.meshgrid(axis, axis)
        right, down = (_finer(field, len(image)) for field in self)
        # Motions are smooth and small, so what comes to lie at a pixel was so far before it.
        moved = cv2.remap(
            image,
            (columns - right).astype(np.float32),
            (rows - down).astype(np.float32),
            interpolation=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        grey = 255 * gain * moved + rng.normal(0.0, noise, moved.shape)
        seen: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        return seen


def _finer(field: Field, pixels: int) -> Field:
    """Return one direction of a motion for a frame of so many pixels, in its pixels."""
    if pixels == PIXELS:
        return field
    fine = cv2.resize(field.astype(np.float32), (pixels, pixels), interpolation=cv2.INTER_CUBIC)
    result: Field = fine * np.float32(pixels / PIXELS)
    return result


def _sides(face: Face, part: str, balance: float) -> list[tuple[str, float, float]]:
    """Return landmark, sign of "out" and share of the motion for each side of a part."""
    if part in face.landmarks:
        return [(part, 0.0, 1.0)]
    return [
        (f"{part}_left", -1.0, min(1.0, 1.0 - balance)),
        (f"{part}_right", 1.0, min(1.0, 1.0 + balance)),
    ]

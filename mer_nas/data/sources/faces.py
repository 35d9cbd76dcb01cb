"""Rendered faces: the portrait of a subject, and the colour of its skin.

A portrait is grey, with the parts that carry micro-expressions (brows, lids, nose, cheeks, lips,
chin) on a skin whose grain is the subject's own, so that optical flow finds something to follow
everywhere. A camera of twice the side sees the same face finer.

Positions are in units of half the image: x to the right, y down, both in [-1, 1].
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

PIXELS = 112
"""Height and width of a frame, and of the field of a motion."""

FINE = 224
"""Height and width of a frame where 112 pixels are too few."""

Field = NDArray[np.float32]
"""Height and width are PIXELS, or FINE in a fine portrait."""

LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in grey, as everywhere since ITU-R BT.601."""


@dataclass(frozen=True)
class Face:
    """What does not change from clip to clip of a subject."""

    centre: tuple[float, float]
    width: float
    """Half the width of the head."""
    height: float
    eye_y: float
    eye_x: float
    """Distance of an eye from the middle line."""
    eye_size: float
    brow_gap: float
    """Height of a brow above its eye."""
    brow_weight: float
    nose_y: float
    mouth_y: float
    mouth_width: float
    """Half the distance between the corners of the mouth."""
    skin: float
    """Brightness in [0, 1]."""
    light: tuple[float, float]
    """Direction and strength of the gradient of brightness."""
    grain: int
    """Seed of the skin's texture."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Return a face nobody has."""
        near = rng.uniform
        return cls(
            centre=(near(-0.08, 0.08), near(-0.08, 0.08)),
            width=near(0.55, 0.7),
            height=near(0.72, 0.85),
            eye_y=near(-0.26, -0.14),
            eye_x=near(0.24, 0.34),
            eye_size=near(0.08, 0.12),
            brow_gap=near(0.13, 0.2),
            brow_weight=near(0.02, 0.045),
            nose_y=near(0.1, 0.2),
            mouth_y=near(0.36, 0.48),
            mouth_width=near(0.18, 0.28),
            skin=near(0.45, 0.75),
            light=(near(-0.15, 0.15), near(-0.15, 0.15)),
            grain=int(rng.integers(2**31)),
        )

    @property
    def landmarks(self) -> dict[str, tuple[float, float]]:
        """Positions of the parts that move; left is the left of the image."""
        x, y = self.centre
        brow, cheek = self.eye_y - self.brow_gap, self.eye_y + 0.15
        points = {
            "chin": (0.0, self.mouth_y + 0.24),
            "lip_upper": (0.0, self.mouth_y - 0.1),
            "lip_lower": (0.0, self.mouth_y + 0.15),
        }
        for side, sign in (("left", -1.0), ("right", 1.0)):
            points[f"brow_inner_{side}"] = (sign * self.eye_x * 0.55, brow)
            points[f"brow_outer_{side}"] = (sign * self.eye_x * 1.35, brow + 0.02)
            points[f"lid_upper_{side}"] = (sign * self.eye_x, self.eye_y - self.eye_size * 0.6)
            points[f"lid_lower_{side}"] = (sign * self.eye_x, self.eye_y + self.eye_size * 0.8)
            points[f"cheek_{side}"] = (sign * self.eye_x * 1.15, cheek)
            points[f"nose_{side}"] = (sign * 0.12, self.nose_y - 0.05)
            points[f"lip_{side}"] = (sign * self.mouth_width, self.mouth_y)
        return {name: (x + px, y + py) for name, (px, py) in points.items()}

    def portrait(self, pixels: int = PIXELS) -> Field:
        """Return the face at rest, (pixels, pixels), brightness about 0 to 1."""
        x, y = pixel_grid(pixels)
        x, y = x - self.centre[0], y - self.centre[1]
        head = _soft(1 - (x / self.width) ** 2 - (y / self.height) ** 2, 0.1)
        image = 0.15 + head * (self.skin + self.light[0] * x + self.light[1] * y - 0.15)
        for side in (-1.0, 1.0):
            dx, dy = x - side * self.eye_x, y - self.eye_y
            size = self.eye_size
            white = _soft(1 - (dx / (1.5 * size)) ** 2 - (dy / (0.7 * size)) ** 2, 0.3)
            iris = _soft(1 - (dx / (0.6 * size)) ** 2 - (dy / (0.6 * size)) ** 2, 0.3)
            image += white * (0.9 - image)
            image += iris * (0.1 - image)
            arch = dy + self.brow_gap + 0.25 * dx**2 / self.eye_x
            brow = np.exp(-((arch / self.brow_weight) ** 2) - (dx / (1.9 * size)) ** 4)
            image += 0.8 * brow * (0.12 - image)
            nostril = np.exp(
                -(((x - side * 0.07) / 0.035) ** 2) - ((y - self.nose_y) / 0.025) ** 2
            )
            image -= 0.25 * nostril
        bridge = np.exp(-((x / 0.05) ** 2)) * ((y > self.eye_y) & (y < self.nose_y))
        image += 0.06 * bridge.astype(np.float32)
        curve = y - self.mouth_y + 0.15 * x**2
        lips = np.exp(-((curve / 0.05) ** 2) - (x / self.mouth_width) ** 6)
        slit = np.exp(-((curve / 0.014) ** 2) - (x / self.mouth_width) ** 6)
        image += -0.18 * lips - 0.2 * slit
        image += 0.05 * _texture(self.grain, pixels) * (0.4 + 0.6 * head)
        result: Field = image.astype(np.float32)
        return result


def pixel_grid(pixels: int = PIXELS) -> tuple[Field, Field]:
    """Return x and y of every pixel, each (pixels, pixels)."""
    axis = np.linspace(-1, 1, pixels, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


class Tint(NamedTuple):
    """The colour of a skin: how much red, green and blue there is for each part of grey."""

    red: float
    green: float
    blue: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Return one with more red than green and more green than blue, as bright as grey.

        >>> tint = Tint.draw(np.random.default_rng(0))
        >>> round(sum(part * share for part, share in zip(tint, LUMA)), 6)
        1.0
        """
        red, blue = float(rng.uniform(1.1, 1.35)), float(rng.uniform(0.55, 0.8))
        return cls(red, (1 - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue)

    def __call__(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what a camera without colours saw, (..., H, W), in colour: (..., H, W, 3)."""
        colours = grey[..., None] * np.array(self, dtype=np.float32)
        return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def _soft(value: Field, width: float) -> Field:
    """Return 0 where `value` is negative and 1 above `width`, with a slope between."""
    result: Field = np.clip(value / width, 0, 1)
    return result


def _texture(seed: int, pixels: int) -> Field:
    """Return noise of three grain sizes, mean 0 and standard deviation about 1."""
    rng = np.random.default_rng(seed)
    layers = []
    for sigma in (0.8, 1.6, 4.0):
        noise = rng.standard_normal((pixels, pixels))
        layer = cv2.GaussianBlur(noise, (0, 0), sigma * (pixels / PIXELS))
        layers.append(layer / layer.std())
    result: Field = (sum(layers) / np.sqrt(len(layers))).astype(np.float32)
    return result

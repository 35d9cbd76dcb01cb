"""How a path lays out what it reads: the whole image, or four parts of it side by side.

tiles4 is the input of HTNet (Wang et al. 2024, github.com/wangzhifengharrison/HTNet): a square
around each eye and around each corner of the mouth. HTNet finds them by landmarks; here they stand
where an aligned face has them, because not every input comes with its face.

Shapes speak of any number of images of C channels and S x S pixels.
"""

from typing import Literal

import torch
from torch import Tensor

Layout = Literal["whole", "tiles4"]

EYE = (0.34, 0.38)
"""Where an aligned face has the eye on its left: across and down, in sides of the image."""
MOUTH = (0.37, 0.71)
"""The same of the corner of the mouth. What lies on the right mirrors both."""


def laid_out(x: Tensor, layout: Layout) -> Tensor:
    """Return images (..., C, S, S) as a path sees them, of the same shape."""
    return tiles(x) if layout == "tiles4" else x


def tiles(x: Tensor) -> Tensor:
    """Return the eyes above the corners of the mouth, each a square of half the image's side."""
    size = x.shape[-1]
    half = size // 2
    rows = []
    for across, down in (EYE, MOUTH):
        left, top = (
            min(max(round(place * size) - half // 2, 0), half) for place in (across, down)
        )
        band = x[..., top : top + half, :]
        right = size - half - left
        pair = band[..., left : left + half], band[..., right : right + half]
        rows.append(torch.cat(pair, dim=-1))
    return torch.cat(rows, dim=-2)

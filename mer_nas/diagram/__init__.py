"""Architectures as drawings: one model of what stands where, as text and as SVG.

`draw` takes the walk along an architecture and keeps what a reader wants to see: the blocks in the
order in which a clip meets them, and the shape that leaves each. `as_text` and `as_svg` set it.
"""

from mer_nas.diagram.model import Box, Diagram, Line, describe, draw
from mer_nas.diagram.svg import as_svg
from mer_nas.diagram.text import as_text

__all__ = ["Box", "Diagram", "Line", "as_svg", "as_text", "describe", "draw"]

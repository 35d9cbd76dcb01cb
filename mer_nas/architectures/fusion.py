"""Fusions: from the maps of two paths to one map (B, C, H, W)."""

from typing import Literal

from mer_nas.architectures.blocks import FUSIONS, Idle


@FUSIONS.register
class NoFusion(Idle):
    """No fusion: for one path."""

    kind: Literal["none"] = "none"

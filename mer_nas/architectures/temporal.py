"""Temporal pools: from the maps of a clip's frames (B T, C, H, W) to one map (B, C, H, W)."""

from typing import Literal

from mer_nas.architectures.blocks import TEMPORALS, Idle


@TEMPORALS.register
class NoTemporal(Idle):
    """No temporal pool: for one frame, or where a block pools time itself."""

    kind: Literal["none"] = "none"

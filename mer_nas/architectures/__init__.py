"""Architectures: what a network is in YAML, the rules it obeys, and the modules it is built from.

Shapes in this package speak of B clips, C channels, H x W maps, N tokens of a clip or window,
E experts of which K are chosen, and, for outputs, K classes. Between two blocks there is always a
map (B, C, H, W); of a clip of T frames that no temporal pool has met yet, (B T, C, H, W).

    state                       what travels along a path beside its map
    layers                      modules of torch, of use alone
    blocks                      what stands in each slot, a slot a file; registering a block is all
                                it takes
    paths, grammar, walk        how blocks make an architecture, and where each then stands
    canonical                   parse what was written, repair what was drawn
    auxiliary                   what a network learns beside the classes
    assembly, cost, shapes      build it, count it, without numbers
    signature                   the arguments of a network used whole as settings
    extensions, user_blocks     blocks of users, and their mistakes
"""

from mer_nas.architectures.assembly import Network, deployed
from mer_nas.architectures.blocks.base import (
    DOWNS,
    DYN_IMAGES,
    FUSIONS,
    GATES,
    GLOBALS,
    HEADS,
    LOCALS,
    MULTI_SCALES,
    NETWORKS,
    ORTHS,
    SLOTS,
    STEMS,
    TEMPORALS,
    Block,
    BuildContext,
    Shape,
    Stem,
)
from mer_nas.architectures.blocks.fusion import Fusion
from mer_nas.architectures.blocks.network import WholeNetwork, network
from mer_nas.architectures.blocks.orth import Orth
from mer_nas.architectures.blocks.temporal import TemporalPool
from mer_nas.architectures.canonical import architecture_schema, parse, parse_drawn, refresh
from mer_nas.architectures.cost import Cost
from mer_nas.architectures.extensions import load_extensions, loaded_sources
from mer_nas.architectures.grammar import Architecture
from mer_nas.architectures.paths import NetworkPath, Path, Stage
from mer_nas.architectures.state import ModelOutput, State, Stateful

__all__ = [
    "DOWNS",
    "DYN_IMAGES",
    "FUSIONS",
    "GATES",
    "GLOBALS",
    "HEADS",
    "LOCALS",
    "MULTI_SCALES",
    "NETWORKS",
    "ORTHS",
    "SLOTS",
    "STEMS",
    "TEMPORALS",
    "Architecture",
    "Block",
    "BuildContext",
    "Cost",
    "Fusion",
    "ModelOutput",
    "Network",
    "NetworkPath",
    "Orth",
    "Path",
    "Shape",
    "Stage",
    "State",
    "Stateful",
    "Stem",
    "TemporalPool",
    "WholeNetwork",
    "architecture_schema",
    "deployed",
    "load_extensions",
    "loaded_sources",
    "network",
    "parse",
    "parse_drawn",
    "refresh",
]


def __getattr__(name: str) -> object:
    """Say what a name that blocks of users import is called now."""
    if name == "Site":
        raise ImportError("in mer_nas.architectures Site is called BuildContext now")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

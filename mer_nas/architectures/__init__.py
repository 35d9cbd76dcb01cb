"""Architectures: what a network is in YAML, the rules it obeys, and the modules it is built from.

Shapes in this package speak of B clips, C channels, H x W maps, N tokens of a clip or window,
E experts of which K are chosen, and, for outputs, K classes. Between two blocks there is always a
map (B, C, H, W); of a clip of T frames that no temporal pool has met yet, (B T, C, H, W).

    state, layers, kernels      what blocks are made of
    blocks                      what a block is, its slots and its context
    stems, multi_scale, downs, aggregation, local_blocks, attention, experts, gates, temporal,
    fusion, heads               the blocks, a family a file; registering one is all it takes
    routing, expert_kinds, collaboration
                                the parts of an expert layer
    recalibration               which channels and positions count
    decoders, orthogonality     the blocks of auxiliary losses
    grammar, shared, walk       how blocks make an architecture, and where each then stands
    canonical                   parse what was written, repair what was drawn
    auxiliary                   what a network learns beside the classes
    network, cost               build it, count it
    extensions                  blocks of users
"""

from mer_nas.architectures.auxiliary import ModelOutput
from mer_nas.architectures.blocks import (
    DOWNS,
    DYN_IMAGES,
    FUSIONS,
    GATES,
    GLOBALS,
    HEADS,
    LOCALS,
    MULTI_SCALES,
    ORTHS,
    SLOTS,
    STEMS,
    TEMPORALS,
    Block,
    BuildContext,
    Shape,
    Stem,
)
from mer_nas.architectures.canonical import parse, parse_drawn, refresh, schema
from mer_nas.architectures.cost import Cost, measure
from mer_nas.architectures.extensions import load_extensions, loaded_sources
from mer_nas.architectures.grammar import Architecture, Path, Stage
from mer_nas.architectures.network import Network, build, deployed
from mer_nas.architectures.state import State, Stateful
from mer_nas.inputs import INPUTS, Input

__all__ = [
    "DOWNS",
    "DYN_IMAGES",
    "FUSIONS",
    "GATES",
    "GLOBALS",
    "HEADS",
    "INPUTS",
    "LOCALS",
    "MULTI_SCALES",
    "ORTHS",
    "SLOTS",
    "STEMS",
    "TEMPORALS",
    "Architecture",
    "Block",
    "BuildContext",
    "Cost",
    "Input",
    "ModelOutput",
    "Network",
    "Path",
    "Shape",
    "Stage",
    "State",
    "Stateful",
    "Stem",
    "build",
    "deployed",
    "load_extensions",
    "loaded_sources",
    "measure",
    "parse",
    "parse_drawn",
    "refresh",
    "schema",
]


def __getattr__(name: str) -> object:
    """Say what a name that blocks of users import is called now."""
    if name == "Site":
        raise ImportError("in mer_nas.architectures Site is called BuildContext now")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

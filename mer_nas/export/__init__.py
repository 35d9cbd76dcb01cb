"""A trained network as files that others can run, and that carry where they come from.

A folder holds `model.onnx` (the deployed graph, for any runtime), `model.safetensors` with
`model.yaml` (weights and closed form, from which `load` rebuilds the network in a fresh process)
and `card.md` (for people). `export_networks` writes all of them or nothing, and only after the
ONNX graph has given what the network gives on real clips. Several networks are one there, their
ensemble.

What needs torch is imported when it is first asked for, so that `manifest` can be read without.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mer_nas.export.bundle import TrainedMember, export_networks
    from mer_nas.export.ensemble import EnsembleNetwork
    from mer_nas.export.manifest import Exported, InputSpec, Manifest, Member
    from mer_nas.export.origin import Provenance
    from mer_nas.export.rebuild import LoadedModel, load

__all__ = [
    "EnsembleNetwork",
    "Exported",
    "InputSpec",
    "LoadedModel",
    "Manifest",
    "Member",
    "Provenance",
    "TrainedMember",
    "export_networks",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in ("manifest", "origin", "bundle", "rebuild", "ensemble"):
        if hasattr(found := import_module(f"{__name__}.{module}"), name):
            return getattr(found, name)
    raise AssertionError(name)

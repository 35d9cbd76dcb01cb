"""Search spaces: families of candidates as YAML describes them.

A space knows nothing of networks and of Optuna's studies: it turns choices into closed trees
(`fill`, `suggest`), closed trees into choices (`encode`), and narrows itself to what an override
asks for.
"""

from mer_nas.space.search_space import (
    FIDELITY,
    Fidelity,
    Limits,
    Point,
    Reference,
    SearchSpace,
    SpaceFile,
    WarmStart,
)

__all__ = [
    "FIDELITY",
    "Fidelity",
    "Limits",
    "Point",
    "Reference",
    "SearchSpace",
    "SpaceFile",
    "WarmStart",
]

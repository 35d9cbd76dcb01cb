"""What papers state for the composite of MEGC 2019, how they came by it, and what is built here.

The figures lie in `literature.yaml` beside this file; how faithful a system is here is read from
the search space that offers it, so that the two cannot part.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import Field

from mer_nas.config import presets
from mer_nas.config.base import Config, Share, Tree, validate
from mer_nas.space.search_space import Fidelity

Part = Literal["full", "smic", "casme2", "samm"]
Epoch = Literal["none", "last", "held_out", "unknown"]
EPOCHS: Final[dict[Epoch, str]] = {
    "none": "no epochs to choose from",
    "last": "a fixed number of epochs",
    "held_out": "LEAKY: the epoch that is best on the held-out subject",
    "unknown": "code not seen; above 0.80 presumably at least in part by the held-out subjects",
}
"""What a number's epoch was chosen by, as far as it is known, in words."""
CLIPS, SUBJECTS = 442, 68
"""Of the composite."""


class _Pair(Config):
    """UF1 and UAR, as far as they are stated."""

    uf1: Share | None = None
    uar: Share | None = None


class _Rerun(Config):
    """The same system trained again by others."""

    by: str
    epoch: Epoch
    scores: dict[Part, _Pair]


class _BuiltHere(Config):
    """The system as a search space of ours offers it."""

    space: str
    point: str
    fidelity: Fidelity | None = None
    """How it stands to its source."""


class _PublishedSystem(Config):
    """A system and what is stated of it."""

    name: str
    note: str = ""
    quoted: str
    """Where the figures were read; secondary: in another paper's table."""
    certainty: Literal["checked", "one_source", "to_confirm"] = "one_source"
    """checked: by two sources; to_confirm: recalled, not read again."""
    epoch: Epoch
    """What the epoch was chosen by."""
    scores: dict[Part, _Pair] = Field(default_factory=dict)
    """Empty where nothing is stated for this protocol."""
    again: tuple[_Rerun, ...] = ()
    system: _BuiltHere | None = None
    """None where it is not built here."""


class Literature(Config):
    """The published table."""

    title: str
    protocol: str
    about: str
    floor: _Pair
    """Of the answer "negative" to every clip."""
    epochs: dict[Epoch, str] = Field(default_factory=lambda: dict(EPOCHS))
    """What the words for the choice of the epoch mean."""
    rows: tuple[_PublishedSystem, ...]
    comparable: bool = True
    """Whether the study at hand was measured on the same clips under the same protocol: false in
    reports of before alone, which held the table anyway."""

    @classmethod
    def beside(cls, clips: int, subjects: int, classes: int, protocol: str) -> Literature | None:
        """Return it for a study on just these clips, subjects and classes under this protocol."""
        same = (clips, subjects, classes, protocol) == (CLIPS, SUBJECTS, 3, "LOSO")
        return _table() if same else None


def claim_of(point: str) -> _PublishedSystem | None:
    """Return what a paper states for the composite of a system that is built here as a point."""
    rows = (row for row in _table().rows if row.system is not None and row.system.point == point)
    return next(rows, None)


@cache
def _table() -> Literature:
    file = files("mer_nas.report") / "literature.yaml"
    tree = presets.parse(file.read_text(encoding="utf-8"), "literature")
    for row in tree["rows"]:
        if (system := row.get("system")) is not None:
            system["fidelity"] = _fidelity(system["space"], system["point"])
    return validate(Literature, tree, "literature")


def _fidelity(space: str, point: str) -> str:
    tree: Tree = presets.read("space", space)
    found = {
        entry["name"]: entry for part in ("points", "references") for entry in tree.get(part, ())
    }
    return str(found[point]["fidelity"])

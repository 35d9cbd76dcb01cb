"""Which blocks the good networks have, slot by slot."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from pydantic import NonNegativeInt, PositiveInt

from mer_nas.architectures import Block
from mer_nas.architectures.canonical import as_dumped
from mer_nas.architectures.walk import walk
from mer_nas.config.base import Config, Share, Tree
from mer_nas.report.candidates import TrialSummary

MIN_NETWORKS = 4
"""Complete trials that have a best quarter."""

Filled = frozenset[tuple[str, str]]
"""Slots with a block that stands in them, somewhere in a network."""


class _SlotRow(Config):
    """A block that can stand in a slot, over the complete trials."""

    slot: str
    """Dotted where a block stands in another: "stem.multi_scale"."""
    block: str
    trials: PositiveInt
    """Complete trials that have it there, in whichever path or stage."""
    best: NonNegativeInt
    """Of the best quarter of them."""
    uf1: Share
    """Mean search score of those that have it."""
    others: Share | None
    """Of those that do not; none where all have it."""
    winner: bool
    """Whether the winner has it."""


class Slots(Config):
    """Which blocks the good networks have; an association, as others change along."""

    complete: PositiveInt
    """Complete trials."""
    best: PositiveInt
    """Size of their best quarter."""
    rows: tuple[_SlotRow, ...]
    """By slot; of each the block with the best mean first."""

    @classmethod
    def of(cls, complete: Sequence[TrialSummary], winner: Tree | None) -> Slots | None:
        """Return which blocks the complete trials have, and how they did with them.

        A block that all of them have tells nothing, and is left out.

        Args:
            complete: Complete trials, the best first.
            winner: Its architecture.
        """
        networks = [
            (trial.value or 0.0, _filled(trial.architecture))
            for trial in complete
            if trial.architecture is not None
        ]
        if len(networks) < MIN_NETWORKS:
            return None
        blocks: dict[str, set[str]] = defaultdict(set)
        for slot, block in {entry for _, filled in networks for entry in filled}:
            blocks[slot].add(block)
        best = len(networks) // 4
        chosen = _filled(winner) if winner else frozenset()
        rows: list[_SlotRow] = []
        for slot in sorted(blocks):
            found = [_row(slot, block, networks, best, chosen) for block in sorted(blocks[slot])]
            told = [row for row in found if row.trials < len(networks)]
            rows += sorted(told, key=lambda row: (-row.uf1, row.block))
        return cls(complete=len(networks), best=best, rows=tuple(rows)) if rows else None


def _row(
    slot: str, block: str, networks: Sequence[tuple[float, Filled]], best: int, chosen: Filled
) -> _SlotRow:
    entry = (slot, block)
    have = [score for score, filled in networks if entry in filled]
    others = [score for score, filled in networks if entry not in filled]
    return _SlotRow(
        slot=slot,
        block=block,
        trials=len(have),
        best=sum(entry in filled for _, filled in networks[:best]),
        uf1=statistics.fmean(have),
        others=statistics.fmean(others) if others else None,
        winner=entry in chosen,
    )


def _filled(architecture: Tree) -> Filled:
    visits = walk(as_dumped(architecture, "the architecture of a trial"))
    parts = [(visit.slot.rstrip("_"), visit.part) for visit in visits]
    return frozenset(
        entry for slot, part in parts if isinstance(part, Block) for entry in _kinds(slot, part)
    )


def _kinds(slot: str, block: Block) -> Iterator[tuple[str, str]]:
    """Yield the kind of a block, and of each that stands in it."""
    yield slot, block.kind
    for name in type(block).model_fields:
        if isinstance(inner := getattr(block, name), Block):
            yield from _kinds(f"{slot}.{name.rstrip('_')}", inner)

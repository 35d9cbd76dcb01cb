"""Whether the numbers of a report follow from one another.

A report holds the confusions by subject of everything that was measured, and almost every other
number of it follows from these (`followed`). `contradictions` walks the report and what follows,
and names what is not the same. The walk knows no field, so a new one cannot be forgotten.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mer_nas.report import (
    Report,
)
from mer_nas.study.reproduction.followed import followed

_Number = int | float
FieldPath = tuple[str, ...]
"""Where in a report a number stands: ("study", "trials", "3", "value")."""

TAKEN: Mapping[str, str] = {
    r"study\.settings\..*": "what the study was asked for",
    r"study\.environment\..*": "the machine then; held against this one",
    r"study\.data\.(official|inputs)\..*": "held against the clips",
    r"study\.compute\.(.*_seconds|workers|notes.*|(final_)?together)": "time and workers then",
    r"study\.nested\.seconds": "time then",
    r"study\.(trials|finalists)\.\d+\.(seconds|step_ms|clip_ms)": "time then",
    r"study\.trials\.\d+\.(curve\..*|number)": "the course of trials, which are not trained again",
    r"study\.(trials|finalists)\.\d+\.scores\.(\d+\.)?fold_f1": "of groups whose subjects only "
    "training tells",
    r"study\.((trials|finalists)\.\d+|ensemble|nested)\.scores\.(\d+\.)?own\..*": "metrics of "
    "the user's own, of predictions that only training gives",
    r"study\.nested\.scores\.\d+\.fold_f1": "of groups whose subjects only training tells",
    r"study\.finalists\.\d+\.(learning|hindsight)\..*": "losses of trainings, and looking back at "
    "them; the winner's losses follow from training it",
    r"study\.(ensemble_)?export\.(max_difference|clip_ms)": "measured at the export",
    r"study\.looks\..*": "of the exported network, which was trained on all clips",
    r"literature\..*": "what papers state",
}
"""Numbers that may be taken at the report's word, and why. Some of them still have to agree."""


def contradictions(report: Report) -> list[tuple[FieldPath, _Number, _Number | None]]:
    """Return each number that is not what follows from the others: where, stored, followed.

    Nothing (None) follows where the report holds what it should not. What an older version did
    not write down yet contradicts nothing.
    """
    return [
        (place, stored, found)
        for place, stored, found in differing(report, followed(report))
        if found is None or not math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-9)
    ]


def differing(
    report: Report, other: Report
) -> Iterator[tuple[FieldPath, _Number, _Number | None]]:
    """Yield the numbers of a report that are others in another one: where, here, there."""
    there = dict(numbers_of(other.model_dump(mode="json")))
    for place, stored in numbers_of(report.model_dump(mode="json")):
        if there.get(place) != stored:
            yield place, stored, there.get(place)


def numbers_of(tree: Any, place: FieldPath = ()) -> Iterator[tuple[FieldPath, _Number]]:
    """Yield every number of a tree and where it stands; true and false are none."""
    match tree:
        case bool():
            return
        case int() | float():
            yield place, tree
        case dict():
            for key, value in tree.items():
                yield from numbers_of(value, (*place, str(key)))
        case list() | tuple():
            for index, value in enumerate(tree):
                yield from numbers_of(value, (*place, str(index)))


def why_taken(place: FieldPath) -> str:
    """Return why a number may be taken at the report's word; empty where it follows from others.

    >>> why_taken(("study", "compute", "workers")), why_taken(("answer", "uf1", "mean"))
    ('time and workers then', '')
    """
    name = ".".join(place)
    return next((why for known, why in TAKEN.items() if re.fullmatch(known, name)), "")

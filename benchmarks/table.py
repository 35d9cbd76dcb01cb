"""The table of `tabular`: out-of-fold probabilities of small networks, packed into a small file.

Shapes speak of C configurations, R seeds, F schemes, E epochs, N clips, S subjects, K classes and
as many folds as LOSO has. Of the last seed only LOSO is there, and of a table that is still being
measured only a part; what is missing is not a number.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mer_nas.errors import DataError
from mer_nas.evaluation.metrics import Counts, Values, uf1

SCHEMES = ("4", "8", "17", "loso")
EPOCHS = (10, 20, 30)
LOSO, LAST = SCHEMES.index("loso"), len(EPOCHS) - 1
PARTS = 4000
"""Probabilities are kept as whole numbers of so many parts, those of all classes but the last."""
_MISSING = 65535
FILE = Path(__file__).with_name("tabular.npz")

Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Table:
    """What was measured."""

    said: Values
    """(C, R, F, E, N, K), probabilities; not a number where a clip was not asked about."""
    seconds: Values
    """(C, R, F, E, folds), of processor time until so many epochs were trained."""
    held: Whole
    """(R, F, N), the fold that holds a clip out, in the order in which folds are trained."""
    labels: Whole
    """(N,)"""
    subjects: Whole
    """(N,), numbers below S."""
    facts: tuple[dict[str, Any], ...]
    """Of each configuration: its weights and multiply-accumulates, what was drawn, all of it."""
    made: dict[str, Any]
    """Where and of what it was measured."""
    truth: int = LOSO
    """The scheme that true scores are of; another while there is little of LOSO."""

    @classmethod
    def of(cls, lines: Iterable[dict[str, Any]]) -> Self:
        """Return the lines of `measuring` as a table."""
        made, *rest = lines
        facts = [line for line in rest if "tree" in line]
        folds = [line for line in rest if "of" in line]
        labels, subjects = np.array(made.pop("labels")), np.array(made.pop("subjects"))
        sizes = (len(facts), 3, len(SCHEMES), len(EPOCHS))
        said = np.full((*sizes, len(labels), len(made["classes"])), np.nan, dtype=np.float32)
        seconds = np.full((*sizes, subjects.max() + 1), np.nan, dtype=np.float32)
        held = np.full((3, len(SCHEMES), len(labels)), -1)
        for line in folds:
            scheme = SCHEMES.index(line["scheme"])
            place = line["of"], line["seed"], scheme
            said[place][:, line["clips"]] = line["said"]
            seconds[place][:, line["fold"]] = line["seconds"]
            held[line["seed"], scheme, line["clips"]] = line["fold"]
        return cls(said, seconds, held, labels, subjects, tuple(facts), made)

    @classmethod
    def load(cls, file: Path = FILE) -> Self:
        """Return the table that `save` wrote, or that `measuring` is writing (.jsonl).

        Raises:
            DataError: There is no such file.
        """
        if not file.is_file():
            raise DataError(
                f"{file}: there is no table; `python benchmarks/tabular.py measure` makes one"
            )
        if file.suffix == ".jsonl":
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
            return cls.of([json.loads(line) for line in lines])
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored}
        known = arrays["said"] != _MISSING
        first = np.where(known, arrays["said"] / PARTS, np.nan)
        said = np.concatenate([first, 1 - first.sum(-1, keepdims=True)], axis=-1)
        return cls(
            said.astype(np.float32),
            arrays["seconds"],
            arrays["held"].astype(np.int64),
            arrays["labels"].astype(np.int64),
            arrays["subjects"].astype(np.int64),
            tuple(json.loads(str(arrays["facts"]))),
            json.loads(str(arrays["made"])),
        )

    def save(self, file: Path) -> None:
        """Write the table."""
        parts = np.rint(self.said[..., :-1] * PARTS)
        np.savez_compressed(
            file,
            said=np.where(np.isnan(parts), _MISSING, parts).astype(np.uint16),
            seconds=self.seconds.astype(np.float32),
            held=self.held.astype(np.int8),
            labels=self.labels.astype(np.int8),
            subjects=self.subjects.astype(np.int8),
            facts=np.array(json.dumps(self.facts)),
            made=np.array(json.dumps(self.made)),
        )

    @cached_property
    def counts(self) -> Counts:
        """Confusions (C, R, F, E, S, K, K); of no use where `whole` is false."""
        return self.counted(self.said)

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        """Whether all clips were asked about, (C, R, F)."""
        return np.asarray(~np.isnan(self.said[..., 0]).any((-1, -2)))

    @cached_property
    def scores(self) -> Values:
        """Pooled UF1, (C, R, F, E); not a number where something is missing."""
        return np.where(self.whole[..., None], uf1(self.counts.sum(-3)), np.nan)

    @cached_property
    def cost(self) -> Values:
        """Processor seconds of all folds, (C, R, F, E)."""
        return np.where(self.whole[..., None], np.nansum(self.seconds, axis=-1), np.nan)

    def counted(self, probabilities: Values) -> Counts:
        """Return the confusions (..., S, K, K) of answers (..., N, K)."""
        classes = probabilities.shape[-1]
        cells = (self.subjects * classes + self.labels) * classes
        size = (self.subjects.max() + 1) * classes**2
        flat = np.nan_to_num(probabilities).argmax(-1).reshape(-1, len(cells)) + cells
        rows = size * np.arange(len(flat))[:, None]
        counts = np.bincount((flat + rows).ravel(), minlength=size * len(flat))
        return counts.reshape(*probabilities.shape[:-2], -1, classes, classes)

    def describe(self) -> str:
        """Return in two lines what is there."""
        whole = self.whole.sum(0).T
        there = "; ".join(
            f"{name} {', '.join(str(int(count)) for count in seeds)}"
            for name, seeds in zip(SCHEMES, whole, strict=True)
        )
        hours = np.nansum(self.seconds[:, :, :, LAST]) / 3600
        return (
            f"{len(self.facts)} configurations, {len(self.labels)} clips of "
            f"{self.subjects.max() + 1} subjects; {hours:.2f} hours of one core of "
            f"{self.made['machine']}\nwhole by scheme and seed: {there}"
        )


def spearman(one: Values, other: Values) -> float:
    """Return the correlation of ranks."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)

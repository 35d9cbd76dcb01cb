"""`predictions.parquet`: every out-of-fold prediction of a study, a row a clip.

A copy of the ledger in columns for other programs, made anew whenever the ledger has grown and
read back by nothing here. The ledger stays the only store: it is appended to safely, and has every
digit of the probabilities, which have single precision in the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mer_nas.errors import StudyError
from mer_nas.evaluation.results import FoldResult
from mer_nas.files import naming
from mer_nas.search.ledger import read

if TYPE_CHECKING:  # pyarrow takes a quarter of a second: it is imported where a study is written
    import pyarrow

_BYTES = b"mer-nas ledger bytes"

_OF_FOLD = ("candidate", "repetition", "seed", "protocol", "fold", "epochs", "data", "code")
"""Columns with one value for all clips of a fold, called as in `FoldResult`."""
_OF_CLIP = {
    "subject": "clip_subjects",
    "clip": "clips",
    "label": "labels",
    "predicted": "predicted",
}


def _every(_: FoldResult) -> bool:
    return True


def write_predictions(
    ledger: Path, classes: Sequence[str], file: Path, wanted: Callable[[FoldResult], bool] = _every
) -> bool:
    """Bring `file` up to the ledger; return whether there was anything to do.

    Args:
        ledger: Where the predictions are kept.
        classes: Names of the classes; the column of a probability is called after its class.
        file: What is replaced, in one step.
        wanted: Which folds are copied; by default all that the ledger holds.

    Raises:
        StudyError: The ledger is damaged.
    """
    from pyarrow import parquet

    size = ledger.stat().st_size
    if _made_from(file) == size:
        return False
    table = _table(ledger, classes, wanted).replace_schema_metadata({_BYTES: str(size).encode()})
    part = file.with_name(f".{file.name}.part")
    with naming(file):
        try:
            parquet.write_table(table, part, compression="zstd")
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return True


def _made_from(file: Path) -> int | None:
    """Return how many bytes of ledger a file was made from; none where that cannot be read."""
    import pyarrow
    from pyarrow import parquet

    try:
        metadata = parquet.read_schema(file).metadata or {}
        return int(metadata.get(_BYTES, b"-1"))
    except (OSError, ValueError, pyarrow.ArrowException):
        return None


def _table(
    ledger: Path, classes: Sequence[str], wanted: Callable[[FoldResult], bool]
) -> pyarrow.Table:
    import pyarrow

    results = list(filter(wanted, read(ledger)))
    columns = {
        name: _column([getattr(result, name) for result in results for _ in result.clips])
        for name in _OF_FOLD
    }
    for name, source in _OF_CLIP.items():
        columns[name] = _column([value for result in results for value in getattr(result, source)])
    rows = [row for result in results for row in result.probabilities]
    if any(len(row) != len(classes) for row in rows):
        raise StudyError(f"{ledger}: holds folds of other classes than {', '.join(classes)}")
    probabilities = np.array(rows, dtype=np.float32).reshape(-1, len(classes))
    for index, name in enumerate(classes):
        columns[f"p_{name}"] = pyarrow.array(probabilities[:, index])
    return pyarrow.table(columns)


def _column(values: Sequence[str | int]) -> pyarrow.Array:
    import pyarrow

    if values and isinstance(values[0], int):
        return pyarrow.array(values, pyarrow.int64())
    return pyarrow.array(values, pyarrow.string()).dictionary_encode()

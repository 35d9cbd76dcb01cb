"""A study as tables: its trials and its folds as data frames, and Optuna's own study."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import optuna
import pandas as pd

from mer_nas.config.base import Tree
from mer_nas.search.ledger import read
from mer_nas.search.storage import open_study
from mer_nas.study.folder import StudyFolder
from mer_nas.study.state import StudyState

TRIAL = ("number", "outcome", "origin", "uf1", "reason", "parameters", "macs", "folds", "seconds",
         "began", "ended", "candidate")  # fmt: skip
"""The columns that every table of trials has; `params_NAME` follow, one a parameter."""
FOLD = ("candidate", "repetition", "protocol", "fold", "subjects", "clips", "correct", "epochs",
        "loss", "seconds")  # fmt: skip
"""The columns of a table of folds."""


def optuna_study(folder: Path) -> optuna.Study:
    """Return the Optuna study of a search, in its storage.

    Raises:
        StudyError: The storage cannot be opened, or does not hold it.
    """
    found = StudyFolder(folder)
    return open_study(found.storage(found.settings().study), found.origin().optuna)[0]


def trials_frame(folder: Path) -> pd.DataFrame:
    """Return the trials that a search has ended, a row each, oldest first; touch nothing.

    Times are UTC. `uf1` is of complete trials alone; `folds` counts those that were trained,
    `seconds` what they took.

    Raises:
        StudyError: A file of the study is damaged, or its storage is lost.
    """
    found = StudyFolder(folder)
    state = StudyState(found, found.origin(), looking=True)
    rows = [_trial(state, trial) for trial in state.trials] if state.told_of else []
    names = sorted({name for row in rows for name in row} - set(TRIAL))
    return pd.DataFrame(rows, columns=[*TRIAL, *names])


def ledger_frame(folder: Path) -> pd.DataFrame:
    """Return every finished fold of a study, a row each, in the order in which they came.

    `predictions.parquet` in its folder has every clip.

    Raises:
        StudyError: There is no ledger, or it is damaged.
    """
    rows = [
        {
            "candidate": result.candidate,
            "repetition": result.repetition,
            "protocol": result.protocol,
            "fold": result.fold_name,
            "subjects": ", ".join(result.subjects),
            "clips": len(result.clips),
            "correct": sum(a == b for a, b in zip(result.labels, result.predicted, strict=True)),
            "epochs": result.epochs,
            "loss": result.losses[-1] if result.losses else None,
            "seconds": result.seconds,
        }
        for result in read(StudyFolder(folder).ledger)
    ]
    return pd.DataFrame(rows, columns=list(FOLD))


def _trial(state: StudyState, trial: optuna.trial.FrozenTrial) -> Tree:
    known = trial.user_attrs
    key, complete = known.get("candidate", ""), known["outcome"] == "complete"
    folds = state.folds_of(trial)
    idle = known.get("idle", ())
    return {
        "number": trial.number,
        "outcome": known["outcome"],
        "origin": state.origin_of(trial),
        "uf1": trial.values[0] if complete else None,
        "reason": known.get("reason", ""),
        "parameters": known.get("parameters"),
        "macs": known.get("macs"),
        "folds": len(folds),
        "seconds": sum(result.seconds for result in folds),
        "began": _utc(trial.datetime_start),
        "ended": _utc(trial.datetime_complete),
        "candidate": key,
        **{f"params_{name}": v for name, v in trial.params.items() if name not in idle},
    }


def _utc(moment: datetime | None) -> pd.Timestamp | None:
    """Return a moment that Optuna tells by this machine's clock."""
    return None if moment is None else pd.Timestamp(moment.astimezone()).tz_convert("UTC")

"""What lies where a study was looked for, or is to lie, in words for a message."""

from __future__ import annotations

from pathlib import Path

from mer_nas.export.manifest import FILE as EXPORT
from mer_nas.report.files import JSON as REPORT
from mer_nas.study.evaluate import FILE as EVALUATION
from mer_nas.study.leaderboard import FILE as LEADERBOARD
from mer_nas.wording import some

KNOWN = {
    EVALUATION: "an evaluation, which `mer-nas compare` takes",
    LEADERBOARD: "a leaderboard, which `mer-nas compare` takes",
    EXPORT: "an export, which `mer-nas predict` takes",
    "reproduced.json": "what `mer-nas reproduce` trained",
    REPORT: "a report without its study, which `mer-nas compare` and `mer-nas reproduce` take",
    "settings.yaml": "a study that has lost its origin.json",
}
"""What a folder is, by the file that says so; what comes first counts."""


def what_lies(path: Path) -> str:
    """Return what lies at a path; empty where there is nothing.

    Of what belongs to a study it also says to which.
    """
    if path.is_symlink() and not path.exists():
        return f"a link that leads nowhere, to {path.readlink()}"
    if not path.exists():
        return ""
    if (path / "origin.json").is_file():
        return "a study"
    of = next((parent for parent in path.parents if (parent / "origin.json").is_file()), None)
    if path.is_dir():
        kind = next((text for name, text in KNOWN.items() if (path / name).is_file()), "")
        inside = [] if kind else sorted(str(file.parent) for file in path.glob("*/origin.json"))
        if inside:
            return f"a folder of studies: {some(inside)}"
        return _of(kind or "a folder", of) if kind or of else "a folder without a study"
    if not path.is_file():
        return "neither a file nor a folder"
    return _of("a file" if of or path.name not in KNOWN else KNOWN[path.name], of)


def _of(kind: str, study: Path | None) -> str:
    before, comma, after = kind.partition(",")
    return kind if study is None else f"{before} of the study {study}{comma}{after}"

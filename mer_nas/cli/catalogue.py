"""Rows of `mer-nas list` for which networks are built, kept until what they follow from changes.

Building what the spaces offer takes torch and seconds. Its outcome is kept in the user's own
folder under a digest of the code of this package and of the presets, and made anew where that is
another.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from typing import Any

from mer_nas import files
from mer_nas.config import presets
from mer_nas.errors import StudyError

Row = dict[str, Any]
FOLDER = "catalogue"
"""Where rows are kept, in the user's own folder; a file for each kind of them."""


def kept(kind: str, make: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a kind as they were made by this very code, or make them.

    Args:
        kind: Names the file that they are kept in.
        make: Makes rows that follow from the code and the presets alone.
    """
    of = _digest()
    with suppress(OSError, StudyError, KeyError, TypeError):  # what cannot be read is made anew
        tree = files.read_json(files.own_folder(FOLDER) / f"{kind}.json", StudyError)
        if tree["of"] == of:
            return list(tree["rows"])
    rows = make()
    with suppress(OSError):  # whoever has no place of his own waits each time
        text = json.dumps({"of": of, "rows": rows})
        files.write(files.own_folder(FOLDER) / f"{kind}.json", text, mode=0o600)
    return rows


def _digest() -> str:
    """Return what stands for everything that rows follow from."""
    code = sorted(_code(resources.files("mer_nas")))
    spaces = [presets.find("space", name).read_text("utf-8") for name in presets.names("space")]
    return files.digest("\n".join([version("torch"), version("timm"), *code, *spaces]))


def _code(folder: Traversable) -> list[str]:
    """Return the digest of every file with code in a folder of the package."""
    found: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _code(entry)
        elif entry.name.endswith(".py"):
            found.append(f"{entry.name} {files.digest(entry.read_bytes())}")
    return found

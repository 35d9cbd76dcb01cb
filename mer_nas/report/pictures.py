"""Pictures as files of their own: the ending of the name says as what.

Text stays text in SVG and PDF, and the same picture always gives the same file.
"""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mer_nas.errors import ConfigError
from mer_nas.files import naming
from mer_nas.report.charts.canvas import STYLE, styled

ENDINGS = (".svg", ".png", ".pdf")


def check_picture(file: Path, word: str) -> None:
    """Refuse a file that cannot hold a picture, before anything is computed.

    Args:
        file: Where the picture shall lie.
        word: What named it on the command line: "--picture ", "out=".

    Raises:
        ConfigError: Its ending names no kind of picture, or its folder is missing.
    """
    if file.suffix.lower() not in ENDINGS:
        raise ConfigError(
            f"{word}{file}: ends in {file.suffix or 'nothing'}; "
            f"one of {', '.join(ENDINGS)} would be right"
        )
    if not file.parent.is_dir():
        raise ConfigError(f"{word}{file}: there is no folder {file.parent}")


def style(name: str) -> Any:
    """Return a context in which a picture is drawn and saved in the style of the report."""
    return styled({**STYLE, "svg.hashsalt": name})


def save(figure: Figure, file: Path, dpi: int = 160) -> None:
    """Write a picture without its date, so that files can be compared; PNG has none anyway."""
    date = {".svg": "Date", ".pdf": "CreationDate"}.get(file.suffix.lower())
    with naming(file):
        figure.savefig(file, dpi=dpi, metadata={date: None} if date else None)

"""Tables as rows of text, whatever file they are in, and where each row stands.

Every cell is text, as it would be typed: subjects such as "006" keep their zeros, a frame number
that Excel holds as 46.0 is "46", and an empty cell is "".
"""

from dataclasses import dataclass

from mer_nas.data.annotations.identity import plain


@dataclass(frozen=True)
class Grid:
    """The rows of one sheet."""

    rows: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    """Of each row, where it stands, for messages: "row 15", "line 16"."""
    said: str = ""
    """What is unusual about the file, though it can be read: "separated by semicolons"."""
    closed: bool = False
    """Whether no row may be longer than the header: in a csv a comma too many moves every cell."""


def header(text: str) -> str:
    """Return a header without what people type differently: case and blanks.

    >>> header("Onset Frame "), header("onsetframe")
    ('onsetframe', 'onsetframe')
    """
    return "".join(plain(text).split()).casefold()

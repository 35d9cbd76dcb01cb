"""Lines as long as the terminal is wide, broken between words.

A terminal breaks a long line in the middle of a word. Whatever is not a terminal gets each line
whole, for programs that read it.
"""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence

import click
from rich.cells import cell_len

_WORD = re.compile(r"(\s*)(`[^`]*`\S*|\S+)")
"""A word and the space before it; a command in backquotes is one word."""
_LABEL = re.compile(r" *\S{1,20} {2,}|\s*")
"""What stands before the text of a line, below which the text goes on."""
_COMMAND = re.compile(r" +\S.*? # .*")
"""A command with the reason for it, as `next:` lists them."""
_SHELL_WORD = re.compile(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+")
"""A word of a command."""
_LITTLE = "  "
"""Stands before a word that is too long to begin below the text."""
_GOES_ON = " \\"
"""What ends a line of a shell that goes on in the next one."""


def say(text: str, *, err: bool = False) -> None:
    """Print lines for a person."""
    width = room(err=err)
    click.echo(text if width is None else fitted(text, width), err=err)


def room(*, err: bool = False) -> int | None:
    """Return how many columns the terminal has that is written to; None where there is none."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows below one another, each column as wide as its longest cell.

    >>> print(columns([["clip", "label"], ["1", "surprise"]]))
    clip  label
    1     surprise
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def fitted(text: str, width: int) -> str:
    """Return text with its lines broken between words such that each fits, if its words do.

    >>> print(fitted("headline  UF1 at most 0.219 on new subjects", 30))
    headline  UF1 at most 0.219 on
              new subjects
    """
    return "\n".join(part for line in text.split("\n") for part in _parts(line, width))


def _parts(line: str, width: int) -> Iterator[str]:
    if cell_len(line) <= width:
        yield line
    elif _COMMAND.fullmatch(line):
        yield from commanded(line, width)
    else:
        yield from _broken(line, width)


def commanded(line: str, width: int) -> Iterator[str]:
    """Yield a command in lines that fit, if its words do, and that a shell reads as one.

    >>> print(*commanded("  mer-nas predict MODEL face.mp4 --onset 120", 30), sep="\\n")
      mer-nas predict MODEL \\
          face.mp4 --onset 120

    Args:
        line: The command, behind spaces that stay; a reason behind it comes first.
        width: Columns.
    """
    if cell_len(line) <= width:
        yield line
        return
    indent = line[: len(line) - len(line.lstrip())]
    command, reason_follows, reason = line.partition(" # ")
    if reason_follows:
        yield from _broken(f"{indent}# {reason}", width)
    first, *words = _SHELL_WORD.findall(command)
    part = indent + first
    for place, word in enumerate(words, start=1):
        end = "" if place == len(words) else _GOES_ON
        if cell_len(f"{part} {word}{end}") > width:
            yield part + _GOES_ON
            part = f"{indent}    {word}"
        else:
            part += f" {word}"
    yield part


def _broken(line: str, width: int) -> Iterator[str]:
    label = _LABEL.match(line)
    indent = " " * cell_len(label.group()) if label else ""
    part = ""
    for space, word in _WORD.findall(line):
        if part.strip() and cell_len(part + space + word) > width:
            yield part
            room = width - cell_len(word)
            part = (indent if len(indent) <= room else _LITTLE) + word
        else:
            part += space + word
    yield part

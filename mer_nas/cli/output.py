"""Standard output and standard error that nothing printed can break, and that break no terminal.

Names in files of others may hold what steers a terminal, or turns the order of letters round: it
is printed as an escape, whoever prints it. What draws on a terminal does so through `drawn`.
What an encoding has no letter for is printed as an escape, which JSON reads as the letter. Results
that cannot be written end the program, and it says why. Notes that cannot be written are dropped:
a search of days must not end because its log has no room or nobody reads it any more.
"""

import codecs
import errno
import io
import os
import re
import sys
from typing import Any, TextIO

from mer_nas.errors import system_said

ESCAPES = "mer-nas-escapes"
INTERRUPTED = 130
"""Exit status that shells give a program which Ctrl-C has ended: 128 + SIGINT."""
READER_GONE = 141
"""Exit status that shells give a program which wrote to a closed pipe: 128 + SIGPIPE."""


class Unwritable(Exception):
    """Standard output takes no more."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output: {system_said(cause)}")
        self.reader_gone = cause.errno == errno.EPIPE


class _Results(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise Unwritable(error) from None


class _Notes(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


class _Text(io.TextIOWrapper):
    """Prints texts as texts."""

    def write(self, text: str, /) -> int:
        super().write(harmless(text))
        return len(text)

    def draw(self, text: str) -> int:
        return super().write(text)


class _Drawing:
    """The same stream for what may steer the terminal."""

    def __init__(self, stream: _Text) -> None:
        self._stream = stream
        self.write = stream.draw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def drawn(stream: TextIO) -> Any:
    """Return a stream through which a terminal is steered; texts of others go through `harmless`.

    Args:
        stream: Standard output or standard error.
    """
    return _Drawing(stream) if isinstance(stream, _Text) else stream


def harmless(text: str) -> str:
    r"""Return a text with an escape in place of each letter that would steer a terminal.

    >>> harmless("a\x1b[2J\u202eb\n")
    'a\\u001b[2J\\u202eb\n'
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but for tab and line end, and those that turn or break lines."""


def guard() -> None:
    """Have this process print through streams of this kind."""
    codecs.register_error(ESCAPES, _escaped)
    sys.stdout = _guarded(sys.stdout, _Results)
    sys.stderr = _guarded(sys.stderr, _Notes)


def finish() -> None:
    """Bring to its place what was printed.

    Raises:
        Unwritable: Standard output does not take it.
    """
    sys.stdout.flush()
    sys.stderr.flush()


def _guarded(stream: TextIO | None, kind: type[io.FileIO]) -> TextIO:
    if stream is None:  # it was closed; a later file must not come to lie in its place
        return _text(kind(os.open(os.devnull, os.O_RDONLY), "w"), "utf-8")
    if not isinstance(stream, io.TextIOWrapper):  # a notebook's, or a test's
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if type(raw) is not io.FileIO:  # a console of Windows
        return _Text(stream.buffer, stream.encoding, ESCAPES, line_buffering=True)
    stream.flush()
    return _text(
        kind(stream.fileno(), "w", closefd=False), stream.encoding, lines=stream.line_buffering
    )


def _text(raw: io.FileIO, encoding: str, *, lines: bool = False) -> TextIO:
    return _Text(
        io.BufferedWriter(raw), encoding, errors=ESCAPES, line_buffering=lines, newline=None
    )


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return the letters that cannot be printed as JSON escapes them."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = (units[place : place + 2].hex() for place in range(0, len(units), 2))
    return "".join(f"\\u{code}" for code in codes), error.end

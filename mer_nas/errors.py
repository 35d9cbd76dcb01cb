"""Every error that a user can cause, and how its message is put together.

    MerNasError
    ├── ConfigError     a YAML file, a preset name or a key=value is wrong
    ├── Infeasible      a candidate breaks a rule of the grammar, a `require` or a `limits`
    ├── DataError       a data root is missing, incomplete or cannot be evaluated
    ├── StudyError      a study cannot be created, opened, resumed or extended
    ├── ExportError     an exported network does not do what the trained one does
    ├── TrainingFailed  what was asked for cannot be trained, whatever the reason
    └── Untrusted       somebody's file wants to act here, and the user has not agreed

A message says where, what was found there, and what would have been right. The command line prints
it as it is and exits with status 2, or 1 where training failed; every other exception is a bug and
keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MerNasError(Exception):
    """What a user can put right; its text is the whole message."""


class ConfigError(MerNasError):
    """A YAML file, a preset name or a `key=value` word is wrong."""


class Infeasible(MerNasError):
    """A candidate breaks a rule of the grammar, of its space, or a limit on its cost."""


class DataError(MerNasError):
    """A data set is missing, incomplete, or cannot be evaluated as asked."""


class StudyError(MerNasError):
    """A study cannot be created, opened, resumed or extended as asked."""


class ExportError(MerNasError):
    """An exported network differs from the trained one, or cannot be written."""


class TrainingFailed(MerNasError):
    """A candidate that was asked for cannot be trained; trials of a search may fail, and tell so.

    The command line ends with status 1, as for a search with a trial that failed.
    """


class Untrusted(MerNasError):
    """A file of somebody's wants to run code or to write elsewhere, and nobody agreed to it."""


def told(error: BaseException) -> str:
    """Return an exception of somebody's code in a line.

    >>> told(KeyError("late")), told(ZeroDivisionError())
    ("KeyError: 'late'", 'ZeroDivisionError')
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def system_said(error: BaseException) -> str:
    """Return what the system says against a file or a network, as a part of a sentence.

    >>> system_said(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).rstrip(".").lower()


def shown(value: object, most: int = 100) -> str:
    """Return a value as a message shows it: what is longer than `most` characters, cut.

    >>> shown("moe"), shown([0] * 900, most=10)
    ("'moe'", '[0, 0, 0, ...')
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that no `kind` is called `name`, list those there are, and guess what was meant.

    >>> unknown("space", "mo", ["moe", "moe"])
    "no space is called 'mo'; known: moe. Did you mean 'moe'?"
    """
    names = sorted(set(known))  # a point may stand in several spaces
    guess = get_close_matches(str(name)[:100], names, n=1, cutoff=0.5)
    hint = f". Did you mean {guess[0]!r}?" if guess else ""
    return f"no {kind} is called {shown(str(name))}; known: {', '.join(names) or 'none'}{hint}"

"""Commands as a shell reads them, to be pasted from a message or a report."""

import shlex
from pathlib import PurePath

TYPED = "(given from Python)"
"""What stands in a command for settings that no word can say."""


def command_line(*words: str | PurePath) -> str:
    """Return a line of a shell, in which a path is no option, whatever it is called.

    >>> command_line("mer-nas", "resume", PurePath("-my study"), "--anew")
    "mer-nas resume './-my study' --anew"
    """
    return shlex.join(
        f"./{word}" if isinstance(word, PurePath) and str(word).startswith("-") else str(word)
        for word in words
    )

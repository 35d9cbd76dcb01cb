"""What others wrote is data; what of it may act on this machine, its user has agreed to.

A report, an export or somebody else's study can name Python files to run, and places outside of
its folder to write to. Nothing of that happens unless the user agrees: by naming the space that
names the file, by `--trust` (`trust=True` in Python), or by an answer on a terminal. What was
agreed to is remembered by the SHA-256 of its content, in a file that this user alone can read, and
not asked again; what is altered is another thing, and asked again.

The settings of one's own studies are remembered in the same way when they are written, so a study
is one's own by what it says and not by where it lies. One's own are those that follow from one's
own words: going on with a study of somebody's makes it nobody else's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, Self

from mer_nas import files
from mer_nas.errors import ConfigError, Untrusted, shown

FOLDER = "trusted"
"""Where agreements are kept, in the user's own folder: a file each, named by what it is about."""


class Wish(NamedTuple):
    """Something that a file of somebody's wants to do on this machine."""

    digest: str
    """SHA-256 of the content that decides what it does."""
    text: str
    """What it is, in words."""

    @classmethod
    def to_run(cls, file: Path, content: bytes | None = None) -> Self:
        """Return the wish to run a Python file.

        Args:
            file: Where it lies.
            content: What was read of it; without, it is read.

        Raises:
            ConfigError: It cannot be read.
        """
        content = files.read_bytes(file, ConfigError) if content is None else content
        digest = files.digest(content)
        return cls(digest, f"run the Python file {file} (SHA-256 {digest})")


Answer = Callable[[str], bool]
"""Is told what is wished, one wish a line, and returns whether the user agrees."""

_answer: ContextVar[Answer] = ContextVar("answer", default=lambda _: False)
_agreed: set[str] = set()


@contextmanager
def asking(answer: Answer | bool) -> Iterator[None]:
    """Let `answer` decide on wishes within a `with` statement: one answer for all, or a question.

    False leaves it to whoever decided before.

    Raises:
        ConfigError: It is neither; a text such as "no" agrees to nothing.
    """
    if answer is False:
        yield
        return
    if answer is not True and not callable(answer):
        raise ConfigError(
            f"trust={shown(answer)}: True, False, or a function that is asked would be right"
        )
    token = _answer.set(answer if callable(answer) else lambda _: True)
    try:
        yield
    finally:
        _answer.reset(token)


def require(wishes: Iterable[Wish]) -> None:
    """Let what was agreed to pass, and ask about the rest.

    Raises:
        Untrusted: The user did not agree; nothing has been run or written.
    """
    new = [wish for wish in dict.fromkeys(wishes) if not known(wish.digest)]
    if not new:
        return
    text = "\n".join(f"  {_in_a_line(wish.text)}" for wish in new)
    if not _answer.get()(text):
        raise Untrusted(
            f"this needs your consent, because a file of somebody's asks for it:\n{text}\n"
            "look at it first; --trust (trust=True in Python) agrees, once and for all, to just "
            "this content"
        )
    for wish in new:
        agree(wish.digest, wish.text)


def known(digest: str) -> bool:
    """Return whether the user has agreed to this content, here or in an earlier process."""
    if digest in _agreed:
        return True
    with suppress(OSError):
        return (files.own_folder(FOLDER) / digest).is_file()
    return False


def agree(digest: str, text: str) -> None:
    """Remember that the user has agreed to this content.

    Args:
        digest: SHA-256 of it.
        text: What it was, for whoever looks into the folder.
    """
    _agreed.add(digest)
    with suppress(OSError):  # a home that cannot be written: it holds for this process
        files.write(files.own_folder(FOLDER) / digest, f"{digest}\n{text}\n", mode=0o600)


def to_reach(tree: object) -> Iterator[Wish]:
    """Yield the wishes to open paths of other machines that stand anywhere in a plain tree.

    To look whether `//host/x` exists, Windows logs its user in at that host; some systems mount a
    disk of a host that is named as `/net/host`.
    """
    if isinstance(tree, dict | list | tuple):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from to_reach(child)
    elif isinstance(tree, str) and tree.replace("\\", "/").startswith(("//", "/net/")):
        text = f"open {tree}, which may be on another machine"
        yield Wish(files.digest(text), text)


def name_files(named: Iterable[Path]) -> None:
    """Agree to run files that the user's own words name; those that are missing fail later."""
    for file in named:
        with suppress(ConfigError):
            wish = Wish.to_run(file)
            if not known(wish.digest):
                agree(*wish)


def _in_a_line(text: str) -> str:
    """Return a text that a path of somebody's, in it, cannot make look like several."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)

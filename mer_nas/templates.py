"""The templates of pages and texts: Jinja, where a name that means nothing is an error.

What a template is given is taken for a text and for nothing else: in HTML no tag is made of it,
and in Markdown no tag, link, picture, heading, list, row, cell or piece of code.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mer_nas.shell import command_line


@cache
def templates(package: str, *, html: bool) -> Environment:
    """Return the templates of a package, which are compiled once.

    Args:
        package: Where they lie, in its folder `templates`.
        html: Whether HTML is written; else Markdown.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=None if html else _marked,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )
    environment.filters |= {"shell": lambda word: line(command_line(Path(word)))}
    if not html:
        environment.filters |= {"code": code, "fenced": _fenced, "line": line}
    return environment


def text(said: str) -> Markup:
    r"""Return what people write as Markdown that shows just that, in a line.

    >>> str(text("prog_s | <b>*x*"))
    'prog_s \\| &lt;b&gt;\\*x\\*'
    """
    shown = str(escape(" ".join(_CONTROL.sub(" ", said).split())))
    return Markup(_BEGIN.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", shown)))


def code(said: object) -> Markup:
    """Return a piece of code within a line of Markdown."""
    shown = str(line(said))
    ticks = _ticks(shown, 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return Markup(f"{ticks}{pad}{shown}{pad}{ticks}")


def _fenced(shown: str) -> Markup:
    """Return YAML as a block of code."""
    ticks = _ticks(shown, 3)
    return Markup(f"{ticks}yaml\n{shown.strip()}\n{ticks}")


def line(said: object) -> Markup:
    """Return code as it is, in a line."""
    return Markup(_CONTROL.sub(" ", str(said)))


def _marked(value: Any) -> Any:
    return text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _ticks(shown: str, fewest: int) -> str:
    return "`" * max(fewest, *(len(run) + 1 for run in re.findall("`+", shown)), 0)


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_MARKS = re.compile(r"[\\`*|~$]|\](?=[(\[:]|$)|(?<![^\W_])_|_(?![^\W_])")
"""Signs that mean something anywhere: no `_` within a name, and no brackets but a link's."""
_BEGIN = re.compile(r"^(\d*)([-+=#.)](?=[-+=#.)\s]|$)|#)")
"""Signs that mean something at the beginning of a line."""

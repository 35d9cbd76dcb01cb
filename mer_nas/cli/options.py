"""What verbs share: words with completion, studies, and the options --json and --quiet."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from mer_nas import api
from mer_nas.config import keys, overrides, presets
from mer_nas.errors import MerNasError

GROUPS = keys.GROUPS
"""The groups of settings."""
_OPEN = ("space.architecture", "space.trainer")
"""What is each space's own."""


class Word(click.ParamType[str]):
    """A `key=value` word; completes keys at any depth, and values that are words."""

    name = "key=value"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what `incomplete` may become."""
        key, equals, _ = incomplete.partition("=")
        try:
            if equals:
                found = [f"{key}={value}" for value in _values(key)]
            else:
                found = list(_next(incomplete, ctx.params.get("words") or ()))
        except MerNasError:  # a space that cannot be read: its verb will say so
            found = []
        return _items(found, incomplete)


class Setting(click.ParamType[str]):
    """A key without a value, or the group of several."""

    name = "key"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what `incomplete` may become."""
        group = incomplete.partition(".")[0]
        inside = [key.name for key in keys.keys(group)] if group in GROUPS else []
        return _items([*GROUPS, *_level(inside, incomplete)], incomplete)


class StudyName(click.Path):
    """A study: a name under runs, or a folder."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the studies there are, and whatever else the shell finds."""
        names = [file.parent for file in Path("runs").glob("*/origin.json")]
        found = _items([*(path.name for path in names), *map(str, names)], incomplete)
        return found or super().shell_complete(ctx, param, incomplete)


class Planned(click.Command):
    """A verb that trains, and can say before what it would do: --plan, or --plan=full."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read --plan as --plan=short, so that it does not take the word behind it."""
        short = ["--plan=short" if word == "--plan" else word for word in args]
        return super().parse_args(ctx, short)


class Searching(Planned):
    """A verb whose help names the keys of its words."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of all keys, by group."""
        with formatter.section("Keys (mer-nas keys GROUP says what each does)"):
            formatter.write_dl(
                [
                    (f"{group}.", ", ".join(_level(map(_short, keys.keys(group)), "")))
                    for group in GROUPS
                ]
            )


def _short(key: keys.Key) -> str:
    return key.name.partition(".")[2]


def _items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in sorted(set(words)) if word.startswith(incomplete)]


def _values(key: str) -> Iterable[str]:
    """Return the values of a key that are words."""
    if key in api.GROUPS:
        return presets.names(key)
    if key == "point":
        trees = [presets.read("space", name) for name in presets.names("space")]
        return [
            each["name"]
            for tree in trees
            for of in ("points", "references")
            for each in tree.get(of, ())
        ]
    group = key.partition(".")[0]
    known = keys.keys(group) if group in GROUPS else ()
    return next((each.values for each in known if each.name == key), ())


def _next(incomplete: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the keys that a word may go on to, one level at a time."""
    if "." not in incomplete:
        yield from (f"{group}=" for group in api.GROUPS)
        yield from (f"{group}." for group in GROUPS)
        yield "point="
        return
    group = incomplete.partition(".")[0]
    known = [key.name for key in keys.keys(group)] if group in GROUPS else []
    if incomplete.startswith(tuple(f"{place}." for place in _OPEN)):
        space = overrides.parse([w for w in words if w.startswith("space=")]).plain.get("space")
        tree = {"space": presets.read("space", space or presets.DEFAULTS["space"])}
        known = list(_places(tree, ""))
    for name in _level(known, incomplete):
        yield f"{name}="
        if name in _OPEN or any(other.startswith(f"{name}.") for other in known):
            yield f"{name}."


def _level(names: Iterable[str], incomplete: str) -> Iterator[str]:
    """Yield the names that are as deep as what was typed."""
    return (name for name in names if name.count(".") == incomplete.count("."))


def _places(tree: Any, place: str) -> Iterator[str]:
    """Yield the keys of a plain tree, those of lists by their number."""
    pairs = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for name, inner in pairs:
        yield f"{place}{name}"
        yield from _places(inner, f"{place}{name}.")


words = click.argument("words", nargs=-1, type=Word())
"""Gives a verb any number of `key=value` words."""

study_folder = click.argument("study", type=StudyName())
"""Gives a verb the study that its first word names."""

plan = click.option(
    "--plan",
    type=click.Choice(["short", "full"]),
    metavar="[=full]",
    help="Print what would be done and how long, =full with every setting; prepare and train "
    "nothing.",
)
"""Gives a `Planned` verb the option --plan."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
"""Gives a verb the option --json."""

quiet = click.option("--quiet", "-q", is_flag=True, help="Print the result only.")
"""Gives a verb the option --quiet."""


def _decide(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.with_resource(api.asking(value))


trusting = click.option(
    "--trust",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_decide,
    help="Agree to what a file of somebody else's wants to run or to write elsewhere.",
)
"""Gives a verb the option --trust, for files of somebody else."""

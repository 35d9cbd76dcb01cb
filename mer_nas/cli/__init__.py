"""The command line: one verb a file, `key=value` words, one message for a user's mistake.

Exit status: 0 done, 1 a trial or an export failed or the results cannot be printed, 2 the user's
mistake, 130 interrupted, 141 nobody reads the results any more.
Results go to stdout, everything else to stderr.
"""

import atexit
import contextlib
import gc
import os
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import click

from mer_nas import __version__, api
from mer_nas.cli.lines import commanded, say
from mer_nas.cli.output import INTERRUPTED, READER_GONE, Unwritable, finish, guard
from mer_nas.errors import MerNasError, TrainingFailed, unknown
from mer_nas.files import refused
from mer_nas.search.interrupts import own_this_process


class _Help(click.HelpFormatter):
    """Breaks commands that are examples as a shell reads them, where a terminal is too narrow."""

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        width = self.width - self.current_indent
        super().write_text("\n\n".join(_fitting(part, width) for part in text.split("\n\n")))


def _fitting(paragraph: str, width: int) -> str:
    mark, *examples = paragraph.split("\n")
    if mark.strip() != "\b":
        return paragraph
    return "\n".join([mark, *(part for each in examples for part in commanded(each, width))])


class _Context(click.Context):
    """What a verb is called in."""

    formatter_class = _Help


class SubVerbs(click.Group):
    """Guesses what a misspelt verb meant."""

    context_class = _Context

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb, or None where there is none of this name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.context_class = _Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that the first word names."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            say(f"mer-nas: {unknown('verb', args[0], self.list_commands(ctx))}", err=True)
            ctx.exit(2)
        return super().resolve_command(ctx, args)


class _Verbs(SubVerbs):
    """Finds each verb in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs: the modules of `cli.verbs`."""
        package = import_module("mer_nas.cli.verbs")
        return sorted(module.name for module in iter_modules(package.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the verb, or None where there is none of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        self.add_command(import_module(f"mer_nas.cli.verbs.{cmd_name}").verb, cmd_name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; show a user's mistake as one message and keep the traceback of a bug."""
        try:
            _refuse_nowhere()
            with api.asking(_asked):
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # a question makes the second of the first
            say("interrupted", err=True)
            return ctx.exit(INTERRUPTED)
        except MerNasError as error:
            say(f"mer-nas: {error}", err=True)
            if isinstance(error, TrainingFailed):
                return ctx.exit(1)
        except OSError as error:
            if (said := refused(error)) is None:
                raise
            say(f"mer-nas: {said}", err=True)
        except ImportError as error:
            package = (error.name or "mer_nas").partition(".")[0]
            if package == "mer_nas":
                raise
            said = f"{package} cannot be loaded: {error}"
            right = "install it, or mer-nas anew, or make room in memory"
            say(f"mer-nas: {said}; {right}", err=True)
        except MemoryError as error:
            say(f"mer-nas: memory is short{f': {error}' if str(error) else ''}", err=True)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "mer-nas"
            say(f"{where}: {error.format_message()} See {where} --help.", err=True)
        return ctx.exit(2)


def _refuse_nowhere() -> None:
    """Refuse a working directory that was deleted: libraries end the process there unasked.

    Raises:
        MerNasError: It was.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise MerNasError(
            "the working directory is not there any more; `cd` to one that is"
        ) from None


def at_a_terminal() -> bool:
    """Return whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(wishes: str) -> bool:
    """Ask whoever sits in front of a terminal whether what somebody's file wishes may be done."""
    if not at_a_terminal():
        return False
    click.echo(f"A file of somebody's wants this machine to\n{wishes}", err=True)
    return click.confirm("Do you agree? It is remembered for just this content", err=True)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mer-nas")
def main() -> None:
    """Architecture search for micro-expression recognition.

    \b
    mer-nas search space=moe.yaml
    mer-nas search data=megc2019_flow data.root=DIR study=standard trainer=proxy
    """


def run() -> None:
    """Be the command `mer-nas`, and leave as soon as everything is said.

    Taking apart what was imported would keep the shell waiting for seconds more. Whatever asked to
    be told of the end still is: what is registered first is called last.
    """
    guard()
    own_this_process()
    # A study read back is millions of tuples without a cycle, and to look through them again and
    # again takes a quarter of the time of a report over thousands of trials.
    gc.set_threshold(200_000, 10, 10)
    status = 1

    def leave() -> None:
        with contextlib.suppress(Unwritable):  # said below, or its reader is gone
            finish()
        os._exit(status)

    atexit.register(leave)
    try:
        try:
            main(prog_name="mer-nas")
        finally:
            finish()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except Unwritable as error:
        if error.reader_gone:
            status = READER_GONE
        else:
            say(f"mer-nas: {error}", err=True)

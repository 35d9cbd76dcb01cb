"""What verbs share: `key=value` words with completion, and the options --json and --quiet."""

import click
from click.shell_completion import CompletionItem

from mer_nas import api

SETTINGS = ("trainer", "data", "study", "ray")
"""Groups whose settings are completed."""


class Word(click.ParamType[str]):
    """A `key=value` word; completes groups, their presets, and the settings of a group."""

    name = "key=value"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what `incomplete` may become."""
        group, equals, _ = incomplete.partition("=")
        if equals:
            known = api.presets(group) if group in api.GROUPS else ()
            words = [f"{group}={name}" for name in known]
        elif "." in group:
            of = group.partition(".")[0]
            words = [f"{of}.{key}=" for key in api.setting_names(of)] if of in SETTINGS else []
        else:
            words = [f"{name}=" for name in api.GROUPS] + [f"{name}." for name in SETTINGS]
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


words = click.argument("words", nargs=-1, type=Word())
"""Gives a verb any number of `key=value` words."""

study_folder = click.argument("study", type=click.Path())
"""Gives a verb the study that its first word names."""

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

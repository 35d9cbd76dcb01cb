"""`mer-nas completion`: the shell's half of completion."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def verb(shell: str) -> None:
    """Print the script that completes presets and settings in your shell.

    \b
    eval "$(mer-nas completion bash)"
    """
    from mer_nas.cli import main

    script = get_completion_class(shell)
    assert script is not None
    if shell == "bash":  # which would otherwise split words at the equals sign
        click.echo("COMP_WORDBREAKS=${COMP_WORDBREAKS//=}")
    click.echo(script(main, {}, "mer-nas", "_MER_NAS_COMPLETE").source())

"""`mer-nas report`: the report of a study, made anew from its storage and ledger."""

import click

from mer_nas.cli.lines import say
from mer_nas.cli.words import as_json, study_folder, trusting


@click.command()
@trusting
@study_folder
@as_json
def verb(study: str, as_json: bool) -> None:
    """Write report.html, report.json and report.md of a study anew; train nothing.

    \b
    mer-nas report runs/moe-synthetic-1
    """
    from mer_nas.cli.sessions import closing
    from mer_nas.study import find_study, rewrite_report

    folder = find_study(study)
    written = rewrite_report(folder)
    if as_json:
        click.echo(written.to_json(), nl=False)
    else:
        say(closing(written, folder))

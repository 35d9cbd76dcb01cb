"""`mer-nas report`: the report of a study, made anew from its storage and ledger."""

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import as_json, study_folder, trusting


@click.command()
@trusting
@study_folder
@as_json
def verb(study: str, as_json: bool) -> None:
    """Write report.html, report.json and report.md of a study anew; train nothing.

    \b
    mer-nas report runs/moe-synthetic-1
    """
    from mer_nas.cli.closing import closing

    found = api.load_study(study)
    written = found.write_report()
    if as_json:
        click.echo(written.to_json(), nl=False)
    else:
        say(closing(written, found.folder))

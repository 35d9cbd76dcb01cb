"""`mer-nas watch`: the page of a study as it grows."""

import os
import threading
from contextlib import suppress

import click

from mer_nas import api
from mer_nas.cli.lines import say
from mer_nas.cli.options import study_folder, trusting


@click.command()
@trusting
@study_folder
@click.option("--port", type=int, default=0, help="Port to listen on; by default a free one.")
def verb(study: str, port: int) -> None:
    """Serve the report of a study as it grows, to this machine alone; Ctrl-C ends it.

    Nothing of the study is touched: it may be running, finished, or somebody else's.

    \b
    mer-nas watch runs/moe-synthetic-1
    mer-nas watch runs/moe-synthetic-1 --port 8123
    # then, on your own machine, where the same address is opened:
    ssh -N -L 8123:127.0.0.1:8123 HOST
    """
    from mer_nas.search.interrupts import interruptible

    with suppress(KeyboardInterrupt), interruptible(), api.load_study(study).watch(port) as watch:
        if hasattr(os, "nice"):
            os.nice(10)  # the study has the processor first
        say(watch.address)
        tunnel = f"ssh -N -L {watch.port}:127.0.0.1:{watch.port} HOST"
        say(
            f"whoever knows it and is on this machine, or behind `{tunnel}`, reads the page; "
            "Ctrl-C ends it",
            err=True,
        )
        threading.Event().wait()

"""`python -m mer_nas.cli`: the command line without its entry point."""

from mer_nas.cli import run

run()

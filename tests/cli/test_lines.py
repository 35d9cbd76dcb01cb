"""Lines on a terminal break between words; commands and paths stay whole."""

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from mer_nas.cli import main
from mer_nas.cli.lines import fitted
from mer_nas.cli.verbs import data

ROOT = Path(__file__).parents[2]
PATH = "/a/very/long/path/that/no/terminal/of/this/width/would/hold/in/one/line/report.html"
CLOSING = f"""\
headline  UF1 at most 0.219 [0.000, 0.583] on new subjects: 0.229 less at least 0.010
          corrected: UF1 0.205 [0.000, 0.341], UAR 0.221 [0.000, 0.605], accuracy 0.284
report    {PATH}
everything lies in runs/s; Ctrl-C stops, `mer-nas resume 'runs/my study'` goes on from there
这些 数据 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多 很多
next:
  mer-nas evaluate space=runs/s/best.yaml data=./data.yaml study.folds=loso  # measure the winner
"""


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_longer_than_the_terminal_but_for_what_is_one_word(width: int) -> None:
    for line in fitted(CLOSING, width).splitlines():
        words = re.findall(r"`[^`]*`\S*|\S+", line)
        goes_on = line.endswith(" \\")
        assert cell_len(line) <= width or len(words) <= 2 + goes_on, line


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_no_word_is_lost_or_torn(width: int) -> None:
    fits = fitted(CLOSING, width)
    assert sorted(fits.replace(" \\\n", "\n").split()) == sorted(CLOSING.split())
    assert "`mer-nas resume 'runs/my study'`" in fits
    assert PATH in fits


def test_a_word_that_is_too_long_to_begin_below_its_text_begins_further_left() -> None:
    said = fitted("source    as doi:10.3724/SP.J.1249.2024.06756 has it", 35)
    assert said.splitlines() == [
        "source    as",
        "  doi:10.3724/SP.J.1249.2024.06756",
        "          has it",
    ]


def test_a_shell_reads_a_command_in_several_lines_as_the_one_it_was() -> None:
    command = "  mer-nas resume 'runs/my study' study.trials=60 ray.workers=4"
    broken = fitted(f"{command}  # search on", 40)
    assert broken.splitlines()[0] == "  # search on"
    assert shlex.split(broken.replace("\\\n", ""), comments=True) == shlex.split(command)
    assert max(map(len, broken.splitlines())) <= 40


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_of_any_help_is_longer_than_the_terminal(
    width: int,
) -> None:
    verbs = main.list_commands(click.Context(main))
    asked = [[], *([verb] for verb in verbs), *(["data", verb] for verb in data.verb.commands)]
    for words in asked:
        told = CliRunner().invoke(main, [*words, "--help"], terminal_width=width)
        for line in told.stdout.splitlines():
            assert cell_len(line) <= width, (words, line)


def test_what_fits_is_left_as_it_is() -> None:
    table = "   a    b\n1  2 3\n\n  x"
    assert fitted(table, 20) == table


def test_what_goes_on_does_so_below_its_text() -> None:
    said = fitted("headline  UF1 at most 0.219 on new subjects", 30)
    assert said == "headline  UF1 at most 0.219 on\n          new subjects"


def test_a_terminal_is_given_lines_that_fit_and_a_pipe_whole_ones() -> None:
    words = [sys.executable, "-m", "mer_nas.cli", "check", "space=nowhere"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "40"}
    piped = subprocess.run(words, capture_output=True, text=True, env=environment).stderr
    master, slave = pty.openpty()
    subprocess.run(words, stderr=slave, env=environment)
    shown = os.read(master, 10_000).decode().replace("\r\n", "\n")
    os.close(master)
    os.close(slave)
    assert piped.count("\n") == 1
    assert shown.split() == piped.split()
    assert max(map(len, shown.splitlines())) <= 40

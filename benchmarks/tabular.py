"""Forty-two small networks, measured once at several fidelities, and what replays say of them.

    python benchmarks/tabular.py measure data.root=DIR [hours=8] [file=runs/tabular.jsonl]
    python benchmarks/tabular.py pack [file=runs/tabular.jsonl]
    python benchmarks/tabular.py fidelities [table=benchmarks/tabular.npz]
    python benchmarks/tabular.py ensembles [scheme=loso] [epochs=30] [pool=42] [table=...]
    python benchmarks/tabular.py final [table=...]
    python benchmarks/tabular.py search [studies=20] [scheme=...] [table=...]

`measure` draws configurations from `tabular.yaml`, the blocks of all spaces in networks of at most
1.5 million multiply-accumulates, and trains each on the public flow images (data=megc2019_flow) in
4, 8 and 17 groups of subjects and subject by subject (LOSO), with two seeds, LOSO with a third;
every seed groups the subjects anew. 30 epochs are trained, and the held-out clips asked about
after 10, 20 and 30 of them. It takes about eight hours of one core, goes on where it was, and
writes a line a fold; `pack` makes the small file of it that the replays read. Any of them also
reads the lines of an unfinished measurement: table=runs/tabular.jsonl; with truth=4, what it calls
true is of 4 groups, which are measured first, in place of LOSO.

`fidelities`: what each scheme and number of epochs costs a candidate, in seconds of one core;
the rank correlation of its pooled UF1, one seed at a time, with that of LOSO after 30 epochs, mean
of all seeds (of which its own training is a part where it is LOSO itself), and of the other seeds
alone; how far the candidate that it would choose lies above the mean of all, under LOSO with the
other seeds.

`ensembles`: what each rule hands over that chooses among `pool` candidates by one scheme and
epoch: trained networks in it; the UF1 by which it chose; that corrected by BBC-CV over subjects,
the choice repeated in every draw; the true score: chosen on half of the subjects, asked about the
other half under LOSO by networks of other seeds, both halves pooled, 20 splits; by how much that
lies above the best one (standard deviation over splits), and in how many splits it does. A few
seeds of the best one are as much work as that many members; of three, one seed chose.

`final`: the best three of twenty candidates in 8 groups race under LOSO (see `finals.py`): folds
trained, their share of those without a race, how often the winner is the same, and its true score.

`search`: whole searches, each with one half of the subjects, asked about the other (see
`searching.py`), after shares of the core-minutes in which the first plan, which was the default,
has tried all configurations and trained its finalists: complete candidates, those per core-hour,
and the true score of each rule, with the standard error over studies. Plans measure in 8 groups,
with 30 epochs, draw at random and have the bootstrap pruner where they do not say otherwise; with
scheme=4, all of them measure in 4 groups.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import combining
import fidelities
import finals
import measuring
import searching
from table import EPOCHS, FILE, SCHEMES, Table

from mer_nas.errors import MerNasError, unknown

COMMANDS = ("measure", "pack", "fidelities", "ensembles", "final", "search")
KEYS = ("hours", "file", "table", "scheme", "epochs", "pool", "studies", "truth")
"""Words of this benchmark's own; all others are settings."""


def main(words: list[str]) -> None:
    """Measure, or replay."""
    command, *rest = words or ["nothing"]
    if command not in COMMANDS:
        sys.exit(f"{unknown('command', command, COMMANDS)}\n\n{__doc__}")
    own = dict(word.split("=", 1) for word in rest if word.split("=")[0] in KEYS)
    settings = [word for word in rest if word.split("=")[0] not in KEYS]
    file = Path(own.get("file", "runs/tabular.jsonl"))
    try:
        match command:
            case "measure":
                measuring.measure(settings, file, float(own.get("hours", "8")))
            case "pack":
                Table.load(file).save(FILE)
                print(f"{FILE}: {FILE.stat().st_size / 1e6:.2f} MB")
            case _:
                replay(command, own)
    except MerNasError as error:
        sys.exit(str(error))


def replay(command: str, own: Mapping[str, str]) -> None:
    """Print what one replay says of the table."""
    truth = SCHEMES.index(own.get("truth", "loso"))
    table = replace(Table.load(Path(own.get("table", FILE))), truth=truth)
    print(table.describe())
    scheme = SCHEMES.index(own.get("scheme", SCHEMES[truth]))
    epoch = EPOCHS.index(int(own.get("epochs", EPOCHS[-1])))
    replays: Mapping[str, Callable[[], Iterator[str]]] = {
        "fidelities": lambda: fidelities.lines(table),
        "ensembles": lambda: combining.lines(
            table, scheme, epoch, int(own.get("pool", len(table.facts)))
        ),
        "final": lambda: finals.lines(table),
        "search": lambda: searching.lines(
            table, int(own.get("studies", searching.STUDIES)), own.get("scheme", "")
        ),
    }
    for line in replays[command]():
        print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

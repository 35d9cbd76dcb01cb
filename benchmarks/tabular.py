"""Forty-eight small networks, measured once at several fidelities, and what replays say of them.

    python benchmarks/tabular.py measure data.root=DIR [hours=8] [file=runs/tabular.jsonl]
    python benchmarks/tabular.py pack [file=runs/tabular.jsonl]
    python benchmarks/tabular.py fidelities [table=benchmarks/tabular.npz]

`measure` draws configurations from `tabular.yaml`, the blocks of all spaces in networks of at most
1.5 million multiply-accumulates, and trains each on the public flow images (data=megc2019_flow) in
4, 8 and 17 groups of subjects and subject by subject (LOSO), with two seeds, LOSO with a third;
every seed groups the subjects anew. 30 epochs are trained, and the held-out clips asked about
after 10, 20 and 30 of them. It takes about eight hours of one core, goes on where it was, and
writes a line a fold; `pack` makes the small file of it that the replays read. Any of them also
reads the lines of an unfinished measurement: table=runs/tabular.jsonl.

`fidelities`: what each scheme and number of epochs costs a candidate, in seconds of one core;
the rank correlation of its pooled UF1, one seed at a time, with that of LOSO after 30 epochs, mean
of all seeds (of which its own training is a part where it is LOSO itself), and of the other seeds
alone; how far the candidate that it would choose lies above the mean of all, under LOSO with the
other seeds.
"""

import sys
from pathlib import Path

import fidelities
import measuring
from table import FILE, Table

KEYS = ("hours", "file", "table")
"""Words of this benchmark's own; all others are settings."""


def main(words: list[str]) -> None:
    """Measure, or replay."""
    own = dict(word.split("=", 1) for word in words[1:] if word.split("=")[0] in KEYS)
    settings = [word for word in words[1:] if word.split("=")[0] not in KEYS]
    file = Path(own.get("file", "runs/tabular.jsonl"))
    match words[0]:
        case "measure":
            measuring.measure(settings, file, float(own.get("hours", "8")))
        case "pack":
            Table.load(file).save(FILE)
            print(f"{FILE}: {FILE.stat().st_size / 1e6:.2f} MB")
        case "fidelities":
            table = Table.load(Path(own.get("table", FILE)))
            print(table.describe())
            print(*fidelities.lines(table), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])

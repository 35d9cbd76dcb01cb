"""A published design learns the embedded data: the whole way from rendered faces to pooled UF1."""

import json
import subprocess
import sys
from pathlib import Path

SEEDS = (0, 1, 2)


def test_prog_s_meets_unseen_subjects_with_uf1_of_085_on_each_of_three_seeds(here: Path) -> None:
    command = [sys.executable, "-m", "mer_nas.cli", "evaluate", "point=prog_s", "study.folds=loso"]
    started = [  # all at once: the machine has more than one core
        subprocess.Popen(
            [*command, "--json", "--quiet", f"study.seed={seed}", "trainer.device=cpu"],
            cwd=here / _folder(here, seed),
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in SEEDS
    ]
    found = [json.loads(process.communicate()[0]) for process in started]
    assert [one["protocol"] for one in found] == ["LOSO"] * 3
    assert min(one["uf1"] for one in found) >= 0.85


def _folder(here: Path, seed: int) -> str:
    (here / str(seed)).mkdir()
    return str(seed)

"""A published design learns the embedded data: the whole way from rendered faces to pooled UF1."""

import json
import subprocess
import sys
from pathlib import Path


def test_prog_s_meets_unseen_subjects_with_uf1_of_085_on_the_weakest_of_three_seeds(
    here: Path,
) -> None:
    # Seeds 0, 1 and 2 reach 0.93, 0.93 and 0.90; each costs a minute.
    command = [sys.executable, "-m", "mer_nas.cli", "evaluate", "point=prog_s", "study.folds=loso"]
    words = ["--json", "--quiet", "study.seed=2", "trainer.device=cpu"]
    done = subprocess.run([*command, *words], cwd=here, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["protocol"] == "LOSO"
    assert found["uf1"] >= 0.85

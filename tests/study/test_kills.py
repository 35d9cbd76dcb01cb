"""A dozen kills at random steps of whole studies: search, final stage, export and report."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_study_that_is_killed_a_dozen_times_ends_as_one_that_nobody_disturbed(
    tmp_path: Path,
) -> None:
    words = ["kills=12", "each=12", f"folder={tmp_path}"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "crash.py"), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, studies, counts = done.stdout.splitlines()
    kills, many, clean = re.findall(r": (\d+) kills .* of (\d+) studies, (\d+) as if", studies)[0]
    assert int(kills) >= 12
    assert many == clean
    assert set(re.findall(r"\d+", counts)) == {"0"}

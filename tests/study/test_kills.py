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
    *_, kills, studies, counts = done.stdout.splitlines()
    assert int(re.findall(r": (\d+) kills", kills)[0]) >= 12
    assert set(re.findall(r"\d+", counts)) == {"0"}
    many, clean = re.findall(r"\d+", studies)
    assert many == clean

"""What a step frees, the next one takes without asking the system for it."""

import resource
import subprocess
import sys

import pytest

STEPS = """
import resource, torch
from mer_nas.training.memory import keep_freed
keep_freed()
def step():
    whole = [torch.ones(250_000) for _ in range(20)]  # 20 MB in pieces of 1 MB
    while whole:
        whole.pop()  # the last one first, as the way back frees what the way there has left
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked")
def test_pages_are_not_taken_anew_in_every_step() -> None:
    # Without it most processes take nearly all of them; one whose heap has something lying on top
    # takes none.
    taken = subprocess.run(
        [sys.executable, "-c", STEPS], capture_output=True, text=True, check=True
    )
    pages = 10 * 20 * 1_000_000 // resource.getpagesize()
    assert int(taken.stdout) < 0.01 * pages

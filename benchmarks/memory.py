"""What a search holds in memory, process by process: driver, workers, and what Ray begins.

    python benchmarks/memory.py [key=value ...]

Runs `mer-nas search` without the dashboard in a temporary folder and samples the proportional set
size of its process tree (pages that several share are counted once) once a second. Prints the
parts of the moment at which the whole was largest.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter

import psutil
from default_search import memory, tree

from mer_nas.provenance import cpu

WORDS = ("study.trials=4", "study.final=none", "ray.workers=1", "ray.dashboard=false")


def parts(root: int) -> Counter[str]:
    """Return the MiB of the processes below one, by their names."""
    found: Counter[str] = Counter()
    for pid in tree(root):
        try:
            name = "driver" if pid == root else " ".join(psutil.Process(pid).cmdline())[:40]
        except psutil.Error:
            continue
        found[name.split("/")[-1]] += memory({pid})
    return found


def main(words: list[str]) -> None:
    """Run the search and print where its memory lies."""
    peak: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mer_nas.cli", "search", "--quiet", *WORDS, *words]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as search:
            while search.poll() is None:
                peak = max(peak, parts(search.pid), key=lambda found: found.total())
                time.sleep(1)
    print(f"{cpu()}, {psutil.cpu_count()} cores: {peak.total():.0f} MiB at most")
    for name, size in peak.most_common():
        print(f"{size:8.0f}  {name}")
    sys.exit(search.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])

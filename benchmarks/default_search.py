"""What the default command costs: wall time, peak memory of driver and workers, share of training.

    python benchmarks/default_search.py [key=value ...]

Runs `mer-nas search` in a temporary folder, samples the proportional set size of its process tree
(shared pages counted once) twice a second, and prints one line of figures.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def tree(root: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {root}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def memory(pids: set[int]) -> float:
    """Return the proportional set size of some processes in MiB."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def main(words: list[str]) -> None:
    """Run the search and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "report.json"
        command = [sys.executable, "-m", "mer_nas.cli", "search", "--json", "--quiet", *words]
        began = time.monotonic()
        with output.open("w") as stream:
            search = subprocess.Popen(command, cwd=folder, stdout=stream)
            peak = 0.0
            while search.poll() is None:
                peak = max(peak, memory(tree(search.pid)))
                time.sleep(0.5)
        wall = time.monotonic() - began
        if search.returncode:
            sys.exit(search.returncode)
        report = json.loads(output.read_text())
    compute = report["study"]["compute"]
    trained = compute["search_seconds"] + compute["final_seconds"]
    print(f"wall {wall:.0f} s, peak memory {peak:.0f} MiB, {compute['workers']} workers")
    print(f"training {trained / (compute['workers'] * wall):.0%} of the workers' wall time")
    print(f"trials {report['outcomes']}, folds saved {compute['saved']:.0%}")
    print(f"UF1 {report['answer']['uf1']}")


if __name__ == "__main__":
    main(sys.argv[1:])

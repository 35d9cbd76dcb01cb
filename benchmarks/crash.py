"""Kills real searches with SIGKILL at random moments, follows each to its end, and counts.

    python benchmarks/crash.py [kills=100] [each=5] [workers=0] [seed=0] [folder=DIR]

A study of seconds (three trials, a final stage, an export, a report) is begun and killed `each`
times on its way, at steps drawn from all its folds, its export and its report, and taken up again
with `mer-nas resume` after each; the last time it is left alone. With `workers=1` Ray trains, and
what is killed is the driver, the worker, an agent of the raylet's, the raylet, the gcs or the
whole process group; with `workers=0`, where no process of Ray is, the driver or its group, in
forks of this process, which takes a tenth of the time. Counted are

    lost       folds that were in the ledger at a kill and are not at the end
    doubled    folds that are in the ledger twice
    retrained  folds that were trained although the ledger held them
    running    trials that the storage says are running
    processes  of any session that are left
    folders    temporary ones that are left, in the study and elsewhere
    unequal    studies with another score, candidate or outcome than one that nobody disturbed
    stuck      studies that did not come to their end

One line a study goes to DIR/crash.jsonl; whoever gives the folder again goes on where that ends.
Last runs on two crowded cores of an AMD EPYC, all zeros: 105 kills of drivers and groups without
Ray; with it 48 kills of 8 studies, of them 19 of drivers, 8 of groups, 9 of agents, 5 of raylets,
4 of the gcs and 3 of workers.

Nothing is timed. It runs at low priority, and ends with status 1 where not all counts are zero.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from conftest import TINY

from mer_nas.cli import main as command
from mer_nas.provenance import cpu
from mer_nas.search import journal
from mer_nas.search.processes import PREFIX

ZERO = ("lost", "doubled", "retrained", "running", "processes", "folders", "unequal", "stuck")
TARGETS = {0: ("driver", "group"), 1: ("driver", "worker", "agent", "raylet", "gcs", "group")}
STEPS = ("best", "part", "exported", "page", "report")
"""What a study comes to after its folds, in this order."""
PACE = "study.pace={per_operation: 1e-6, per_mac: 1e-9, per_value: 1e-9}"
"""So that proposals do not follow from how fast this machine was when a study was made."""
ENOUGH = 1200.0
"""Seconds after which a session is taken for one that hangs."""


@dataclass
class Session:
    """A driver in a process group of its own."""

    pid: int
    code: int | None = None

    def ended(self) -> bool:
        """Whether it has, which is then known for good."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def wait(self) -> int | None:
        """Return its exit status; None where it hung and was killed."""
        until = time.monotonic() + ENOUGH
        while not self.ended():
            if time.monotonic() > until:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return None
            time.sleep(0.02)
        return self.code


@dataclass
class Place:
    """Where one study lies, and what its sessions say."""

    root: Path
    workers: int
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def study(self) -> Path:
        """The study."""
        return self.root / "study"

    def words(self) -> list[str]:
        """Return what goes on with the study, or begins it."""
        if (self.study / "origin.json").is_file() and (self.study / "settings.yaml").is_file():
            return ["resume", "study"]
        for name, text in TINY.items():
            (self.root / name).write_text(text, encoding="utf-8")
        presets = [f"{name.removesuffix('.yaml')}=./{name}" for name in TINY]
        more = [f"ray.workers={self.workers}", "ray.dashboard=false", "study.folder=study", PACE]
        return ["search", *presets, *more]

    def begin(self) -> Session:
        """Begin a session in a fork of this process."""
        words = self.words()
        if words[0] == "search":
            shutil.rmtree(self.study, ignore_errors=True)  # killed before it was a study
        child = os.fork()
        if child == 0:
            try:
                self._be(words)
            finally:
                os._exit(70)
        return Session(child)

    def _be(self, words: list[str]) -> None:
        """Be the command `mer-nas`, and note every fold that was trained for nothing."""
        os.setsid()
        os.chdir(self.root)
        (self.root / "tmp").mkdir(exist_ok=True)
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.root / "tmp")
        said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        append = journal.Journal.append

        def noting(self: Any, entry: Any) -> bool:
            new = append(self, entry)
            if not new and self.path.name == "ledger.jsonl":
                with Path("retrained").open("a") as file:
                    file.write(f"{entry.key}\n")
            return new

        journal.Journal.append = noting  # type: ignore[method-assign]
        try:
            command(words, prog_name="mer-nas", standalone_mode=True)
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))

    def lines(self) -> list[bytes]:
        """Return the whole lines of the ledger, its first apart."""
        with suppress(OSError):
            return (self.study / "ledger.jsonl").read_bytes().split(b"\n")[1:-1]
        return []

    def step(self) -> int:
        """Return how far the study has come: its folds, then what `STEPS` names."""
        export = self.study / "export"
        seen = (
            (self.study / "best.yaml").exists(),
            export.is_dir() and any(export.glob(".*.part")),
            (export / "rank1").exists(),
            (self.study / "report.html").exists(),
            (self.study / "report.json").exists(),
        )
        after = max((n for n, there in enumerate(seen, start=1) if there), default=0)
        return len(self.lines()) + after


def victims(session: Session, target: str) -> list[psutil.Process]:
    """Return the processes of a target, told by what they are and not by how they are called."""
    driver = psutil.Process(session.pid)
    children = driver.children(recursive=True)
    raylets = [child for child in children if _name(child) == "raylet"]
    match target:
        case "raylet":
            return raylets
        case "gcs":
            return [child for child in children if _name(child).startswith("gcs_server")]
        case "worker" | "agent":  # the raylet's own children that took a title
            own = [child for raylet in raylets for child in raylet.children()]
            titles = {child: _title(child) for child in own}
            titled = [child for child in own if titles[child].startswith("ray::")]
            titled.sort(key=lambda child: titles[child] == "ray::IDLE")
            return [c for c in titled if titles[c].endswith("Agent") == (target == "agent")][:1]
    return [driver]


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return process.name()
    return ""


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return (process.cmdline() or [""])[0]
    return ""


def kill(session: Session, target: str) -> bool:
    """Kill a target; return whether there was one."""
    if target == "group":
        os.killpg(session.pid, signal.SIGKILL)
        return True
    found = []
    with suppress(psutil.Error):
        found = victims(session, target)
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    return bool(found)


def disturb(place: Place, steps: list[int], dice: random.Random) -> list[dict[str, Any]]:
    """Begin a study, kill it at each of these steps, and follow it to its end."""
    kills, held = [], set[bytes]()
    for step in steps:
        session = place.begin()
        while place.step() < step and not session.ended():
            time.sleep(0.003)
        time.sleep(dice.random() * 0.05)
        if session.ended():
            break
        target = dice.choice(TARGETS[place.workers])
        held |= set(place.lines())
        if not kill(session, target):
            target = "driver"  # Ray has ended by then, or not begun
            kill(session, target)
        kills.append({"target": target, "at": place.step(), "ended": session.wait()})
    tries = 0
    while (code := place.begin().wait()) != 0 and tries < 3:
        tries += 1
        kills[-1:] = [{**kills[-1], "resumed": code}] if kills else []
    place.counts["stuck"] += code != 0
    ends = place.lines()
    place.counts["lost"] += len(held - set(ends))
    place.counts["doubled"] += len(ends) - len({_key(line) for line in ends})
    return kills


def _key(line: bytes) -> tuple[Any, ...]:
    tree = json.loads(line)
    names = ("candidate", "fold", "repetition", "seed", "data", "code")
    return tuple(tree[name] for name in names)


def outcome(place: Place) -> Any:
    """Return what equal studies have alike: candidates, outcomes, scores, to the last bit."""
    try:
        report = json.loads((place.study / "report.json").read_text())
    except (OSError, ValueError):
        return None
    known = ("number", "outcome", "key", "value")
    trials = [[trial[name] for name in known] for trial in report["study"]["trials"]]
    lines = place.lines()
    folds = sorted((*map(str, _key(e)[:4]), json.loads(e)["probabilities"]) for e in lines)
    answer = {name: report["answer"][name] for name in ("uf1", "uar", "label")}
    return trials, folds, answer


def left(place: Place) -> Iterator[tuple[str, str]]:
    """Yield what a study has left behind: a process, a folder, a trial."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(place.root) in w for w in process.cmdline()):
                yield "processes", str(process)
    temporary = place.root / "tmp"
    for folder in (*temporary.glob(f"{PREFIX}*"), *place.study.glob("export/.*")):
        yield "folders", str(folder)
    if (place.study / "ray-tune").exists():
        yield "folders", "ray-tune"
    import sqlite3

    with suppress(sqlite3.Error):
        database = sqlite3.connect(place.study / "study.db")
        for (number,) in database.execute("SELECT number FROM trials WHERE state = 'RUNNING'"):
            yield "running", f"trial {number}"
        database.close()


def one(place: Place, number: int, each: int, seed: int, whole: Place) -> dict[str, Any]:
    """Disturb one study; return its line."""
    dice = random.Random(f"{seed}/{number}")
    most = whole.step()
    steps = sorted(dice.randint(1, most) for _ in range(each))
    kills = disturb(place, steps, dice)
    with suppress(OSError):
        place.counts["retrained"] += len((place.root / "retrained").read_text().splitlines())
    for what, name in left(place):
        place.counts[what] += 1
        print(f"study {number}: {what}: {name}")
    place.counts["unequal"] += outcome(place) != outcome(whole)
    return {"study": number, "kills": kills, **{name: place.counts[name] for name in ZERO}}


def main(
    kills: int = 100, each: int = 5, workers: int = 0, seed: int = 0, folder: str = ""
) -> int:
    """Disturb studies until so many kills are there; return the exit status."""
    os.nice(10)
    root = Path(folder or tempfile.mkdtemp(prefix="crash-")).resolve()
    root.mkdir(parents=True, exist_ok=True)
    os.environ["MER_NAS_CONFIG"] = str(root / "own")
    whole = Place(root / "undisturbed", workers)
    if not (whole.study / "report.json").exists():
        shutil.rmtree(whole.root, ignore_errors=True)
        whole.root.mkdir()
        if whole.begin().wait() != 0:
            print((whole.root / "said").read_text())
            return 1
    done = root / "crash.jsonl"
    rows = [json.loads(line) for line in done.read_text().splitlines()] if done.exists() else []
    while sum(len(row["kills"]) for row in rows) < kills:
        number = len(rows)
        place = Place(root / f"study-{number}", workers)
        shutil.rmtree(place.root, ignore_errors=True)
        place.root.mkdir()
        rows.append(one(place, number, each, seed, whole))
        with done.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        if not any(rows[-1][name] for name in ZERO):
            shutil.rmtree(place.root)
    return tell(rows)


def tell(rows: list[dict[str, Any]]) -> int:
    """Print what was counted; return the exit status."""
    kills = [kill for row in rows for kill in row["kills"]]
    targets = ", ".join(f"{n} {name}" for name, n in Counter(k["target"] for k in kills).items())
    counts = {name: sum(row[name] for row in rows) for name in ZERO}
    clean = sum(not any(row[name] for name in ZERO) for row in rows)
    print(
        f"{cpu()}: {len(kills)} kills ({targets}) of {len(rows)} studies, {clean} as if not killed"
    )
    print(", ".join(f"{number} {name}" for name, number in counts.items()))
    return int(any(counts.values()))


if __name__ == "__main__":
    given: dict[str, Any] = dict(word.split("=", 1) for word in sys.argv[1:])
    types: dict[str, Callable[[str], Any]] = {"folder": str}
    sys.exit(main(**{name: types.get(name, int)(value) for name, value in given.items()}))

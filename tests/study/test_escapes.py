"""Every text of every file that is read may be a path of somebody's: nothing follows it outside."""

import hashlib
import json
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import torch._dynamo  # noqa: F401 - makes a folder of its own in the temporary place

import mer_nas
from mer_nas import api, trust
from mer_nas.config import presets
from mer_nas.errors import MerNasError, StudyError
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.export import manifest
from mer_nas.search.journal import JournalFormat
from mer_nas.study.folder import StudyFolder

pytestmark = pytest.mark.usefixtures("registries")
Place = tuple[str, ...]
CODE = Path(mer_nas.__path__[0]).parent
"""Whose version is asked for."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.chmod": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "shutil.rmtree": 1,
    "sqlite3.connect": 1,
}
"""What Python tells of before it does it, and how many paths come first."""
TO_READ = "?mode=ro"
"""How a database is named of which SQLite may change nothing."""
ACTS = ("os.exec", "os.kill", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen")


class Watch:
    """Hears what this process is about to do, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.written: set[str] = set()
        self.done: list[str] = []
        sys.addaudithook(self._hear)  # for good: a hook cannot be taken away

    def _hear(self, event: str, args: Sequence[Any]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(args[0], str | bytes) and (args[2] or 0) & WRITES:
            self.written.add(os.path.realpath(os.fsdecode(args[0])))
        elif event in CHANGES:
            paths = [path for path in args[: CHANGES[event]] if isinstance(path, str | Path)]
            written = [path for path in paths if not str(path).endswith(TO_READ)]
            self.written |= {os.path.realpath(path) for path in written}
        elif event in ACTS:
            self.done.append(f"{event} {args!r}")


@pytest.fixture(scope="module")
def hook() -> Watch:
    return Watch()


@pytest.fixture
def leads(
    study: Path, here: Path, hook: Watch, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """Paths out of a study; whatever a test does, nothing outside was written, run or ended."""

    def refuse(*_: object, **__: object) -> None:
        raise StudyError("nothing is trained here")

    for name in ("fold", "train"):
        monkeypatch.setattr(Evaluator, name, refuse)
    for name in ("page.render", "files.as_markdown"):  # slow, and they write nothing
        monkeypatch.setattr(f"mer_nas.report.{name}", lambda _: "")
    monkeypatch.setenv("MER_NAS_CONFIG", str(here / "own"))
    # What drivers left that other tests have killed meanwhile would be cleared away here.
    monkeypatch.setattr("mer_nas.search.processes._places", lambda: [str(here / "own")])
    monkeypatch.setattr(trust, "_agreed", set())
    token = trust._answer.set(lambda _: False)
    code = here / "elsewhere" / "code.py"
    code.parent.mkdir()
    code.write_text("raise SystemExit('this ran')\n")
    platform.processor()  # asks a program, once
    hook.written, hook.done, hook.on = set(), [], True
    yield str(code), "../../../elsewhere/new/x"
    hook.on = False
    trust._answer.reset(token)
    inside = [os.path.realpath(path) for path in (here / "runs", here / "own", os.devnull)]
    assert not [path for path in hook.written if not path.startswith(tuple(inside))]
    assert not [act for act in hook.done if f"['git', '-C', '{CODE}'" not in act]
    assert [path.name for path in code.parent.iterdir()] == [code.name]


def texts(node: object, place: Place = ()) -> Iterator[Place]:
    """Yield where a tree holds texts; the items of a list are one place."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from texts(child, (*place, key))
    elif isinstance(node, list):
        yield from dict.fromkeys(found for child in node for found in texts(child, (*place, "*")))
    elif isinstance(node, str):
        yield place


def put(node: Any, place: Place, text: str) -> Any:
    """Return the tree with a text in place of those at a place."""
    if not place:
        return text if isinstance(node, str) else node
    first, *rest = place
    if first == "*" and isinstance(node, list):
        return [put(child, (*rest,), text) for child in node]
    if isinstance(node, dict) and first in node:
        return {**node, first: put(node[first], (*rest,), text)}
    return node


def led_outside(
    tree: Any, leads: tuple[str, str], taken: Callable[[Any], object], depth: int = 1
) -> Iterator[Any]:
    """Yield the tree with paths out of the study for those of its texts that may be any.

    Args:
        tree: A file's.
        leads: The paths; of texts that go together, one takes this and the next one that.
        taken: Refuses, as a `MerNasError`, a tree that is not taken at all.
        depth: Keys that places have in common which go together; then all go, both ways.
    """
    known: dict[Place, list[Place]] = {}
    for place in dict.fromkeys(texts(tree)):
        with suppress(MerNasError):
            taken(put(tree, place, leads[0]))
            known.setdefault(place[:depth], []).append(place)
    every = [place for group in known.values() for place in group]
    assert every
    for places in (*known.values(), every, every[1:]):
        changed = tree
        for number, place in enumerate(places):
            changed = put(changed, place, leads[number % 2])
        yield changed


def go_on(study: Path, *also: type[Exception]) -> None:
    with suppress(MerNasError, *also):
        api.load_study(study).resume()


def origin_without_settings(study: Path) -> Any:
    """Have a study not know what its settings were, so that others are not refused for that."""
    file = study / "origin.json"
    tree = json.loads(file.read_text("utf-8"))
    del tree["settings"]
    file.write_text(json.dumps(tree), "utf-8")
    return tree


def test_no_text_of_a_studys_settings_leads_outside(study: Path, leads: tuple[str, str]) -> None:
    file = study / "settings.yaml"
    origin_without_settings(study)

    def write(tree: Any) -> None:
        file.write_text(presets.dump(tree), "utf-8")

    def taken(tree: Any) -> None:
        write(tree)
        StudyFolder(study).settings()

    for tree in led_outside(presets.parse(file.read_text("utf-8"), ""), leads, taken):
        write(tree)
        go_on(study)


def test_no_text_of_a_studys_origin_leads_outside(study: Path, leads: tuple[str, str]) -> None:
    file = study / "origin.json"

    def taken(tree: Any) -> None:
        file.write_text(json.dumps(tree), "utf-8")
        StudyFolder(study).origin()

    for tree in led_outside(origin_without_settings(study), leads, taken):
        file.write_text(json.dumps(tree), "utf-8")
        go_on(study)


LINES = ["ledger.jsonl", "hindsight.jsonl", "sessions.jsonl", "trials.jsonl"]


@pytest.mark.parametrize("name", LINES)
def test_no_text_of_a_studys_lines_leads_outside(
    study: Path, leads: tuple[str, str], name: str
) -> None:
    file = study / name
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    head = [] if name.startswith("sessions") else [lines.pop(0)]
    for line in lines:
        line.pop("crc32", None)
    for tree in led_outside(
        lines, leads, lambda _: None, depth=2 if name == "ledger.jsonl" else 1
    ):
        text = b"".join(json.dumps(line).encode() + b"\n" for line in head)
        rows = [json.dumps(line, separators=(",", ":")).encode() for line in tree]
        text += b"".join(JournalFormat.line(row) if head else row + b"\n" for row in rows)
        file.write_bytes(text)
        if name == "trials.jsonl":  # which is used where the database is lost
            (study / "study.db").unlink(missing_ok=True)
        go_on(study)


def test_no_text_of_a_studys_database_leads_outside(study: Path, leads: tuple[str, str]) -> None:
    whole = study / "study.db"
    shutil.copy(whole, study / "copy")
    with closing(sqlite3.connect(whole)) as database:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        columns = [
            (table, column[1])
            for (table,) in names
            if database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for column in database.execute(f"PRAGMA table_info({table})")
            if "CHAR" in column[2] or column[2] == "TEXT"
        ]
    assert ("trial_user_attributes", "value_json") in columns
    for table, column in columns:
        with closing(sqlite3.connect(whole)) as database, suppress(sqlite3.IntegrityError):
            database.execute(f"UPDATE {table} SET {column} = ?", [json.dumps(leads[0])])
            database.commit()
        go_on(study, ValueError, LookupError, TypeError)  # what Optuna itself reads of it
        shutil.copy(study / "copy", whole)


def test_no_text_of_a_report_leads_outside(study: Path, leads: tuple[str, str]) -> None:
    file = study / "report.json"

    def taken(tree: Any) -> None:
        file.write_text(json.dumps(tree), "utf-8")
        api.Study(study).report  # noqa: B018 - reads it

    for tree in led_outside(json.loads(file.read_text("utf-8")), leads, taken, 2):
        file.write_text(json.dumps(tree), "utf-8")
        for act in (
            lambda: api.reproduce(file, "ray.workers=0"),
            lambda: api.compare(str(file), f"{file}:seed"),
        ):
            with suppress(MerNasError):
                act()


def test_no_text_of_an_export_leads_outside(study: Path, leads: tuple[str, str]) -> None:
    folder = study / "export" / "rank1"
    file = folder / manifest.FILE

    def write(tree: Any) -> None:
        text = presets.dump(tree, compact=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        file.write_text(f"{text}checksum: {digest}\n", "utf-8")

    def taken(tree: Any) -> None:
        write(tree)
        manifest.read_manifest(folder)

    whole = presets.parse(file.read_text("utf-8"), "")
    del whole["checksum"]
    whole["provenance"]["extensions"] = ["blocks.py"]
    for tree in led_outside(whole, leads, taken, 2):
        write(tree)
        with suppress(MerNasError):
            api.load_model(folder)
        with suppress(MerNasError):
            api.predict(folder, "nowhere.mp4")

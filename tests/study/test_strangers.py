"""Studies, reports and exports of somebody else: data, which act on nothing unless the user agrees."""

import json
import os
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mer_nas import api, trust
from mer_nas.config import presets
from mer_nas.errors import StudyError, Untrusted
from mer_nas.search.config import RayConfig
from mer_nas.study.folder import StudyFolder

Call = Callable[..., Result]
Tree = dict[str, Any]
REFUSED = "this needs your consent, because a file of somebody's asks for it"

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture(autouse=True)
def nobody_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None
) -> Iterator[None]:
    """Know no agreement, and be asked: by the command line, or by the keyword trust."""
    monkeypatch.setenv("MER_NAS_CONFIG", str(tmp_path / "own"))
    monkeypatch.setattr(trust, "_agreed", set())
    token = trust._answer.set(lambda _: False)
    yield
    trust._answer.reset(token)


@pytest.fixture
def code(here: Path) -> Path:
    """A Python file that leaves a trace when it runs."""
    file = here / "elsewhere" / "blocks.py"
    file.parent.mkdir()
    ran = repr(str(here / "ran"))
    file.write_text(f"with open({ran}, 'a') as trace:\n    trace.write('x')\n")
    return file


def edited(study: Path, change: Callable[[Tree], None]) -> None:
    """Change the settings of a study as somebody else might have."""
    file = study / "settings.yaml"
    tree = presets.parse(file.read_text("utf-8"), "settings")
    change(tree)
    file.write_text(presets.dump(tree), "utf-8")


def naming(file: Path) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        tree["space"]["file"]["extensions"] = [str(file)]

    return change


@pytest.mark.parametrize("verb", ["report", "resume", "export"])
def test_a_file_that_a_study_of_somebody_names_does_not_run(
    call: Call, study: Path, code: Path, here: Path, verb: str
) -> None:
    edited(study, naming(code))
    result = call(verb, str(study))
    assert result.exit_code == 2
    assert REFUSED in result.stderr
    assert (
        f"run the Python file {code} (SHA-256 {trust.Wish.to_run(code).digest})" in result.stderr
    )
    assert not (here / "ran").exists()


def test_it_runs_with_trust_and_is_not_asked_about_again(
    call: Call, study: Path, code: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(study, naming(code))
    assert call("report", str(study), "--trust").exit_code == 0
    assert (here / "ran").read_text() == "x"
    trust._agreed.clear()  # as in another process
    assert call("report", str(study)).exit_code == 0
    code.write_text(code.read_text() + "# altered\n")
    monkeypatch.setattr("mer_nas.architectures.extensions._loaded", {})
    assert REFUSED in call("report", str(study)).stderr


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_on_a_terminal_it_is_a_question(
    call: Call,
    study: Path,
    code: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    status: int,
) -> None:
    edited(study, naming(code))
    asked: list[str] = []

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return typed.startswith("y")

    monkeypatch.setattr("mer_nas.cli.at_a_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    result = call("report", str(study))
    assert result.exit_code == status
    assert len(asked) == 1
    assert str(code) in result.stderr
    assert (here / "ran").exists() == (status == 0)


def test_in_python_the_keyword_trust_agrees(study: Path, code: Path, here: Path) -> None:
    edited(study, naming(code))
    with pytest.raises(Untrusted):
        api.load_study(study)
    assert api.load_study(study, trust=True).finalists
    assert (here / "ran").exists()


def test_ones_own_study_is_known_by_what_it_says_wherever_it_lies(
    study: Path, code: Path, here: Path
) -> None:
    edited(study, naming(code))
    folder = StudyFolder(study)
    trust.agree(trust.Wish.to_run(code).digest, "")
    folder.save(replace(folder.settings(), own=True))  # as a search of mine does
    code.write_text(code.read_text() + "# altered by me\n")
    shutil.move(study, here / "moved")
    assert api.load_study(here / "moved").finalists


def test_a_copy_of_ones_own_study_that_names_another_file_is_a_strangers(
    call: Call, study: Path, code: Path, here: Path
) -> None:
    folder = StudyFolder(study)
    folder.save(replace(folder.settings(), own=True))
    edited(study, naming(code))
    assert REFUSED in call("report", str(study)).stderr
    assert not (here / "ran").exists()


def test_going_on_with_a_study_of_somebody_makes_it_nobody_elses(
    study: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(tree: Tree) -> None:
        naming(code)(tree)
        tree["study"]["storage"] = "sqlite:////tmp/elsewhere.db"  # agreed to in the same breath

    edited(study, change)
    folder = StudyFolder(api.load_study(study, trust=True).folder)
    folder.save(replace(folder.settings(), ray=RayConfig(workers=2)))  # as `resume` does
    assert api.load_study(study)  # what was agreed to still is
    code.write_text(code.read_text() + "# altered by somebody\n")
    monkeypatch.setattr("mer_nas.architectures.extensions._loaded", {})
    with pytest.raises(Untrusted, match="run the Python file"):
        api.load_study(study)


@pytest.mark.parametrize(
    ("changes", "wish"),
    [
        (
            {"study": {"storage": "sqlite:////tmp/elsewhere.db"}},
            "keep its trials in sqlite:////tmp/",
        ),
        (
            {"ray": {"address": "192.0.2.1:6379", "workers": 1}},
            "train on the Ray cluster at 192.0.2.1:6379",
        ),
    ],
    ids=["storage", "cluster"],
)
def test_a_study_of_somebody_acts_nowhere_else(
    call: Call, study: Path, changes: Tree, wish: str
) -> None:
    edited(study, lambda tree: [tree[group].update(new) for group, new in changes.items()])
    for verb in ("report", "resume"):
        result = call(verb, str(study))
        assert (result.exit_code, REFUSED in result.stderr) == (2, True)
        assert wish in result.stderr


@pytest.mark.parametrize(
    "path", [r"\\192.0.2.1\faces", "//192.0.2.1/faces", "/net/192.0.2.1/faces"]
)
def test_no_other_machine_is_asked_for_a_file(
    call: Call, study: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def change(tree: Tree) -> None:
        tree["data"] = {"kind": "precomputed_flow", "root": path}

    edited(study, change)
    report = study / "report.json"
    tree = json.loads(report.read_text("utf-8"))
    change(tree["study"]["settings"])
    report.write_text(json.dumps(tree), "utf-8")
    looked: list[str] = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda at, **how: looked.append(str(at)) or stat(at, **how))
    for words in (["report", str(study)], ["resume", str(study)], ["reproduce", str(report)]):
        result = call(*words)
        assert (result.exit_code, REFUSED in result.stderr) == (2, True)
        assert f"open {path}, which may be on another machine" in result.stderr
    assert not [at for at in looked if "192.0.2.1" in at]


def test_a_file_that_a_report_names_does_not_run(
    call: Call, study: Path, code: Path, here: Path
) -> None:
    file = study / "report.json"
    tree = json.loads(file.read_text("utf-8"))
    naming(code)(tree["study"]["settings"])
    file.write_text(json.dumps(tree), "utf-8")
    result = call("reproduce", str(file))
    assert (result.exit_code, REFUSED in result.stderr) == (2, True)
    assert not (here / "ran").exists()
    with pytest.raises(Untrusted):
        api.reproduce(file)


@pytest.mark.parametrize(
    "name", ["export", "ledger.jsonl", "best.yaml", "report.html", "hindsight.jsonl"]
)
@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_leads_nothing_out_of_a_study(
    call: Call, study: Path, here: Path, name: str
) -> None:
    target = here / "precious"
    if (study / name).is_dir():
        shutil.rmtree(study / name)
        target.mkdir()
    else:
        (study / name).unlink(missing_ok=True)
        target.write_text("precious")
    (study / name).symlink_to(target)
    for verb in ("resume", "report", "export"):
        result = call(verb, str(study))
        assert result.exit_code == 2
        assert f"{study / name}: this link leads out of the study, to {target}" in result.stderr
    assert list(target.iterdir()) == [] if target.is_dir() else target.read_text() == "precious"
    with pytest.raises(StudyError, match="leads out of the study"):
        api.load_study(study)


@pytest.mark.skipif(sys.platform == "win32", reason="there are none there")
def test_a_file_that_never_ends_is_refused(call: Call, study: Path) -> None:
    (study / "hindsight.jsonl").unlink(missing_ok=True)
    os.mkfifo(study / "hindsight.jsonl")
    result = call("resume", str(study))
    assert result.exit_code == 2
    assert "hindsight.jsonl: this is neither a file nor a folder" in result.stderr


def test_a_link_to_itself_is_no_traceback(call: Call, study: Path) -> None:
    (study / "report.html").unlink()
    (study / "report.html").symlink_to("report.html")
    assert call("report", str(study)).exit_code == 0
    assert not (study / "report.html").is_symlink()


@pytest.mark.parametrize("name", ["ledger.jsonl", "study.db", "sessions.jsonl"])
def test_a_second_name_of_a_file_elsewhere_is_not_written_to(
    call: Call, study: Path, here: Path, name: str
) -> None:
    (here / "precious").hardlink_to(study / name)
    before = (here / "precious").read_bytes()
    result = call("resume", str(study), "study.trials=4")
    assert (result.exit_code, "has another name elsewhere" in result.stderr) == (2, True)
    assert (here / "precious").read_bytes() == before


def test_a_journal_of_the_database_deletes_nothing(call: Call, study: Path, here: Path) -> None:
    precious = here / "precious"
    precious.write_text("years of work")
    for more in ("-wal", "-shm"):
        (study / f"study.db{more}").unlink(missing_ok=True)
    with closing(sqlite3.connect(study / "study.db")) as database:
        database.execute("PRAGMA journal_mode=DELETE")
    name, magic = os.fsencode(precious), bytes.fromhex("d9d505f920a163d7")
    pages = (study / "study.db").stat().st_size // 4096
    begin = magic + struct.pack(">5I", 0, 0, pages, 512, 4096)
    end = struct.pack(">2I", len(name), sum(name)) + magic
    journal = begin.ljust(512, b"\0") + struct.pack(">I", 2**30 // 4096 + 1) + name + end
    (study / "study.db-journal").write_bytes(journal)
    for verb in ("report", "resume"):
        result = call(verb, str(study))
        assert (result.exit_code, precious.exists()) == (2, True)
        assert "study.db-journal: names another file, which SQLite would" in result.stderr


@pytest.mark.parametrize("left", ["thesis.tex", ""])
def test_a_study_that_ends_before_its_first_fold_takes_its_own_files_away(
    here: Path, write_tiny: Callable[[Path], list[str]], left: str
) -> None:
    words, folder = write_tiny(here), here / "mine"

    def put_beside(event: object) -> None:
        if left:
            (folder / left).write_text("years of work")
        raise StudyError("an end before the first fold")

    with pytest.raises(StudyError, match="before the first fold"):
        api.search(*words, "ray.workers=0", f"study.folder={folder}", on_event=put_beside)
    assert ([path.name for path in folder.iterdir()] == [left]) if left else not folder.exists()


def test_a_link_within_a_study_is_none_of_our_business(call: Call, study: Path) -> None:
    (study / "latest.html").symlink_to("report.html")
    assert call("report", str(study)).exit_code == 0

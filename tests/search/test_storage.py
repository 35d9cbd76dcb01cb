"""Where the trials lie: the folder's own database, whatever it is called and whoever holds it."""

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest
from pydantic import ValidationError
from scripted import evaluator, history, journal, search

from mer_nas.errors import StudyError
from mer_nas.search import local, storage
from mer_nas.search.config import StudyConfig
from mer_nas.search.storage import (
    close_storage,
    dashboard,
    drawn_before,
    open_study,
    refusal,
    sharing,
    sqlite_url,
)
from mer_nas.study.folder import StudyFolder
from mer_nas.study.sessions import saying_what_is_kept

NAMES = [
    "what?",
    "100%20 done",
    "50%",
    "#1",
    "a?mode=ro&uri=true",
    "it's; here",
    "{SCHEMA_VERSION}",
    "~me",
    "数据 é",
    "a:b@c",
    "-o",
    "two\nlines",
    "[1] *",
]


@contextmanager
def opened(folder: Path) -> Iterator[optuna.Study]:
    study, backend = open_study(sqlite_url(folder), "search", StudyConfig())
    try:
        yield study
    finally:
        close_storage(backend)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be another program that has locked the database."""
    with closing(sqlite3.connect(folder / "study.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("name", NAMES)
def test_trials_lie_in_the_folder_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with opened(folder) as study:
        study.set_user_attr("folder", name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert [entry.name for entry in folder.iterdir()] == ["study.db"]
    program, url = dashboard(sqlite_url(folder))
    assert program == "optuna-dashboard"
    found = optuna.load_study(study_name="search", storage=url)  # as that program does
    assert found.user_attrs == {"folder": name}


def test_the_values_of_a_study_have_names_also_of_one_from_before(tmp_path: Path) -> None:
    optuna.create_study(storage=sqlite_url(tmp_path), study_name="search", direction="maximize")
    with opened(tmp_path) as study:
        assert study.metric_names == ["uf1"]
    other = StudyConfig(objectives=("uf1", "macs"))
    study, backend = open_study(sqlite_url(tmp_path), "front", other)
    assert study.metric_names == ["uf1", "macs"]
    close_storage(backend)


def test_a_storage_that_is_shared_is_opened_once_and_let_go_at_the_end(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    with sharing():
        _, first = open_study(url, "search", StudyConfig())
        close_storage(first)
        study, second = open_study(url, "search")
        study.enqueue_trial({})
        assert second is first
    study, third = open_study(url, "search")
    assert third is not first
    assert len(study.trials) == 1
    close_storage(third)


def test_an_ordinary_folder_has_the_database_that_it_always_had(tmp_path: Path) -> None:
    assert sqlite_url(tmp_path) == f"sqlite:///{tmp_path}/study.db"


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"\\xff': a study cannot lie in a folder whose name is"):
        sqlite_url(tmp_path / os.fsdecode(b"\xff"))


def test_a_database_that_another_program_holds_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.1)
    with opened(tmp_path):
        pass
    says = "cannot be opened: database is locked; another program holds it"
    with held(tmp_path), pytest.raises(StudyError, match=says), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


def test_a_database_that_is_taken_in_mid_search_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.1)
    folder = tmp_path / "my study"
    folder.mkdir()
    says = (
        r"my study: the database of its trials: database is locked; .*; no fold was finished yet"
    )
    with (
        opened(folder) as study,
        held(folder),
        pytest.raises(StudyError, match=says),
        saying_what_is_kept(StudyFolder(folder)),
    ):
        study.set_user_attr("seconds", 1.0)


def test_a_database_without_room_is_said_to_be_full(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        backend = study._storage._backend  # type: ignore[attr-defined]
        with backend.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1")
            says = "is full; make room on that disk"
            with pytest.raises(StudyError, match=says), saying_what_is_kept(StudyFolder(tmp_path)):
                connection.exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(1000000)")


def test_a_bug_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    for bug in (FileNotFoundError(2, "No such file"), ValueError("?"), KeyError("outcome")):
        with pytest.raises(type(bug)), saying_what_is_kept(StudyFolder(tmp_path)):
            raise bug


def test_what_a_sampler_drew_is_read_from_a_study_that_must_be_there(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    study, backend = open_study(url, "search", StudyConfig())
    for drawn in ({"x": 1.0}, {"x": 2.0}, {"x": 1.0}):
        study.enqueue_trial(drawn)
        study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 3)}), 0.5)
    close_storage(backend)
    assert drawn_before(url, ["search"]) == [{"x": 1.0}, {"x": 2.0}]
    assert drawn_before(url, []) == []
    with pytest.raises(StudyError, match="it does not hold the trials of this study"):
        open_study(url, "another")


@pytest.mark.parametrize("name", ["study.db", "study.log"])
def test_what_must_be_there_is_not_made_where_it_is_lost(tmp_path: Path, name: str) -> None:
    place = sqlite_url(tmp_path) if name == "study.db" else str(tmp_path / name)
    for content in (None, b""):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        with pytest.raises(StudyError, match="cannot be opened: its file is not there, or empty;"):
            open_study(place, "search")
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_search_behind_optunas_proxy_is_the_same_as_without(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    behind, proxy = optuna.storages.InMemoryStorage(), f"grpc://127.0.0.1:{port}"
    words = {"host": "127.0.0.1", "port": port}
    threading.Thread(
        target=optuna.storages.run_grpc_proxy_server, args=(behind,), kwargs=words, daemon=True
    ).start()
    histories = []
    for name, place in (("proxy", lambda _: proxy), ("journal", journal)):
        folder, scripted = tmp_path / name, evaluator()
        folder.mkdir()
        with search(folder, scripted, trials=5, storage=place) as driver:
            local.run(driver, scripted)
            histories.append(history(driver))
    assert histories[0] == histories[1]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_proxy_that_ends_in_mid_search_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gone = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
    with pytest.raises(Exception, match="UNAVAILABLE") as caught:
        gone.get_all_studies()
    gone.close()
    assert refusal(caught.value) == "Optuna's proxy does not answer any more; start it again"


def test_what_lies_behind_a_proxy_is_not_for_the_dashboard() -> None:
    assert dashboard("grpc://127.0.0.1:13000") == ()
    assert dashboard("trials.log") == ("optuna-dashboard", Path("trials.log"))


def test_a_proxy_that_is_not_there_or_no_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "PROXY_SECONDS", 0.1)
    with pytest.raises(StudyError, match=r"no proxy of Optuna's answers there within 0.1 s"):
        open_study("grpc://127.0.0.1:9", "search", StudyConfig())
    with pytest.raises(ValidationError, match="grpc://HOST:PORT would be right"):
        StudyConfig(storage="grpc://nowhere")


def logged(file: Path) -> list[int]:
    """Return the numbers of the trials that a study in a journal has, after one more."""
    study, backend = open_study(str(file), "search", StudyConfig())
    study.ask()
    numbers = [trial.number for trial in study.get_trials()]
    close_storage(backend)
    return numbers


@pytest.mark.parametrize("torn", [b"{", b'{"op_code": 5, "wor', b"x" * 100_000])
def test_half_a_line_of_a_killed_writer_is_cut_off(
    tmp_path: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "shared.log"
    assert logged(file) == [0]
    with file.open("ab") as lines:
        lines.write(torn)
    assert logged(file) == [0, 1]
    assert logged(file) == [0, 1, 2]
    assert f"shared.log: the last {len(torn)} bytes are half a line" in caplog.text
    assert [json.loads(line)["op_code"] for line in file.read_text().splitlines()]


def test_a_line_that_nobody_can_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shared.log"
    logged(file)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], lines[1][:9] + lines[1], *lines[2:]]))
    with pytest.raises(StudyError, match=r"shared\.log: .* line 2 is damaged \(.*restore it from"):
        logged(file)

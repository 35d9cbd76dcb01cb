"""The page of a study as it grows: who may read it, what it says, and that nothing is touched."""

import http.client
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import Result

from mer_nas import api
from mer_nas.errors import ConfigError, StudyError
from mer_nas.search import lock
from mer_nas.search.ledger import Ledger, read
from mer_nas.study.folder import StudyFolder
from mer_nas.study.live import LivePage, live
from mer_nas.study.state import StudyState
from mer_nas.study.watch import LiveServer

if TYPE_CHECKING:
    from conftest import Searched


class Answered(NamedTuple):
    status: int
    headers: Message
    text: str


def asked(
    watch: LiveServer,
    path: str = "",
    host: str = "127.0.0.1",
    method: str = "GET",
    token: str = "",
) -> Answered:
    """What is answered to a question."""
    known = watch.address.split("/")[3]
    with closing(http.client.HTTPConnection("127.0.0.1", watch.port, timeout=60)) as line:
        line.request(method, f"/{token or known}/{path}", headers={"Host": host})
        answer = line.getresponse()
        return Answered(answer.status, answer.headers, answer.read().decode())


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in a folder: when it was changed, and what it holds."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def watch(searched: "Searched") -> Iterator[LiveServer]:
    """A finished study is watched."""
    with api.load_study(searched.study).watch() as found:
        yield found


def test_the_page_of_a_finished_study_is_its_report_and_says_that_nobody_drives_it(
    watch: LiveServer, searched: "Searched"
) -> None:
    page = asked(watch).text
    exact = re.compile(r'<data value="([^"]+)">')
    report = (searched.study / "report.html").read_text(encoding="utf-8")
    assert exact.findall(page) == exact.findall(report) != []
    assert "Not running: search: 3 of 3 trials, 3 complete; final stage: 4 of 4 repet" in page
    assert "Nobody drives it now" in page
    assert repr(watch) == f"LiveServer({watch.address})"


def test_looking_at_a_study_touches_nothing_of_it(watch: LiveServer, searched: "Searched") -> None:
    before = state_of(searched.study)
    study = api.load_study(searched.study)
    with study.watch() as other:
        assert asked(other).text
    assert study.best == study.finalists[0]
    assert len(study.trials_dataframe()) == 3
    assert len(study.ledger)
    assert state_of(searched.study) == before


def test_who_does_not_know_the_whole_address_gets_nothing(watch: LiveServer) -> None:
    token = watch.address.split("/")[3]
    assert len(token) >= 32
    for guess in ("x", "version", "a" * 32, token[:-1], token.upper(), f"{token}%20"):
        for path in ("", "version", "watch.js"):
            answer = asked(watch, path, token=guess)
            assert answer.status == 404
            assert answer.text == "the whole address is needed, as it was printed\n"


def test_a_name_that_leads_here_from_elsewhere_is_not_answered(watch: LiveServer) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        assert asked(watch, host=host).status == 421


def test_a_tunnel_may_give_it_another_name_of_ones_own_machine_and_another_port(
    watch: LiveServer,
) -> None:
    for host in ("localhost:9", "127.0.0.1:9", "[::1]:9", "[::1]", "LOCALHOST"):
        assert asked(watch, "version", host=host).status == 200


def test_nothing_but_reading_is_answered(watch: LiveServer) -> None:
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "NONSENSE"):
        answer = asked(watch, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_the_page_may_load_only_itself_and_is_kept_nowhere(watch: LiveServer) -> None:
    for path in ("", "version", "watch.js", "other"):
        answer = asked(watch, path)
        assert answer.status == (404 if path == "other" else 200)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    version = asked(watch, "version").text
    assert re.findall(r"<script[^>]*>", asked(watch).text) == [
        f'<script src="watch.js" data-version="{version}" defer>'
    ]


def test_it_listens_on_this_machine_alone(watch: LiveServer) -> None:
    assert watch.address.startswith(f"http://127.0.0.1:{watch.port}/")
    other = socket.socket()
    with other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", watch.port))


def test_a_port_that_is_taken_is_one_message(
    watch: LiveServer, searched: "Searched", call: Callable[..., Result]
) -> None:
    found = call("watch", str(searched.study), "--port", str(watch.port))
    assert found.exit_code == 2
    assert found.stderr == (
        f"mer-nas: --port {watch.port}: another program listens there; another port would be "
        "right; without, a free one\n"
    )
    with pytest.raises(ConfigError, match="a port is a number from 0 to 65535"):
        api.load_study(searched.study).watch(70000)


def test_what_is_no_study_is_one_message(here: Path, call: Callable[..., Result]) -> None:
    found = call("watch", "nowhere")
    assert found.exit_code == 2
    assert found.stderr.startswith("mer-nas: no study is called 'nowhere'; known: none; ")


class Hand:
    """A clock that is turned by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that pages were written of; the pages themselves say no more."""
    found: list[str] = []

    def write(_: LivePage, version: str) -> str:
        found.append(version)
        return f"page {len(found)}"

    monkeypatch.setattr(LivePage, "_written", write)
    return found


def grow(study: Path) -> None:
    with (study / "ledger.jsonl").open("a") as file:
        file.write("\n")


def test_a_page_is_written_anew_when_the_study_has_grown_and_not_before(
    study: Path, written: list[str]
) -> None:
    page = LivePage(StudyFolder(study), Hand(), Hand())
    assert (page.html(), page.html()) == ("page 1", "page 1")
    grow(study)
    assert page.version() != written[0]
    assert page.html() == "page 2"
    assert page.version() == written[1]


def test_after_a_page_that_took_long_the_study_has_the_processor(
    study: Path, written: list[str]
) -> None:
    clock, cost = Hand(), iter([0.0, 2.0, 2.0, 4.0])
    page = LivePage(StudyFolder(study), clock, lambda: next(cost))
    grow(study)
    clock.now = 17.9
    assert (page.version(), page.html()) == (written[0], "page 1")
    clock.now = 18.0  # nine times two seconds
    assert page.version() != written[0]
    assert page.html() == "page 2"


def begin_a_trial(study: Path) -> None:
    """Do what a driver does until the first fold of a fourth trial is in the ledger."""
    folder = StudyFolder(study)
    state = StudyState(folder, folder.origin())
    first = read(folder.ledger)[0]
    state.optuna.ask().set_user_attr("candidate", "of the fourth")
    with Ledger(folder.ledger) as ledger:
        ledger.append(replace(first, candidate="of the fourth"))


def test_a_study_that_runs_shows_what_is_under_way_and_calls_its_best_so_far(study: Path) -> None:
    begin_a_trial(study)
    with lock.StudyLock(study):
        page = LivePage(StudyFolder(study)).html()
    assert "trial 3 <" in page
    assert "1/2 folds" in page
    assert "Running: search: 3 of 3 trials" in page
    assert f"Driven by process {os.getpid()} on {socket.gethostname()}" in page
    assert "<h1>Best so far: " in page
    assert "Winner" not in re.findall("<h1>.*</h1>", page)[0]


def test_a_driver_that_died_and_one_elsewhere_are_told_apart(study: Path) -> None:
    folder = StudyFolder(study)
    with lock.StudyLock(study):
        held = (study / lock.FILE).read_text()
        state = StudyState(folder, folder.origin(), looking=True)
        assert live(state).running
    for change, said in (
        (('"started":"', '"started":"not '), "has died; `mer-nas resume` goes on"),
        (('"host":"', '"host":"not-'), "whether it still runs cannot be seen from this machine"),
    ):
        (study / lock.FILE).write_text(held.replace(*change))
        found = live(state)
        assert not found.running
        assert said in found.driver


def test_a_study_without_a_trial_yet_waits_with_its_page(study: Path) -> None:
    for name in ("ledger.jsonl", "trials.jsonl", "study.db", "hindsight.jsonl"):
        (study / name).unlink()
    assert "No trial has begun yet." in LivePage(StudyFolder(study)).html()
    assert not (study / "study.db").exists()


@pytest.mark.parametrize("kept", ["trials.jsonl", "ledger.jsonl"])
def test_a_study_whose_storage_is_lost_is_not_taken_for_one_that_has_not_begun(
    study: Path, call: Callable[..., Result], kept: str
) -> None:
    page = LivePage(StudyFolder(study), Hand(), Hand())
    for name in {"trials.jsonl", "ledger.jsonl", "study.db"} - {kept}:
        (study / name).unlink()
    says = "the storage cannot be opened: its file is not there"
    assert says in call("report", str(study)).stderr
    assert says in page.html()
    with pytest.raises(StudyError, match=says):
        LivePage(StudyFolder(study))
    with pytest.raises(StudyError, match=says):
        api.load_study(study).trials_dataframe()


def test_damage_that_comes_later_is_said_on_the_page_and_mended_damage_forgotten(
    study: Path,
) -> None:
    page = LivePage(StudyFolder(study), Hand(), Hand())
    whole = (study / "ledger.jsonl").read_bytes()
    (study / "ledger.jsonl").write_bytes(whole.replace(b'"seed":', b'"sead":', 1))
    assert "line 2 is damaged" in page.html()
    (study / "ledger.jsonl").write_bytes(whole)
    assert "line 2 is damaged" not in page.html()
    (study / "ledger.jsonl").write_bytes(b"no ledger\n")
    with pytest.raises(StudyError, match="this is no mer-nas fold ledger"):
        LivePage(StudyFolder(study))

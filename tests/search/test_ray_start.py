"""Ray that does not start, or does not let in: one message each, with what to do."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import ray
from ray._private import parameter, services

import mer_nas
from mer_nas.errors import StudyError
from mer_nas.search import ray_connect
from mer_nas.search.processes import end, make_folder
from mer_nas.search.ray_connect import MAX_FOLDER, MODE, PLACE, start
from mer_nas.search.ray_runner import prepare_environment

SECRET = "0123456789abcdef"


@pytest.fixture
def head() -> Iterator[str]:
    """The address of what answers as the head of a cluster that asks for `SECRET`."""

    class Head(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, call: Any) -> Any:
            shown = dict(call.invocation_metadata).get("authorization")

            def answer(request: bytes, context: Any) -> bytes:
                if shown != f"Bearer {SECRET}":
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "token is missing")
                return b""

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The modes in which Ray was asked to join; it joins nothing."""
    modes: list[str] = []
    monkeypatch.setattr(ray, "init", lambda **_: modes.append(os.environ[MODE]))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv(PLACE, str(tmp_path / "token"))
    monkeypatch.setenv(MODE, "")  # so that it is as it was afterwards
    monkeypatch.setattr(ray_connect, "_heed", lambda: None)
    return modes


def test_a_cluster_that_asks_for_a_token_is_shown_the_users(
    head: str, joined: list[str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    ray_connect.join(head)
    assert joined == ["token"]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "asks for a token, and none is here; put what `ray get-auth-token` prints"),
        ("f" * 16, "asks for another token than that of"),
    ],
)
def test_a_cluster_that_asks_for_a_token_that_is_not_here_says_so(
    token: str, said: str, head: str, joined: list[str], tmp_path: Path
) -> None:
    if token:
        (tmp_path / "token").write_text(token)
    with pytest.raises(StudyError, match=f"^ray.address={head}: the cluster there {said}"):
        ray_connect.join(head)
    assert joined == []


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            Exception("The current node timed out during startup. This could happen because"),
            "here: The current node timed out during startup. .*; the machine may be too busy",
        ),
        (
            Exception("Failed to start the dashboard, return code 1\nmore\nlines"),
            "here: Failed .*; ray.dashboard",
        ),
        (OSError(28, "No space left on device"), "here: .*No space left on device; make room"),
        (
            OSError("AF_UNIX path length cannot exceed 107 bytes: /x"),
            "here: .*; name a folder with a shorter",
        ),
        (Exception("The last lines of /x.log:\n\nE: a word \n"), "here: E: a word$"),
        (SystemExit(), "here: SystemExit$"),
    ],
)
def test_ray_that_does_not_start_is_one_line_with_what_to_do(
    raised: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def init(**_: Any) -> None:
        raise raised

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(StudyError, match=f"does not start {said}") as caught:
        start(True, tmp_path, 1, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dashboard", [True, False])
def test_ray_begins_no_helper_that_only_a_dashboard_would_show(
    dashboard: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[str] = []

    def init(**given: Any) -> None:
        params = parameter.RayParams(include_dashboard=given["include_dashboard"])
        begun.extend(["log monitor"] if params.include_log_monitor else [])
        begun.extend([] if params.no_monitor else ["autoscaler"])
        services.start_api_server()

    def serve() -> None:
        begun.append("server")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(services, "start_api_server", serve)
    start(dashboard, tmp_path, 1, 0)
    assert begun == (["autoscaler", "server"] if dashboard else [])
    services.start_api_server()
    assert begun.pop() == "server"  # as before, for whoever starts Ray later
    assert not parameter.RayParams().no_monitor


def test_a_temporary_place_with_a_long_path_is_passed_over_for_a_short_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ("long" * 10)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 10)))
    folder = make_folder(MAX_FOLDER)
    assert folder.parent != tmp_path / ("long" * 10)
    assert len(os.fsencode(folder)) <= MAX_FOLDER
    assert end((), folder) == ()
    assert not folder.exists()
    with pytest.raises(StudyError, match=r"long.* find no place there: .*TMPDIR=FOLDER names"):
        make_folder(5)


def test_workers_find_a_checkout_that_a_list_of_paths_cannot_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / f"10{os.pathsep}30"
    home.mkdir()
    monkeypatch.setattr(mer_nas, "__path__", [str(home / "mer_nas")])
    monkeypatch.setenv("PYTHONPATH", "")
    prepare_environment(tmp_path)
    (named,) = os.environ["PYTHONPATH"].split(os.pathsep)
    assert Path(named).resolve() == home


@pytest.mark.skipif(sys.platform != "linux", reason="others have no such list")
def test_no_process_loads_a_library_that_lies_in_the_working_directory() -> None:
    asked = "import mer_nas, cv2, os; print(os.environ['LD_LIBRARY_PATH'])"
    home = {"PYTHONPATH": os.pathsep.join(sys.path), "LD_LIBRARY_PATH": "/a::/b:"}
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=True,
    )
    paths = done.stdout.strip().split(":")
    assert {"/a", "/b"} < set(paths)
    assert "" not in paths


def test_ray_is_tried_again_without_dashboard_and_with_a_slower_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ray._private import node

    tried: list[tuple[Any, ...]] = []
    notes: list[Any] = []

    def init(**words: Any) -> str:
        first, then = node.time.monotonic(), time.monotonic()
        tried.append((words["include_dashboard"], words["_temp_dir"], first / then > 0.9))
        if len(tried) == 1:
            raise Exception("The current node timed out during startup.")
        return "there"

    monkeypatch.setattr(ray, "init", init)
    assert start(True, tmp_path, 1, 0, notes.append) == "there"
    assert tried == [(True, str(tmp_path / "r"), True), (False, str(tmp_path / "s"), False)]
    assert node.time is time
    (note,) = notes
    assert note.text.endswith("; it is tried again, without dashboard and for longer")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)


def test_where_one_worker_was_asked_for_this_process_takes_its_place_and_the_report_says_so(
    no_ray: None, tiny: list[str], call: Any
) -> None:
    ended = call("search", *tiny, "ray.workers=1", "study.final=none", "study.folder=s")
    assert ended.exit_code == 0, ended.output
    said = "does not start here: The current node timed out during startup."
    assert f"{said}" in ended.stderr
    assert said in Path("s/report.md").read_text()
    assert said in Path("s/report.html").read_text()
    assert call("resume", "s").exit_code == 0
    assert said in Path("s/report.md").read_text()


def test_where_more_was_asked_for_one_message_says_what_can_be_done(
    no_ray: None, tiny: list[str], call: Any
) -> None:
    ended = call("search", *tiny, "ray.workers=2", "study.folder=s")
    assert ended.exit_code == 1
    (message,) = [line for line in ended.stderr.splitlines() if line.startswith("mer-nas: ")]
    assert "does not start here" in message
    assert "ray.dashboard=false" in message
    assert "ray.workers=0" in message
    assert not Path("s").exists()

"""The same searches on Ray's workers; Ray is started as seldom as possible."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from killed import TRIALS, Parsing
from optuna.trial import TrialState
from scripted import EpochRecorder, Sketch, evaluator, history, search

from mer_nas.architectures import load_extensions
from mer_nas.errors import ConfigError, StudyError
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult
from mer_nas.files import own_folder
from mer_nas.privacy import SILENT
from mer_nas.provenance import code_version
from mer_nas.search import local, patience
from mer_nas.search.config import GPU_BYTES, RayConfig, Shares
from mer_nas.search.crash_points import VARIABLE
from mer_nas.search.events import Ended, Note, WorkersReady
from mer_nas.search.ledger import Ledger, read
from mer_nas.search.lock import FILE, StudyLock
from mer_nas.search.measure import Measurement
from mer_nas.search.processes import NOTES, Process
from mer_nas.search.ray_connect import MAX_FOLDER
from mer_nas.search.ray_runner import Cluster, cluster
from mer_nas.search.storage import sqlite_url
from mer_nas.search.tuning import ACTOR
from mer_nas.tracking import StudyRuns, Tracking
from mer_nas.tracking.ray_gauges import RayGauges
from mer_nas.tracking.runs import RunAdvanced, RunBegan, RunEnded, TrackedRun

SCRIPT = Path(__file__).with_name("killed.py")


class Telling(Parsing):
    """Writes down where each fold ran, and fails or dies where it is told to."""

    folder: Path
    workers: int

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Train, tell, fail or die."""
        import ray

        values = dict(candidate.values)
        if index == 3:
            deaths = self.folder / f"deaths-{candidate.key}"
            before = len(deaths.read_text()) if deaths.exists() else 0
            if before < values.get("dies", 0):
                deaths.write_text("x" * (before + 1))
                os._exit(1)
        if values.get("hangs") == index:
            # By the clock of whoever watches, that is; this one does not come back.
            patience.clock = lambda: time.monotonic() + 1e6
            time.sleep(1e6)
        if values.get("large") == index:
            with (self.folder / "large").open("a") as file:
                file.write(f"{candidate.key} {time.time()}\n")
            if values["x"] > 0.5 or len((self.folder / "large").read_text().splitlines()) == 1:
                raise MemoryError
        if not self._together():
            raise TimeoutError("the other workers did not come")
        if values["y"] == 1 and index == 2:
            raise FloatingPointError("the loss is not finite")
        place = [os.getpid(), ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")]
        place.append(Path("/proc/self/cmdline").read_text().split("\0")[0])
        with (self.folder / "places").open("a") as file:
            file.write(json.dumps([candidate.key, index, place, time.time()]) + "\n")
        return super().fold(candidate, index, repetition)

    def recording(self) -> EpochRecorder:
        """Look back, or die of it."""
        return Dying(self)

    def _together(self) -> bool:
        """Wait until all workers have started, which takes longer than whole trials here."""
        (self.folder / f"worker-{os.getpid()}").touch()
        end = time.monotonic() + 90
        while len(list(self.folder.glob("worker-*"))) < self.workers and time.monotonic() < end:
            time.sleep(0.02)
        return time.monotonic() < end


class Dying(EpochRecorder):
    """Dies, or hangs, while it looks back at the folds that the candidate names."""

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
        """Train, and remember whether to die or to hang."""
        values = dict(candidate.values)
        self.dies = values.get("blind") == index or values.get("shy", 99) <= index
        self.hangs = values.get("stares") == index
        return super().fold(candidate, index, repetition)

    def look_back(self) -> Hindsight:
        """Look back, die or hang."""
        if self.dies:
            os._exit(1)
        if self.hangs:
            patience.clock = lambda: time.monotonic() + 1e6
            time.sleep(1e6)
        return super().look_back()


def telling(folder: Path, workers: int = 1, delay: float = 0.0) -> Telling:
    base = evaluator()
    scripted = Telling(base.clips, base.protocol, base.seed, delay)
    scripted.folder, scripted.workers = folder, workers
    return scripted


def places(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "places").read_text().splitlines()]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Ray with two cores and two GPUs that are not there, and a dashboard.

    The working directory has a module in it that parts of Ray import.
    """
    folder = tmp_path_factory.mktemp("session")
    (folder / "msgpack.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RAY_metrics_report_interval_ms", "500")
        with cluster(RayConfig(), folder, cpus=2, gpus=2) as found:
            yield found


def in_session(session: Cluster, config: RayConfig, folder: Path, heard: Heard) -> Any:
    assert session.own
    return cluster(config, folder, heard.append)


# Shares


@pytest.mark.parametrize(
    ("cpus", "gpus", "config", "expected"),
    [
        (2, 0, {}, Shares(2, 1.0, 0.0)),
        (2, 0, {"workers": 1}, Shares(1, 1.0, 0.0)),
        (2, 0, {"workers": 3}, Shares(3, 0.6666, 0.0)),
        (16, 1, {}, Shares(4, 1.0, 0.25)),
        (16, 2, {"workers": 3}, Shares(3, 1.0, 0.5)),
        (16, 2, {"workers": 2}, Shares(2, 1.0, 1.0)),
        (16, 2, {"workers": 1}, Shares(1, 1.0, 1.0)),
        (16, 2, {"gpu": 0.3}, Shares(6, 1.0, 0.3)),
        (16, 2, {"gpu": 0.3, "workers": 4}, Shares(4, 1.0, 0.3)),
        (16, 2, {"gpu": 0.0}, Shares(16, 1.0, 0.0)),
        (4, 2, {"workers": 8}, Shares(8, 0.5, 0.25)),
        (2, 1, {}, Shares(2, 1.0, 0.5)),
        (1, 2, {}, Shares(2, 0.5, 1.0)),
    ],
)
def test_workers_share_what_there_is(
    cpus: int, gpus: int, config: dict[str, Any], expected: Shares
) -> None:
    resources = {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {})
    assert RayConfig(**config).share(resources) == expected


@pytest.mark.parametrize(("gib", "workers"), [(1, 1), (3.9, 1), (4, 2), (6, 3), (8, 4), (80, 4)])
def test_each_worker_on_a_gpu_has_two_gib_of_it(gib: float, workers: int) -> None:
    resources = {"CPU": 16.0, "GPU": 1.0, GPU_BYTES: gib * 2**30}
    assert RayConfig().share(resources).workers == workers
    assert RayConfig(workers=5).share(resources).workers == 5


def test_more_workers_than_the_gpus_hold_are_refused_with_what_would_do() -> None:
    expected = r"ray.workers=8 with ray.gpu=0.5 is more than the 2 GPUs here hold; at most 4"
    with pytest.raises(ConfigError, match=expected + r" workers, or ray.gpu=0.25"):
        RayConfig(workers=8, gpu=0.5).share({"CPU": 8, "GPU": 2})


def test_a_share_of_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ray.gpu=0.5: Ray finds no GPU here; ray.gpu=0"):
        RayConfig(gpu=0.5).share({"CPU": 8})


def test_a_recipe_for_the_cpu_takes_every_core_of_a_machine_with_gpus() -> None:
    assert RayConfig().share({"CPU": 64, "GPU": 1}, "cpu") == Shares(64, 1.0, 0.0)
    with pytest.raises(ConfigError, match=r"ray.gpu=0.5: trainer.device=cpu trains on no GPU"):
        RayConfig(gpu=0.5).share({"CPU": 64, "GPU": 1}, "cpu")


def test_one_gpu_by_its_number_is_refused_to_workers_with_what_would_do(tmp_path: Path) -> None:
    expected = "trainer.device=cuda:1: .* CUDA_VISIBLE_DEVICES=1 .* ray.workers=0 trains on cuda:1"
    with (
        pytest.raises(ConfigError, match=expected),
        cluster(RayConfig(), tmp_path, device="cuda:1"),
    ):
        pass


# Addresses


def test_an_address_without_a_cluster_is_refused_in_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(StudyError, match=f"ray.address={address}: there is no Ray cluster"),
        cluster(RayConfig(address=address), tmp_path),
    ):
        pass
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_an_address_where_something_else_answers_is_refused(tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(100)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(StudyError, match=f"{address}: there is no Ray cluster .something else"),
            cluster(RayConfig(address=address), tmp_path),
        ):
            pass


@pytest.mark.parametrize("address", ["nonsense", "ray://127.0.0.1:10001", "http://x:1"])
def test_an_address_of_another_kind_is_refused(tmp_path: Path, address: str) -> None:
    with (
        pytest.raises(StudyError, match=f"ray.address={address}: this is no address of a Ray"),
        cluster(RayConfig(address=address), tmp_path),
    ):
        pass


# Searches


@pytest.mark.usefixtures("registries")
def test_one_worker_does_what_this_process_does_bit_for_bit(
    session: Cluster, tmp_path: Path, heard: Heard
) -> None:
    base = evaluator()
    scripted = Parsing(base.clips, base.protocol)
    for name in ("here", "ray"):
        (tmp_path / name).mkdir()
    extension = tmp_path / "blocks.py"
    extension.write_text(
        "import os, pathlib\npathlib.Path(__file__).with_suffix(f'.{os.getpid()}').touch()\n"
    )
    load_extensions([extension], trust=True)
    with search(tmp_path / "here", scripted, trials=TRIALS) as driver:
        local.run(driver, scripted)
        expected = history(driver)
    with (
        in_session(session, RayConfig(workers=1, gpu=0.0), tmp_path, heard) as workers,
        search(tmp_path / "ray", scripted, trials=TRIALS, on_event=heard.append) as driver,
    ):
        workers.run(driver, scripted, [extension])
        assert history(driver) == expected
    assert read(tmp_path / "ray" / "ledger.jsonl") == read(tmp_path / "here" / "ledger.jsonl")
    loaded = {int(file.suffix[1:]) for file in tmp_path.glob("blocks.*[0-9]")}
    assert len(loaded) == 2  # by this process, and by the worker
    assert os.getpid() in loaded
    assert heard[0] == WorkersReady(1, 0.0, session.dashboard, session.token)
    assert not list(tmp_path.rglob("ray-tune"))


def test_three_workers_share_two_gpus_and_are_reused(
    session: Cluster, tmp_path: Path, heard: Heard
) -> None:
    scripted = telling(tmp_path, workers=3)
    belongs = (scripted.seed, scripted.clips.fingerprint, code_version())
    runs = StudyRuns(tmp_path, "faces", "search", scripted.protocol, belongs)
    tracking = Tracking(runs, (), heard.append)
    with (
        cluster(RayConfig(workers=3), tmp_path, tracking) as workers,
        search(tmp_path, scripted, trials=10, pruner="none", on_event=tracking) as driver,
    ):
        assert workers.shares == Shares(3, 0.6666, 0.5)
        workers.run(driver, scripted)
        counts = driver.counts
        best = driver.best
    by_process: dict[int, set[str]] = {}
    titles = defaultdict(set)
    for key, _, (pid, ids, visible, title), _ in places(tmp_path):
        titles[key].add(title)
        assert [str(n) for n in ids] == [visible]
        by_process.setdefault(pid, set()).add(visible)
    on = Counter(gpu for (gpu,) in by_process.values())
    assert sorted(on.items()) in ([("0", 1), ("1", 2)], [("0", 2), ("1", 1)])
    assert counts["complete"] + counts["failed"] == 10
    assert counts["failed"] >= 1  # those with y = 1, of which the point `low` is one
    failed = [e for e in heard.of(Ended) if isinstance(e, Ended) and e.outcome == "failed"]
    assert {event.reason for event in failed} == {"FloatingPointError: the loss is not finite"}

    # Ray names a reused worker once, so its process and its log name the trial that it trains.
    trials = driver.study.get_trials()
    numbers = {trial.user_attrs.get("candidate"): trial.number for trial in trials}
    assert titles == {key: {f"ray::trial {numbers[key]}"} for key in titles}
    lines = _worker_log(session)
    for trial in driver.study.get_trials(states=[TrialState.COMPLETE]):
        done = [line for line in lines if re.search(rf"\] trial {trial.number}: toy:s", line)]
        assert len(done) >= 12
    assert any("trial 0: fold 2 failed" in line for line in lines)
    assert _counted("mer_nas_folds", "trial 0", {'outcome="done"': 2.0, 'outcome="failed"': 1.0})
    assert best is not None
    assert _counted("mer_nas_best_uf1", "", {"": pytest.approx(best.value)})
    assert _counted("mer_nas_failed", "", {"": float(counts["failed"])})
    assert {actor["class_name"] for actor in _asked(session, "actors")} == {ACTOR}


def test_numbers_of_a_trial_stay_in_rays_metrics_until_it_ends(session: Cluster) -> None:
    run = TrackedRun("faces", "trial 77", "identity")
    gauges = RayGauges("faces", every=0.2)
    with contextlib.closing(gauges):
        values = {"uf1_partial": 0.625, "folds_done": 3.0, "fold_seconds": 4.0}
        assert gauges.told([RunBegan(run), RunAdvanced(run, 3, 12, values)])
        time.sleep(4)  # twice as long as Ray keeps what is not set again
        assert _counted("mer_nas_uf1_partial", run.name, {"": 0.625})
        assert _counted("mer_nas_folds_done", run.name, {"": 3.0})
        gauges.told([RunEnded(run, "pruned", "", None, ())])
        end = time.monotonic() + 60
        while _metric_lines("mer_nas_uf1_partial", run.name):
            assert time.monotonic() < end
            time.sleep(0.5)


def _asked(session: Cluster, what: str) -> list[Any]:
    """What the dashboard says of Ray's state."""
    token = Path(session.token).read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{session.dashboard}/api/v0/{what}", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as page:
        found: list[Any] = json.load(page)["data"]["result"]["result"]
    return found


def _worker_log(session: Cluster) -> list[str]:
    logs = session.logs
    return [line for file in logs.glob("worker-*.out") for line in file.read_text().splitlines()]


def _counted(metric: str, trial: str, wanted: Mapping[str, Any]) -> bool:
    """Whether Ray comes to tell a Prometheus server these numbers; it takes some seconds.

    They are told apart by what stands in their lines; `trial` is empty for the study's own.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        own = _metric_lines(metric, trial)
        found = {
            word: float(line.rpartition(" ")[2]) for word in wanted for line in own if word in line
        }
        if found == wanted:
            return True
        time.sleep(0.5)
    return False


def _metric_lines(metric: str, trial: str) -> list[str]:
    """The lines of one number, as a Prometheus server is told them."""
    import ray

    (node,) = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    tag = f'trial="{trial}"' if trial else 'study="faces"'
    with urllib.request.urlopen(url, timeout=10) as page:
        lines = page.read().decode().splitlines()
    return [x for x in lines if (f"{metric}{{" in x or f"{metric}_total{{" in x) and tag in x]


def test_a_job_whose_worker_dies_goes_on_from_its_last_fold_once(
    session: Cluster, tmp_path: Path, heard: Heard
) -> None:
    scripted, backs = telling(tmp_path), []
    plain = (("kind", "plain"), ("x", 0.5), ("y", 0))
    sketches = {
        name: Sketch((("dies", dies), *plain))
        for name, dies in [("sturdy", 0), ("frail", 1), ("doomed", 2)]
    }
    sketches["blind"] = Sketch((("blind", 11), *plain))
    sketches["shy"] = Sketch((("shy", 4), *plain))
    sketches["staring"] = Sketch((("stares", 2), *plain))
    sketches["hanging"] = Sketch((("hangs", 2), *plain))
    sketches["large"] = Sketch((("large", 4), *plain))
    sketches["larger"] = Sketch((("large", 5), ("kind", "plain"), ("x", 0.6), ("y", 0)))
    with (
        in_session(session, RayConfig(workers=1, gpu=0.0), tmp_path, heard) as workers,
        Ledger(tmp_path / "ledger") as ledger,
    ):
        stage = Measurement(
            sketches,  # type: ignore[arg-type]
            1,
            clips=scripted.clips,
            protocol=scripted.protocol,
            seed=0,
            ledger=ledger,
            code=code_version(),
            hindsight=backs.append,
            on_event=heard.append,
        )
        workers.run(stage, scripted)
    ended = {e.label: (e.outcome, e.done) for e in heard.of(Ended) if isinstance(e, Ended)}
    assert ended == {
        "sturdy, seed 1 of 1": ("complete", 12),
        "frail, seed 1 of 1": ("complete", 12),
        "doomed, seed 1 of 1": ("failed", 3),
        "blind, seed 1 of 1": ("complete", 12),
        "shy, seed 1 of 1": ("complete", 12),
        "staring, seed 1 of 1": ("complete", 12),
        "hanging, seed 1 of 1": ("failed", 2),
        "large, seed 1 of 1": ("complete", 12),
        "larger, seed 1 of 1": ("failed", 5),
    }
    looks = Counter(back.candidate for back in backs)
    assert {name: looks[sketch.key] for name, sketch in sketches.items()} == {
        "sturdy": 12, "frail": 12, "doomed": 3, "blind": 11, "shy": 4, "staring": 2,
        "hanging": 2, "large": 12, "larger": 5,
    }  # fmt: skip
    trained = Counter((key, index) for key, index, *_ in places(tmp_path))
    assert set(trained.values()) == {1}
    notes = [event.text for event in heard.of(Note) if isinstance(event, Note)]
    assert [note.partition(" (")[0] for note in notes] == [
        *(
            f"{name}, seed 1 of 1: its worker died and another goes on"
            for name in ("frail", "doomed", "shy")
        ),
        *(
            f"{name}, seed 1 of 1: its worker ended in looking back, so it does without"
            for name in ("shy", "staring")
        ),
        *(
            f"{name}, seed 1 of 1: MemoryError; it is tried once more, with nothing beside it"
            for name in ("large", "larger")
        ),
    ]
    assert stage.failures["doomed, seed 1 of 1"].startswith("its worker died twice: ")
    assert stage.failures["hanging, seed 1 of 1"].startswith("FoldHangs: no epoch came to its end")
    assert stage.failures["larger, seed 1 of 1"] == "MemoryError"


def test_what_the_source_raises_ends_the_run_and_is_raised(
    session: Cluster, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = evaluator()
    scripted = Parsing(base.clips, base.protocol)

    def full(ledger: Ledger, result: FoldResult) -> bool:
        if len(ledger) == 5:
            raise StudyError("no space left on device")
        return append(ledger, result)

    append = Ledger.append
    monkeypatch.setattr(Ledger, "append", full)
    with (
        in_session(session, RayConfig(workers=1, gpu=0.0), tmp_path, heard) as workers,
        search(tmp_path, scripted, trials=3) as driver,
        pytest.raises(StudyError, match="no space left on device"),
    ):
        workers.run(driver, scripted)
    assert len(read(tmp_path / "ledger.jsonl")) == 5


def test_the_dashboard_is_for_this_machine_and_asks_for_a_token(session: Cluster) -> None:
    assert session.dashboard.startswith("http://127.0.0.1:")
    assert Path(session.token).read_text().strip()


def test_nothing_that_lies_in_the_working_directory_is_imported(session: Cluster) -> None:
    import ray

    paths = ray.get(ray.remote(lambda: [str(Path.cwd()), *sys.path]).remote())
    assert paths[0] == str(session.folder)  # where it begins for a worker too
    assert paths[0] not in paths[1:]
    assert not (session.folder / "ran").exists()


def test_everything_of_ray_listens_on_this_machine_alone(session: Cluster) -> None:
    family = {os.getpid(), *(process.pid for process in Process.of(os.getpid()).descendants())}
    here = listening(family)
    assert len(here) > 5  # the dashboard, the metrics, the head and the workers
    assert {ip_address(address) for address in here} <= {
        ip_address("127.0.0.1"),
        ip_address("::1"),
        ip_address("::ffff:127.0.0.1"),
    }


def test_a_folder_that_may_be_ever_so_long_holds_every_socket_of_ray(session: Cluster) -> None:
    sockets = [path for path in session.scratch.rglob("*") if path.is_socket()]
    assert sockets
    longest = max(len(os.fsencode(path.relative_to(session.scratch))) for path in sockets)
    assert MAX_FOLDER + len("/") + longest <= (107 if sys.platform == "linux" else 103)


def test_no_process_of_ray_reports_to_anybody(session: Cluster) -> None:
    # Workers have what the raylet has; Python's processes write their titles over it.
    begun = [
        p for p in Process.of(os.getpid()).descendants() if p.name in ("raylet", "gcs_server")
    ]
    assert len(begun) == 2
    for process in begun:
        known = Path(f"/proc/{process.pid}/environ").read_text(errors="replace").split("\0")
        assert {f"{name}={value}" for name, value in SILENT.items()} <= {*known}


def listening(processes: set[int]) -> list[str]:
    """Return the addresses on which processes listen, as /proc/net/tcp and tcp6 have them."""
    sockets = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for handle in Path(f"/proc/{process}/fd").iterdir():
                with contextlib.suppress(OSError):
                    sockets.add(str(handle.readlink()).removeprefix("socket:[").rstrip("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            row = line.split()
            if row[3] == "0A" and row[9] in sockets:  # state LISTEN, and its inode
                words = bytes.fromhex(row[1].partition(":")[0])  # 32-bit words in host order
                turned = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                found.append(str(ip_address(turned)))
    return found


def test_a_process_joins_a_running_cluster_by_its_address(
    session: Cluster, tmp_path: Path
) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "bound", "ray", "1", address],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(_ends(tmp_path)) == TRIALS
    assert ray.is_initialized()


def _ends(folder: Path) -> list[str]:
    """Return the outcomes of all trials that count; there must be none that runs."""
    base = evaluator()
    scripted = Parsing(base.clips, base.protocol)
    with search(folder, scripted, trials=TRIALS, storage=sqlite_url) as driver:
        rows = history(driver)
    assert TrialState.RUNNING not in {row[1] for row in rows}
    return [row[5] for row in rows if row[5] in ("complete", "pruned", "failed")]


# Drivers that are killed


def start(folder: Path, workers: int, crash_at: str | None = None) -> subprocess.Popen[str]:
    environment = os.environ | ({} if crash_at is None else {VARIABLE: crash_at})
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), "bound", "ray", str(workers)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recorded(driver: int) -> list[Process]:
    (note,) = own_folder(NOTES).glob(f"{driver}-*.json")
    tree = json.loads(note.read_text())
    scratch = Path(tree["folder"])
    assert stat.S_IMODE(scratch.stat().st_mode) == 0o700  # Ray's own folder in it is open to all
    return [Process(**child) for child in tree["processes"]]


def crash(folder: Path, at: str) -> list[Process]:
    """Search until the driver kills itself; return the processes that it leaves behind."""
    process = start(folder, workers=1, crash_at=at)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL, errors
    return recorded(process.pid)


def test_a_search_survives_ctrl_c_then_a_kill_and_then_one_in_rays_snapshot(
    tmp_path: Path,
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    process = start(killed, workers=2)
    ledger = killed / "ledger.jsonl"
    end = time.monotonic() + 300
    while time.monotonic() < end and (not ledger.exists() or len(read(ledger)) < 6):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=600)
    assert process.returncode in (1, -signal.SIGINT, 130), output + errors
    # Inside Ray's own code the signal is raised without its name.
    assert errors.splitlines()[-1] in ("KeyboardInterrupt: SIGINT", "KeyboardInterrupt")
    assert (killed / FILE).read_text() == ""
    kept = read(ledger)
    assert len(kept) >= 6

    first = crash(killed, at="after_ledger:9")
    assert len(read(ledger)) == len(kept) + 9
    shutil.copytree(killed, whole)

    children = crash(killed, at="snapshot")
    assert not any(child.alive() for child in first)
    assert {"raylet", "gcs_server"} <= {child.name for child in children}

    histories, scripted = [], evaluator()
    for folder in (killed, whole):
        with (
            StudyLock(folder),
            search(folder, scripted, trials=TRIALS, storage=sqlite_url) as driver,
        ):
            assert not any(child.alive() for child in children)
            local.run(driver, scripted)
            histories.append(history(driver))
    assert histories[0] == histories[1]
    results = read(ledger)
    assert results[: len(kept)] == kept
    assert results == read(whole / "ledger.jsonl")
    assert set(Counter(result.key for result in results).values()) == {1}
    assert len(_ends(killed)) == TRIALS


def test_what_takes_seconds_to_import_is_imported_where_it_is_used() -> None:
    code = (
        "import sys, mer_nas.search.driver, mer_nas.search.ray_runner;"
        "print([name for name in ('ray', 'sklearn', 'timm') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600
    )
    assert done.stdout == "[]\n", done.stderr

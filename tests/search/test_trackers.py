"""Trackers: each trial a run, live and afterwards the same, and none that fails touches the search."""

import json
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from optuna.trial import TrialState
from scripted import ScriptedEvaluator, Sketch, evaluator, history, search

from mer_nas.errors import StudyError
from mer_nas.provenance import code_version
from mer_nas.report import read_report
from mer_nas.search import local
from mer_nas.search.events import Ended, FoldDone, Note, SearchEnded
from mer_nas.search.ledger import Ledger
from mer_nas.search.lock import refuse_driven
from mer_nas.tracking import StudyRuns, Tracking, adapters, track, tracking
from mer_nas.tracking.runs import News, RunAdvanced, RunBegan, RunEnded
from mer_nas.tracking.tracking import won

REPORT = Path(__file__).parents[2] / "studies" / "gates" / "report.json"
TRIALS = 8


def runs(folder: Path, scripted: ScriptedEvaluator) -> StudyRuns:
    belongs = (scripted.seed, scripted.clips.fingerprint, code_version())
    return StudyRuns(folder, "faces", "search", scripted.protocol, belongs)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A search that is done, of which some trials were pruned; its folder and history."""
    folder, scripted = tmp_path_factory.mktemp("study"), evaluator()
    with search(folder, scripted, trials=TRIALS) as driver:
        local.run(driver, scripted)
        return folder, history(driver)


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, no key, and an empty working directory."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)


def told(found: list[News]) -> dict[str, list[News]]:
    by_run = defaultdict(list)
    for each in found:
        by_run[each.run.name].append(each)
    return by_run


def test_every_trial_is_a_run_with_its_folds_its_outcome_and_a_score_where_it_is_complete(
    done: tuple[Path, list[Any]],
) -> None:
    folder, rows = done
    by_run = told(runs(folder, evaluator()).news())
    trained = [row for row in rows if row[7] is not None]
    assert list(by_run) == [f"trial {row[0]}" for row in trained]
    assert {row[5] for row in trained} == {"complete", "pruned"}
    for number, _, value, params, steps, outcome, reason, candidate in trained:
        began, *folds, ended = by_run[f"trial {number}"]
        assert isinstance(began, RunBegan)
        assert began.run.settings.items() >= {**params, "candidate": candidate}.items()
        assert isinstance(ended, RunEnded)
        assert (ended.outcome, ended.reason) == (outcome, reason or "")
        assert ended.uf1 == (value if outcome == "complete" else None)
        partial = [(each.done, each.values) for each in folds if isinstance(each, RunAdvanced)]
        assert [n for n, _ in partial] == [v["folds_done"] for _, v in partial]
        assert [n for n, _ in partial] == list(range(1, len(partial) + 1))
        assert partial[-1][1]["uf1_partial"] == pytest.approx(max(steps.items())[1])


def test_what_is_told_while_a_search_runs_is_what_is_told_afterwards(tmp_path: Path) -> None:
    scripted = evaluator()
    live, found = runs(tmp_path, scripted), list[News]()

    def hear(event: object) -> None:
        if isinstance(event, FoldDone | Ended | SearchEnded):
            found.extend(live.news())

    with search(tmp_path, scripted, trials=TRIALS, on_event=hear) as driver:
        local.run(driver, scripted)
    assert live.news() == []
    assert told(found) == told(runs(tmp_path, scripted).news())


def test_folds_that_the_final_stage_adds_to_a_pruned_trial_are_no_part_of_its_run(
    tmp_path: Path, at_home: None, heard: Heard
) -> None:
    """As where the final stage has the folds and the recipe of the search."""
    scripted = evaluator()
    with Tracking(runs(tmp_path, scripted), ["tensorboard"], heard.append) as live:
        with search(tmp_path, scripted, trials=TRIALS, on_event=live) as driver:
            local.run(driver, scripted)
            trials = driver.study.get_trials()
        before = told(runs(tmp_path, scripted).news())
        pruned = next(each.user_attrs for each in trials if each.state == TrialState.PRUNED)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            done = {fold.fold for fold in ledger if fold.candidate == pruned["candidate"]}
            rest = [n for n, f in enumerate(scripted.protocol.folds) if f.key not in done]
            for result in scripted.folds(Sketch.parse(pruned["tree"], ""), rest):
                ledger.append(result)
        assert rest
        live.catch_up()
    assert live.notes == []
    assert told(runs(tmp_path, scripted).news()) == before


def test_tensorboard_reads_every_run_and_the_same_once_it_is_told_again(
    done: tuple[Path, list[Any]], at_home: None
) -> None:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    folder, rows = done
    for _ in range(2):
        assert track(runs(folder, evaluator()), "tensorboard", None) == 8
    shown = EventMultiplexer().AddRunsFromDirectory(str(folder / "tracking" / "tensorboard"))
    shown.Reload()
    assert sorted(shown.Runs()) == [f"trial-{row[0]}" for row in rows if row[7]]
    for number, _, value, *_, outcome, _, _ in (row for row in rows if row[7]):
        scalars = shown.Runs()[f"trial-{number}"]["scalars"]
        assert ("uf1" in scalars) == (outcome == "complete")
        # A second file of the same second would be of the same name.
        assert len(list((folder / f"tracking/tensorboard/trial-{number}").glob("events.*"))) == 1
        events = shown.Scalars(f"trial-{number}", "uf1_partial")
        assert [event.step for event in events] == list(range(1, len(events) + 1))
        if outcome == "complete":
            assert events[-1].value == pytest.approx(value, abs=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between MLflow and its SQLAlchemy
def test_mlflow_keeps_every_run_once_and_the_winner_with_its_artefacts(
    done: tuple[Path, list[Any]], at_home: None
) -> None:
    from mlflow import MlflowClient

    folder, rows = done
    report = read_report(REPORT)
    (folder / "report.json").write_bytes(REPORT.read_bytes())
    for _ in range(2):
        track(runs(folder, evaluator()), "mlflow", report)
    client = MlflowClient(f"sqlite:///{folder}/tracking/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("faces")
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    trained = [row for row in rows if row[7]]
    assert sorted(found) == sorted([*(f"trial {row[0]}" for row in trained), "winner"])
    assert len(client.search_runs([experiment.experiment_id])) == len(trained) + 1
    for number, _, value, params, steps, outcome, reason, _ in trained:
        run = found[f"trial {number}"]
        assert run.data.tags["outcome"] == outcome
        assert run.data.tags.get("reason", "") == (reason or "")
        assert run.data.params["x"] == str(params["x"])
        assert run.data.metrics.get("uf1") == (value if outcome == "complete" else None)
        assert run.info.status == {"complete": "FINISHED", "pruned": "KILLED"}[outcome]
        kept = client.get_metric_history(run.info.run_id, "uf1_partial")
        assert kept[-1].step == run.data.metrics["folds_done"] == len(kept)
        assert kept[-1].value == pytest.approx(max(steps.items())[1])
        assert "uf1_corrected" not in run.data.metrics
    winner, headline = found["winner"], report.study.headline
    assert headline is not None
    assert winner.data.metrics["uf1_corrected"] == headline.uf1.value
    (kept,) = client.list_artifacts(winner.info.run_id)
    assert kept.path == "report.json"


def written(file: Path) -> bytes:
    """What a file of wandb holds, its records put together from blocks of 32 KiB, as LevelDB's are."""
    content, found, place = file.read_bytes(), b"", 7
    while place < len(content):
        if 32768 - place % 32768 < 7:  # no head of a part would fit there
            place += 32768 - place % 32768
            continue
        size = int.from_bytes(content[place + 4 : place + 6], "little")
        found += content[place + 7 : place + 7 + size]
        place += 7 + size
    return found


def test_wandb_writes_every_run_for_later_where_no_key_is_known(
    done: tuple[Path, list[Any]], at_home: None, tmp_path: Path
) -> None:
    folder, rows = done
    track(runs(folder, evaluator()), "wandb", None)
    files = {
        file.stem.rpartition("-")[2]: file for file in tmp_path.glob("wandb/offline-*/*.wandb")
    }
    trained = {str(row[0]): row for row in rows if row[7]}
    assert files.keys() == trained.keys()
    for number, row in trained.items():
        end, content = time.monotonic() + 60, b""
        while json.dumps(row[5]).encode() not in content:  # wandb's own process writes it
            assert time.monotonic() < end, content[-500:]
            content = written(files[number])
        for word in (b"uf1_partial", b"folds_done", f"trial {number}".encode(), b"faces"):
            assert word in content
    track(runs(folder, evaluator()), "wandb", None)
    assert len(list(tmp_path.glob("wandb/offline-*"))) == len(trained)  # none is told twice


def test_the_winner_is_what_the_report_hands_over_and_alone_has_a_corrected_score(
    done: tuple[Path, list[Any]],
) -> None:
    folder, _ = done
    report = read_report(REPORT)
    assert report.answer is not None
    assert report.study.headline is not None
    news = won(runs(folder, evaluator()), report)
    assert news is not None
    assert news.run.settings["winner"] == report.answer.label
    expected = {"uf1": report.answer.uf1.mean, "uf1_corrected": report.study.headline.uf1.value}
    assert news.values == expected


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and nobody else comes to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_trackers_that_cannot_be_reached_or_are_not_there_are_a_line_and_the_search_goes_on(
    tmp_path: Path,
    at_home: None,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    closed_port: int,
    done: tuple[Path, list[Any]],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setitem(adapters.MODULES, "wandb", "a_module_that_is_not_there")  # type: ignore[arg-type]
    scripted = evaluator()
    with Tracking(runs(tmp_path, scripted), ["mlflow", "wandb"], heard.append) as told:
        with search(tmp_path, scripted, trials=TRIALS, on_event=told) as driver:
            local.run(driver, scripted)
            assert history(driver) == done[1]
        told.catch_up()
        notes = [event.text for event in heard if isinstance(event, Note)]
        assert notes == told.notes
    missing, unreached = notes
    assert missing == (
        "tracker wandb: wandb is not installed; `pip install 'mer-nas[wandb]'` brings it; the "
        f"search goes on without it, and `mer-nas track {tmp_path} wandb` makes up for it"
    )
    assert unreached.startswith("tracker mlflow: API request to http://127.0.0.1:")
    assert unreached.endswith(f"`mer-nas track {tmp_path} mlflow` makes up for it")
    with pytest.raises(StudyError, match=r"^tracker mlflow: API request to http://127"):
        track(runs(tmp_path, scripted), "mlflow", None)
    with pytest.raises(StudyError, match=r"^wandb is not installed; `pip install 'mer-nas\[wandb"):
        track(runs(tmp_path, scripted), "wandb", None)
    refuse_driven(tmp_path)


def test_a_tracker_that_hangs_holds_nobody_up(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    let_go = threading.Event()

    class Hanging(adapters.Tracker):
        def begin(self, run: object) -> bool:
            return let_go.wait()

    monkeypatch.setattr(tracking, "WAIT", 0.01)
    monkeypatch.setattr(tracking, "open_tracker", lambda name, folder: Hanging(folder))
    scripted = evaluator()
    with Tracking(runs(tmp_path, scripted), ["mlflow"], heard.append) as told:
        with search(tmp_path, scripted, trials=3, on_event=told) as driver:
            local.run(driver, scripted)
            assert sum(driver.counts.values()) == 3
        told.catch_up()
    let_go.set()
    (note,) = told.notes
    assert note.startswith("tracker mlflow: it does not answer within 0.01 s; the search goes on")


def test_a_study_without_trials_has_nothing_to_tell(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"trials\.jsonl: holds no trial that was trained"):
        track(runs(tmp_path, evaluator()), "tensorboard", None)

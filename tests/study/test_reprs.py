"""What a notebook shows of whatever the public functions return: a few facts, in a line or two."""

import inspect
from pathlib import Path

import pytest

from mer_nas import api
from mer_nas.evaluation.metrics import scores
from mer_nas.evaluation.timing import Timing
from mer_nas.prediction.predict import Prediction
from mer_nas.report import read_report
from mer_nas.study.clips import load_clips
from mer_nas.study.evaluate import Evaluated
from mer_nas.study.leaderboard import read_leaderboard
from mer_nas.study.reproduction.reported_result import read_reported_result
from mer_nas.study.reproduction.reproduce import Reproduction
from mer_nas.study.reproduction.verdicts import Number


@pytest.fixture
def returned(study: Path) -> list[object]:
    """One of each type that the public functions return, of a study with all its parts."""
    found = api.load_study(study)
    candidate, settings = found.finalists[0], api.settings("space=hybrid")
    reported = read_reported_result(str(study))
    return [
        found,
        settings,
        candidate,
        found.report,
        api.compare(str(study), "rank2"),
        api.plan(data={"subjects": 4, "clips": 24}, folds=2, ray={"workers": 0}),
        api.check(space="progressive"),
        api.check_data(data={"subjects": 4, "clips": 24}),
        api.system("prog_s"),
        Timing(1.5, 0.5, "a processor, one thread"),
        api.open_export(study),
        api.load_model(study / "export" / "rank1"),
        Evaluated(
            "seed", candidate, "LOSO", (scores([0, 1], [0, 1], 2),), study, 0, "0" * 16, "0" * 12
        ),
        Reproduction(reported, (), tuple([Number("UF1, seed 1", 0.5, 0.5)] * 500), study),
        read_leaderboard(Path(__file__).parents[2] / "studies" / "leaderboard"),
        Prediction("x" * 20, "positive", {"positive": 0.75, "negative": 0.25}, 1, 2, "given"),
    ]


def test_everything_that_is_returned_fits_into_a_few_lines(returned: list[object]) -> None:
    functions = [getattr(api, name) for name in api.__all__ if name != "Study"]
    functions += [member for _, member in inspect.getmembers(api.Study, inspect.isfunction)]
    types = {inspect.signature(function).return_annotation for function in functions}
    # Besides folders, plain values, networks of torch, which show their layers, and an address.
    ours = {name for name in types if isinstance(name, str) and name.isidentifier()} - {
        "Path",
        "Tree",
        "Classifier",
        "LiveServer",
        "str",
        "int",
        "None",
    }
    assert ours <= {type(each).__name__ for each in returned}
    for each in returned:
        assert len(repr(each)) < 400, type(each)
        assert repr(each).count("\n") < 3
        assert repr(each).startswith(f"{type(each).__name__}(")


def test_so_does_what_they_consist_of(returned: list[object], study: Path) -> None:
    report = read_report(study / "report.json")
    settings = api.settings("space=hybrid")
    inside: list[object] = [report, report.study, report.answer, report.ranking[0]]
    inside += [report.study.finalists[0], report.study.trials[0], report.study.data]
    inside += [settings.space, settings.space.file, settings.study, settings.trainer]
    inside += [load_clips(settings), api.point("prog_s").architecture]
    for each in inside:
        assert len(repr(each)) < 400, type(each)
    assert repr(report).startswith("Report(study='small-faces-1', trials=3, winner='")
    assert "uf1=" in repr(report)

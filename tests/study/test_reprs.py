"""What a notebook shows of whatever the public functions return: a few facts, in a line or two."""

import inspect
import typing
from pathlib import Path

import pytest
from torch import nn

from mer_nas import api
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.metrics import scores
from mer_nas.prediction.predict import Prediction
from mer_nas.report import read_report
from mer_nas.study import load_clips
from mer_nas.study.evaluate import Evaluated
from mer_nas.study.reproduce import Number, Reproduction, read_reported_result


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
        api.compare(str(study), "rank2"),
        api.load_model(study / "export" / "rank1"),
        Evaluated(
            "seed", candidate, "LOSO", (scores([0, 1], [0, 1], 2),), study, 0, "0" * 16, "0" * 12
        ),
        Reproduction(reported, (), tuple([Number("UF1, seed 1", 0.5, 0.5)] * 500), study),
        Prediction("x" * 20, "positive", {"positive": 0.75, "negative": 0.25}, 1, 2, "given"),
    ]


def test_everything_that_is_returned_fits_into_a_few_lines(returned: list[object]) -> None:
    functions = [getattr(api, name) for name in api.__all__ if name != "Study"]
    functions += [member for _, member in inspect.getmembers(api.Study, inspect.isfunction)]
    types = {typing.get_type_hints(function).get("return") for function in functions}
    # A folder, a network of torch, which shows its layers as all of them do, and nothing.
    types -= {Path, nn.Module, type(None), str, bool, int, None, list[Candidate]}
    shown = {type(each) for each in returned}
    assert {kind for kind in types if inspect.isclass(kind)} <= shown
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

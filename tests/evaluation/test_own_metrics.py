"""Metrics of the user's own: beside UF1 wherever scores are told, and of no influence."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import cohen_kappa_score

from mer_nas.architectures import load_extensions
from mer_nas.evaluation.own_metrics import try_metrics
from mer_nas.report import SeedScores
from mer_nas.study.reproduction import compared

Call = Callable[..., Result]
METRIC = """
import numpy as np
from sklearn.metrics import cohen_kappa_score

from mer_nas.evaluation.own_metrics import metric


@metric("kappa")
def kappa(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return cohen_kappa_score(labels, probabilities.argmax(1))
"""

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def with_metric(tiny: list[str]) -> Callable[..., list[str]]:
    """Writes the metric, with something in it replaced, and a space that names its file."""

    def write(*change: str) -> list[str]:
        assert not change or change[0] in METRIC
        Path("kappa.py").write_text(METRIC.replace(*change) if change else METRIC)
        space = Path("space.yaml")
        space.write_text(f"extensions: [kappa.py]\n{space.read_text()}")
        return tiny

    return write


def test_a_metric_of_ones_own_stands_beside_uf1_as_scikit_learn_has_it(
    call: Call, with_metric: Callable[..., list[str]]
) -> None:
    words = [*with_metric(), "study.trials=1", "study.final.seeds=1", "study.name=own"]
    made = call("search", *words)
    assert made.exit_code == 0, made.output
    report = json.loads(Path("runs/own/report.json").read_text())
    (score,) = report["study"]["finalists"][0]["scores"]
    pairs = [
        (label, said)
        for label, row in enumerate(score["confusion"])
        for said, many in enumerate(row)
        for _ in range(many)
    ]
    expected = cohen_kappa_score(*zip(*pairs, strict=True))
    assert score["own"] == {"kappa": pytest.approx(expected)}
    assert report["answer"]["own"]["kappa"]["mean"] == pytest.approx(expected)
    text = Path("runs/own/report.md").read_text()
    assert "| F1, mean of folds | kappa |" in text
    assert '<th class="n">kappa</th>' in Path("runs/own/report.html").read_text()
    again = call("reproduce", "runs/own/report.json", "ray.workers=0", "--json")
    found = json.loads(again.stdout)
    assert found["verdict"] == "identical", again.stderr
    assert "kappa, seed 1" in {number["name"] for number in found["numbers"]}
    measured = call("evaluate", *words[:-3], "point=seed", "study.folds=loso")
    assert ", kappa " in measured.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("cohen_kappa_score(labels, probabilities.argmax(1))", '"high"'),
            "kappa.py, line 8: the metric 'kappa' gives 'high'; one number would do",
        ),
        (
            ("cohen_kappa_score(labels, probabilities.argmax(1))", 'float("nan")'),
            "kappa.py, line 8: the metric 'kappa' gives nan; one number would do",
        ),
        (
            ("probabilities.argmax(1)", "probabilities[9]"),
            "kappa.py, line 8: the metric 'kappa' fails: IndexError: index 9 is out of bounds",
        ),
        (
            ("labels: np.ndarray, ", "labels, "),
            "kappa.py, line 8: the metric 'kappa' has no annotation of labels; (labels: ndarray, "
            "probabilities: ndarray) -> float would be right",
        ),
        (
            ("labels: np.ndarray, probabilities: np.ndarray", "truth: np.ndarray"),
            "kappa.py, line 8: the metric 'kappa' takes (truth); (labels: ndarray",
        ),
    ],
)
def test_what_is_wrong_with_a_metric_is_said_with_its_line_before_anything_is_trained(
    change: tuple[str, str],
    message: str,
    call: Call,
    with_metric: Callable[..., list[str]],
) -> None:
    words = with_metric(*change)
    for verb in ("check", "search"):
        refused = call(verb, *(words[:1] if verb == "check" else words))
        assert refused.exit_code == 2
        assert refused.stderr.startswith("mer-nas: "), refused.stderr
        assert message in refused.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize("classes", range(2, 13))
def test_a_metric_that_needs_an_answer_of_each_class_is_tried_on_such(
    classes: int, with_metric: Callable[..., list[str]]
) -> None:
    with_metric(
        "cohen_kappa_score(labels, probabilities.argmax(1))",
        "float(1 / np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]).min())",
    )
    load_extensions([Path("kappa.py")], trust=True)
    try_metrics([Path("kappa.py")], classes)


def test_a_metric_that_one_seed_lacks_is_not_held_against_the_report() -> None:
    made = SeedScores.of(np.eye(2, dtype=int), repetition=0, own={"kappa": 1.0, "other": 2.0})
    lost = made.model_copy(update={"repetition": 1, "own": {"other": 3.0}})
    for then, now in (([made, lost], [made, made]), ([made, made], [made, lost])):
        names = {number.name for number in compared._metrics(then, now)}
        assert {"other, seed 1", "other, seed 2", "other, mean"} <= names
        assert not any("kappa" in name for name in names)


def test_two_metrics_of_one_name_are_refused_with_both_lines(
    call: Call, with_metric: Callable[..., list[str]]
) -> None:
    again = METRIC[METRIC.index("@metric") :]
    words = with_metric("argmax(1))\n", f"argmax(1))\n\n\n{again}")
    refused = call("check", words[0])
    assert refused.exit_code == 2
    assert (
        "kappa.py, line 13: another metric is called 'kappa': kappa.py, line 8"
    ) in refused.stderr

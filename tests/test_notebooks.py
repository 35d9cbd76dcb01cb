"""The notebooks in `examples` run, cell by cell, and say what their texts promise.

Their cells run in this process, one notebook after another in one folder: a kernel would add
nothing but the seconds of its start. What IPython adds to a cell is not used in them.
"""

import ast
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mer_nas import api
from mer_nas.search.events import FoldDone, Preparing, Started
from mer_nas.study.notebook import NotebookView, in_notebook

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def cells(notebook: Path) -> Iterator[str]:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert "outputs" not in cell or cell["outputs"] == []
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def run(notebook: Path) -> list[Any]:
    """What the last expression of each cell is."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells(notebook):
        *before, last = ast.parse(cell).body
        if not isinstance(last, ast.Expr):
            before, last = [*before, last], ast.parse("None").body[0]
        assert isinstance(last, ast.Expr)
        exec(compile(ast.Module(before, []), notebook.name, "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names))
    return shown


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    """What the cells of each notebook show; a running event loop is there, as in a kernel."""

    async def every() -> dict[str, list[Any]]:
        return {notebook.stem: run(notebook) for notebook in EXAMPLES}

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        yield asyncio.run(every())  # studies are named by where they lie


def test_the_first_search_shows_its_study_trials_and_folds(said: dict[str, list[Any]]) -> None:
    _, _, study, trials, folds, values, (chances, features), _ = said["1_first_search"]
    assert list(trials.number) == [0, 1]
    complete = trials[trials.outcome == "complete"]
    assert values == [pytest.approx(complete.uf1.max())]
    assert folds.clips.min() >= 12
    assert chances.sum().item() == pytest.approx(1)
    assert features > 0
    assert repr(study).startswith(
        "Study('runs/moe-synthetic-1', study='moe-synthetic-1', trials=2"
    )


def test_a_study_shows_itself_as_a_table_in_which_names_are_texts(
    said: dict[str, list[Any]],
) -> None:
    shown = said["1_first_search"][2]._repr_html_()
    assert "<strong>moe-synthetic-1</strong>" in shown
    assert shown.count("<tr>") == 2
    assert "no report yet" in api.Study(Path("<b>nowhere"))._repr_html_()
    assert "&lt;b&gt;nowhere" in api.Study(Path("<b>nowhere"))._repr_html_()


def test_own_data_are_checked_and_measured(said: dict[str, list[Any]]) -> None:
    written, found, (protocol, uf1) = said["2_own_data"]
    assert written == sum(each.found for each in found.counts if each.what == "clips annotated")
    assert protocol == "2 subject groups"
    assert 0 <= uf1 <= 1


def test_an_own_network_is_searched(said: dict[str, list[Any]]) -> None:
    _, trials, network = said["3_own_network"]
    assert list(trials.columns) == [
        "uf1",
        "params_architecture.network.width",
        "params_trainer.lr",
    ]
    assert "Shallow" in repr(network)


def test_a_report_is_read_and_reproduced(said: dict[str, list[Any]]) -> None:
    report, _, (_, protocol, _), (classes, counts), ranking, verdict = said["4_reading_a_report"]
    assert report.answer.uf1.seeds == 1
    assert protocol == "LOSO"
    assert [len(classes), sum(map(sum, counts))] == [3, 12]
    assert ranking[0][0] == 1
    assert verdict == "identical"


def test_a_program_without_this_package_says_the_same(said: dict[str, list[Any]]) -> None:
    files, _, _, mine = said["5_without_mer_nas"]
    assert {"model.onnx", "model.yaml"} <= set(files)
    assert sum(mine.values()) == pytest.approx(1)


def test_a_view_of_a_notebook_draws_at_most_twice_a_second_but_every_beginning() -> None:
    now, shown = [0.0], list[str]()
    view = NotebookView(shown.append, lambda: now[0])
    view(Preparing(0, 10))
    view(Preparing(5, 10))
    assert shown == ["preparing clips: 0 of 10"]
    view(Started("search", "7", "trial 7", "key", 0, 4))
    assert "trial 7: 0/4 folds" in shown[-1]
    view(FoldDone("search", "7", "trial 7", "fold", 1, 4, 2.0))
    assert len(shown) == 2
    now[0] = 0.6
    view(FoldDone("search", "7", "trial 7", "fold", 2, 4, 2.0))
    assert "trial 7: 2/4 folds" in shown[-1]


def test_outside_of_a_notebook_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    in_notebook()(Preparing(0, 10))
    assert capsys.readouterr() == ("", "")

"""The published table: its figures, how they came about, and what of it is built here."""

from importlib import resources
from typing import Any

import pytest
import yaml

from mer_nas.config import presets
from mer_nas.report import StudySummary, build_report
from mer_nas.report.literature import EPOCHS, Literature


@pytest.fixture
def rows() -> dict[str, Any]:
    table = Literature.beside(442, 68, 3, "LOSO")
    assert table is not None
    return {row.name: row for row in table.rows}


def test_the_figures_are_those_of_the_papers(rows: dict[str, Any]) -> None:
    # LBP-TOP: the organisers' guideline; HTNet and EMR: their papers.
    said = {
        (name, part): (rows[name].scores[part].uf1, rows[name].scores[part].uar)
        for name in ("LBP-TOP", "HTNet", "EMR")
        for part in ("full", "samm")
    }
    assert said == {
        ("LBP-TOP", "full"): (0.5882, 0.5785),
        ("LBP-TOP", "samm"): (0.3954, 0.4102),
        ("HTNet", "full"): (0.8603, 0.8475),
        ("HTNet", "samm"): (0.8131, 0.8124),
        ("EMR", "full"): (0.7885, 0.7824),
        ("EMR", "samm"): (0.7754, 0.7152),
    }


def test_each_says_how_the_epoch_was_chosen_as_far_as_it_is_known(rows: dict[str, Any]) -> None:
    assert {row.epoch for row in rows.values()} == set(EPOCHS)
    assert rows["HTNet"].epoch == rows["EMR"].epoch == "held_out"
    assert rows["STSTNet"].epoch == rows["RCN-A"].epoch == "last"


def test_what_others_trained_again_shows_what_the_choice_of_the_epoch_gives(
    rows: dict[str, Any],
) -> None:
    again = {run.epoch: run.scores["full"].uf1 for run in rows["OFF-ApexNet"].again}
    assert again == {"last": 0.7032, "held_out": 0.8390}


def test_a_system_is_as_faithful_here_as_the_space_says_that_offers_it(
    rows: dict[str, Any],
) -> None:
    built = {row.system.point: row.system for row in rows.values() if row.system is not None}
    assert built.keys() == {
        "htnet_ref", "dre", "prog", "fdp_code", "dual", "medn",
        "ststnet", "off_apexnet", "dual_inception", "rcn_a",
    }  # fmt: skip
    assert built["htnet_ref"].fidelity == "code"
    for point, system in built.items():
        tree = presets.read("space", system.space)
        entries = [*tree.get("points", ()), *tree.get("references", ())]
        (said,) = [entry["fidelity"] for entry in entries if entry["name"] == point]
        assert system.fidelity == said


@pytest.mark.parametrize(
    ("study", "same"),
    [
        ((442, 68, 3, "LOSO"), True),
        ((309, 40, 3, "LOSO"), False),
        ((442, 68, 5, "LOSO"), False),
        ((442, 68, 3, "4 subject groups"), False),
    ],
)
def test_it_stands_beside_the_same_clips_under_the_same_protocol_alone(
    study: tuple[int, int, int, str], same: bool
) -> None:
    assert (Literature.beside(*study) is not None) is same


def test_a_report_of_other_clips_leaves_it_out(facts: StudySummary) -> None:
    assert build_report(facts).literature is None


def test_every_figure_of_the_file_stands_in_the_table() -> None:
    def figures(node: Any) -> list[float]:
        if isinstance(node, dict):
            return [number for value in node.values() for number in figures(value)]
        if isinstance(node, list | tuple):
            return [number for value in node for number in figures(value)]
        return [node] if isinstance(node, float) else []

    text = (resources.files("mer_nas.report") / "literature.yaml").read_text(encoding="utf-8")
    found = Literature.beside(442, 68, 3, "LOSO")
    assert found is not None
    assert sorted(figures(found.model_dump())) == sorted(figures(yaml.safe_load(text)))
    assert len(figures(yaml.safe_load(text))) > 100

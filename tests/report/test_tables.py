"""Published tables with our scores beside them."""

from pathlib import Path

import pytest

from mer_nas.report import StudySummary, build_report, write_report
from mer_nas.space.published import PublishedTable


@pytest.fixture
def table() -> PublishedTable:
    row = {"about": "backbone", "scores": {"SMIC": {"accuracy": 0.653, "uf1": 0.552}}}
    return PublishedTable.model_validate(
        {
            "title": "Ablation <1>",
            "source": "doi:10.1234/x, table 3",
            "data": {"SMIC": "3 classes, 167 clips", "SAMM": "5 classes"},
            "rows": [
                {"name": "A", "point": "prog_s", **row},
                {"name": "B", "point": "dre_s", "about": "both", "scores": {}},
            ],
        }
    )


def test_rows_are_compared_under_the_one_protocol_that_all_of_them_went_through(
    facts: StudySummary, table: PublishedTable
) -> None:
    """Of the two points only prog_s is a finalist, and the search kept no whole score of dre_s."""
    (mixed,) = build_report(facts.model_copy(update={"tables": (table,)})).tables
    assert mixed.ours == "synthetic (3 classes, 100 clips), 4 subject groups"
    assert [row.uf1 for row in mixed.rows] == [None, None]
    alone = table.model_copy(update={"rows": table.rows[:1]})
    (final,) = build_report(facts.model_copy(update={"tables": (alone,)})).tables
    assert final.ours == "synthetic (3 classes, 100 clips), LOSO"
    (row,) = final.rows
    finalist = facts.finalists[2]
    mean = sum(scores.uf1 for scores in finalist.scores) / 2
    assert row.uf1 is not None
    assert row.uf1.mean == pytest.approx(mean)
    assert row.published["SMIC"].accuracy == 0.653


@pytest.mark.usefixtures("undrawn")
def test_both_renderings_name_both_sources(
    facts: StudySummary, table: PublishedTable, tmp_path: Path
) -> None:
    alone = table.model_copy(update={"rows": table.rows[:1]})
    report = build_report(facts.model_copy(update={"tables": (alone,)}))
    lines = report.tables[0].to_text().splitlines()
    assert lines[0] == "Ablation <1> (doi:10.1234/x, table 3)"
    ours = report.tables[0].rows[0].uf1
    assert ours is not None
    assert lines[3].split()[:5] == [
        "A",
        "backbone",
        f"{ours.mean:.3f}",
        "+-",
        f"{ours.deviation:.3f}",
    ]
    assert lines[3].split()[-4:] == ["0.552", "0.653", "-", "-"]
    assert "  ours: synthetic (3 classes, 100 clips), LOSO" in lines
    assert "  SMIC: 3 classes, 167 clips" in lines
    html = write_report(tmp_path, report)[1].read_text(encoding="utf-8")
    assert "Ablation &lt;1&gt;" in html
    assert '<data value="0.653">0.653</data>' in html
    assert "compare what the rows do to each other" in html

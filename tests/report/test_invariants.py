"""Pairs of numbers that cannot contradict each other, in every report that the tests have."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mer_nas.report import Report, StudySummary, build_report, read_report
from mer_nas.report.files import as_markdown

PUBLISHED = Path(__file__).parents[2] / "studies" / "gates" / "report.json"


@pytest.fixture(params=["facts", "two_sets", "ensembled", "beside_an_ensemble", "published"])
def report(request: pytest.FixtureRequest) -> Report:
    if request.param == "published":
        return read_report(PUBLISHED)
    facts: StudySummary = request.getfixturevalue(request.param)
    return build_report(facts)


def blocks(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a tree."""
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, dict | list):
            yield from blocks(part)


def test_a_number_lies_in_its_interval_and_its_range(report: Report) -> None:
    for block in blocks(report.model_dump(mode="json", exclude={"study": {"settings"}})):
        for name in ("value", "mean"):
            if isinstance(block.get(name), float) and isinstance(block.get("low"), float):
                assert block["low"] <= block[name] <= block["high"], block
        if "seeds" in block and "deviation" in block:
            assert (block["deviation"] is None) == (block["seeds"] == 1), block


def test_what_is_corrected_lies_no_higher_than_what_it_corrects(report: Report) -> None:
    chosen, headline = report.study.selection, report.study.headline
    assert chosen is not None
    assert headline is not None
    assert chosen.uf1.value <= chosen.score
    assert headline.uf1.value <= headline.mean
    assert min(chosen.optimism, headline.optimism) >= 0
    assert headline.optimism == chosen.optimism
    assert chosen.score - chosen.uf1.value == pytest.approx(chosen.optimism)
    assert headline.mean - headline.uf1.value == pytest.approx(headline.optimism, abs=1e-3)


def test_parts_add_up(report: Report) -> None:
    assert sum(report.outcomes.values()) == len(report.study.trials)
    assert report.counted == sum(report.outcomes[o] for o in ("complete", "pruned", "failed"))
    matrices = [report.confusion, *(part.confusion for part in report.datasets)]
    for matrix in (each for each in matrices if each is not None):
        assert list(matrix.totals) == [sum(row) for row in matrix.counts]
        for row in matrix.shares:
            assert sum(row) in (0, pytest.approx(1))
    assert report.confusion is not None
    assert report.answer is not None
    assert report.answer.uf1.seeds == report.confusion.seeds
    assert sum(stage.share for stage in report.stages) == pytest.approx(1, abs=0.05)
    for slot in report.slots.rows if report.slots is not None else ():
        assert slot.best <= slot.trials
    for finalist in report.study.finalists:
        repetitions = [score.repetition for score in finalist.scores]
        assert len(set(repetitions)) == len(repetitions)


def test_a_name_stands_once_in_a_ranking_and_so_it_does_in_what_people_read(
    report: Report,
) -> None:
    beside = [report.ensemble] if report.ensemble is not None else []
    rows = [*beside, *report.ranking, *report.unranked]
    assert max(Counter(row.label for row in rows).values()) == 1
    assert [row.rank for row in report.ranking] == list(range(1, len(report.ranking) + 1))
    table = as_markdown(report).partition("## Ranking")[2].partition("\n\nUF1")[0]
    names = Counter(re.findall(r"^\| [^|]+ \| ([^|(]+) \(", table, re.MULTILINE))
    assert sum(names.values()) == len(rows)
    assert max(names.values()) == 1


def test_no_text_says_minus_nothing_one_things_or_more_than_all(report: Report) -> None:
    text = as_markdown(report)
    assert not re.search("[-\N{MINUS SIGN}]0\\.0+\\b", text)
    assert not re.search(r"\b1 (complete )?[a-z]+s\b(?<! 1 less)", text.partition("##")[0])
    assert all(int(share) <= 100 for share in re.findall(r"(\d+) %", text))


def test_weights_of_an_ensemble_and_its_costs_are_those_of_its_members(report: Report) -> None:
    together, answer = report.study.ensemble, report.answer
    assert answer is not None
    assert bool(answer.members) == (together is not None and together.handed_over)
    if together is not None:
        assert sum(member.weight for member in together.members) == pytest.approx(1)
        assert together.macs == sum(member.macs for member in together.members)
        assert report.ensemble is not None
        assert report.ensemble.macs == together.macs
        assert answer.alternative is not None
        other = answer.alternative
        ensemble = report.ensemble if answer.members else other
        alone = other if answer.members else answer
        assert ensemble.clip_ms == pytest.approx(other.times * (alone.clip_ms or 0))
        assert (other.label == together.label) == (not answer.members)

"""The numbers of a report hold one another: whichever is changed, somebody says so."""

import copy
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import Result

from mer_nas.report import (
    EnsembleSummary,
    MemberSummary,
    Report,
    SeedScores,
    StudySummary,
    read_report,
)
from mer_nas.statistics import Correction
from mer_nas.study.reproduction.consistency import (
    TAKEN,
    FieldPath,
    contradictions,
    numbers_of,
    why_taken,
)
from mer_nas.study.reproduction.followed import followed
from mer_nas.study.summary import _importance

PUBLISHED = Path(__file__).parents[2] / "studies" / "gates" / "report.json"
OPEN = re.compile(
    r"(study\.settings|study\.environment|.*\.architecture|.*\.trainer\.(?!lr|epochs).*)(\..*)?"
)


@pytest.fixture(scope="module")
def small() -> Any:
    """The report that is published, with a few of its trials and an ensemble, as a tree."""
    report = read_report(PUBLISHED)
    study = report.study
    kept = {finalist.trial for finalist in study.finalists}
    kept |= {next(trial.number for trial in study.trials if trial.outcome == "pruned")}
    complete = [trial.number for trial in study.trials if trial.outcome == "complete"]
    kept |= set(complete[:3])
    trials = tuple(trial for trial in study.trials if trial.number in kept)
    facts = study.model_copy(update={"trials": trials, "ensemble": together(study)})
    fewer = report.model_copy(update={"study": facts})
    return followed(fewer).model_dump(mode="json", by_alias=True)


def together(study: StudySummary) -> EnsembleSummary:
    """An ensemble that says what the winner says, but for an error less: that makes it better."""
    assert study.selection is not None
    scores = [score.model_dump() for score in study.ranked[0].scores]
    for score in scores:
        of, true, said = next(
            (counts, true, said)
            for counts in (list(map(list, each)) for each in score["subjects"])
            for true in range(3)
            for said in range(3)
            if true != said and counts[true][said]
        )
        subjects = [list(map(list, each)) for each in score["subjects"]]
        place = subjects.index(of)
        subjects[place][true][said] -= 1
        subjects[place][true][true] += 1
        score["subjects"] = subjects
    worth = Correction(
        **{name: getattr(study.selection, name) for name in Correction.model_fields}
    )
    members = [
        MemberSummary(
            trial=trial.number,
            origin=trial.origin,
            key=trial.key,
            weight=0.5,
            deployed=trial.deployed or 0,
            macs=trial.macs or 0,
            clip_ms=1.0,
        )
        for trial in study.complete[:2]
    ]
    return EnsembleSummary(
        rule="mean",
        key="together",
        members=tuple(members),
        handed_over=True,
        stage="final",
        protocol="LOSO",
        scores=tuple(SeedScores.model_validate(score) for score in scores),
        search_score=0.9,
        correction=worth,
    )


def kinds(tree: Any) -> Iterable[FieldPath]:
    """Return one place of each kind of number in the tree of a report."""
    found: dict[str, FieldPath] = {}
    for place, _ in numbers_of(tree):
        name = ".".join(place)
        if not OPEN.fullmatch(name):
            found.setdefault(re.sub(r"\.\d+(?=\.|$)", ".*", name), place)
    return found.values()


def change(tree: Any, place: FieldPath) -> None:
    """Put another number of the same kind and range at a place of a tree."""
    for step in place[:-1]:
        tree = tree[int(step)] if isinstance(tree, list) else tree[step]
    last: Any = int(place[-1]) if isinstance(tree, list) else place[-1]
    value = tree[last]
    tree[last] = value + 1 if isinstance(value, int) else value * 0.75 or 0.25


def named(tree: Any) -> set[FieldPath]:
    return {place for place, _, _ in contradictions(Report.model_validate(tree))}


def test_the_published_report_agrees_with_itself() -> None:
    assert contradictions(read_report(PUBLISHED)) == []


def test_every_number_above_the_facts_of_a_study_is_named_where_it_is_another(small: Any) -> None:
    tree = copy.deepcopy(small)
    above = [place for place in kinds(tree) if place[0] != "study"]
    assert len(above) > 100
    for place in above:
        change(tree, place)
    assert {".".join(place) for place in {*above} - named(tree)} == set()


def test_whichever_fact_of_a_study_is_changed_is_named_or_taken_for_a_reason(small: Any) -> None:
    silent = set()
    for place in kinds(small):
        tree = copy.deepcopy(small)
        if place[0] == "study":
            change(tree, place)
            if not named(tree):
                silent.add(place)
    assert {".".join(place) for place in silent if not why_taken(place)} == set()
    known = [known for known in TAKEN if not any(re.fullmatch(known, ".".join(p)) for p in silent)]
    rest = {
        "settings",
        "environment",
        "looks",
        "literature",
        "hindsight",
        "own",
    }  # not tried, or absent
    assert [each for each in known if not any(name in each for name in rest)] == []


def test_a_forged_headline_ends_with_both_values_before_anything_is_trained(
    call: Callable[..., Result], here: Path
) -> None:
    tree = json.loads(PUBLISHED.read_text())
    stored = tree["answer"]["uf1"]["mean"]
    tree["answer"]["uf1"]["mean"] = 0.99
    file = here / "report.json"
    file.write_text(json.dumps(tree))
    told = call("reproduce", str(file))
    assert told.exit_code == 1
    assert told.stdout.splitlines() == [
        f"answer.uf1.mean: 0.9900 in the report, but {stored:.4f} follows from what it holds",
        "not reproduced: the report contradicts itself in 1 number; nothing was trained",
    ]
    found = json.loads(call("reproduce", str(file), "--json").stdout)
    assert found["contradicts_itself"]
    assert [(n["name"], n["stored"], n["found"]) for n in found["numbers"]] == [
        ("answer.uf1.mean", 0.99, stored)
    ]
    assert not list(here.glob("runs/**/ledger.jsonl"))


class Asked:
    """What is asked of a study's state about its trials."""

    def __init__(self, study: optuna.Study) -> None:
        self.optuna, self.trials = study, study.trials


def test_what_mattered_is_what_the_best_trials_have_and_not_the_worst() -> None:
    def score(trial: optuna.Trial) -> float:
        best = trial.suggest_float("makes the best", 0, 1) > 0.8
        worst = trial.suggest_float("makes the worst", 0, 1) < 0.2
        return 0.6 + 0.3 * best - (0.5 * worst if not best else 0.0)

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(score, n_trials=200)
    found, how = _importance(Asked(study))  # type: ignore[arg-type]
    assert found is not None
    assert found["makes the best"] > 2 * found["makes the worst"]
    assert how == "PED-ANOVA over 200 complete trials"

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Heard
from scripted import EpochRecorder, ScriptedEvaluator, Sketch, evaluator, search

from mer_nas.errors import StudyError
from mer_nas.evaluation.hindsight import Hindsight
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.provenance import code_version
from mer_nas.search import local
from mer_nas.search.events import Ended, FoldDone, Note, Started
from mer_nas.search.failures import Failure
from mer_nas.search.jobs import told_once
from mer_nas.search.journal import Journal
from mer_nas.search.ledger import HINDSIGHT, Ledger, read
from mer_nas.search.measure import Measurement

SKETCHES = [Sketch((("kind", "plain"), ("x", x), ("y", 0))) for x in (0.9, 0.4)]


def stage(scripted: ScriptedEvaluator, ledger: Ledger, **words: Any) -> Measurement:
    return Measurement(
        {f"trial {n}": sketch for n, sketch in enumerate(SKETCHES)},  # type: ignore[misc]
        2,
        clips=scripted.clips,
        protocol=scripted.protocol,
        seed=scripted.seed,
        ledger=ledger,
        code=code_version(),
        **words,
    )


def test_all_candidates_are_repeated_before_any_is_repeated_again(
    tmp_path: Path, heard: Heard
) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, on_event=heard.append)
        assert final.missing == 2 * 2 * 12
        local.run(final, scripted)
    labels = [event.label for event in heard.of(Started)]  # type: ignore[union-attr]
    assert labels == [
        "trial 0, seed 1 of 2",
        "trial 1, seed 1 of 2",
        "trial 0, seed 2 of 2",
        "trial 1, seed 2 of 2",
    ]
    assert len(heard.of(FoldDone)) == 48
    keys = [(sketch.key, seed) for seed in (0, 1) for sketch in SKETCHES]
    assert list(final.results) == keys
    for ended, key in zip(heard.of(Ended), keys, strict=True):
        assert isinstance(ended, Ended)
        assert ended.value == pool(final.results[key]).uf1
    assert final.exhausted


def test_results_come_in_the_order_of_the_protocol_whatever_was_there_before(
    tmp_path: Path,
) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        for index in (7, 2, 5):
            ledger.append(scripted.fold(SKETCHES[0], index))
        scripted.runs.clear()
        final = stage(scripted, ledger)
        local.run(final, scripted)
        assert len(scripted.runs) == 48 - 3
        order = [fold.key for fold in scripted.protocol.folds]
        for results in final.results.values():
            assert [result.fold for result in results] == order


def test_a_stage_that_was_broken_off_goes_on_with_the_folds_that_are_missing(
    tmp_path: Path,
) -> None:
    class Breaking(ScriptedEvaluator):
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
            if len(self.runs) == 20:
                raise KeyboardInterrupt
            return super().fold(candidate, index, repetition)

    base = evaluator()
    breaking = Breaking(base.clips, base.protocol)
    with Ledger(tmp_path / "ledger") as ledger, pytest.raises(KeyboardInterrupt):
        local.run(stage(breaking, ledger), breaking)
    with Ledger(tmp_path / "ledger") as ledger:
        local.run(stage(base, ledger), base)
    assert len(base.runs) == 28
    assert len({result.key for result in read(tmp_path / "ledger")}) == 48


def test_a_candidate_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    class Exploding(ScriptedEvaluator):
        def fold(self, candidate: Any, index: int, repetition: int = 0) -> FoldResult:
            if candidate == SKETCHES[1] and repetition == 1:
                raise MemoryError("out of memory")
            return super().fold(candidate, index, repetition)

    base = evaluator()
    exploding = Exploding(base.clips, base.protocol)
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(exploding, ledger)
        local.run(final, exploding)
    assert dict(final.failures) == {"trial 1, seed 2 of 2": "MemoryError: out of memory"}
    assert len(final.results) == 3


def test_the_first_repetition_of_the_searchs_own_folds_costs_nothing(tmp_path: Path) -> None:
    scripted = evaluator()
    with search(tmp_path, scripted, trials=4, pruner="none") as driver:
        local.run(driver, scripted)
        best = driver.study.best_trial
    sketch = Sketch.parse(best.user_attrs["tree"], "best")
    assert sketch.key == best.user_attrs["candidate"]
    scripted.runs.clear()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        final = Measurement(
            {"best": sketch},  # type: ignore[dict-item]
            1,
            clips=scripted.clips,
            protocol=scripted.protocol,
            seed=0,
            ledger=ledger,
            code=code_version(),
        )
        local.run(final, scripted)
    assert scripted.runs == []
    assert pool(final.results[sketch.key, 0]).uf1 == pytest.approx(best.value, abs=1e-12)


def test_a_fold_is_looked_back_at_once_its_result_is_on_the_disk(tmp_path: Path) -> None:
    path, scripted, seen = tmp_path / "ledger", evaluator(), []

    def take(back: Hindsight) -> None:
        seen.append(back.key)
        assert back.key in {result.key for result in read(path)}

    with Ledger(path) as ledger:
        final = stage(scripted, ledger, hindsight=take)
        local.run(final, scripted)
    assert seen == [result.key for result in read(path)]


def test_a_fold_that_the_ledger_holds_is_not_trained_to_be_looked_back_at(tmp_path: Path) -> None:
    scripted, seen = evaluator(), []
    with Ledger(tmp_path / "ledger") as ledger:
        held = scripted.fold(SKETCHES[0], 3)
        ledger.append(held)
        local.run(stage(scripted, ledger, hindsight=seen.append), scripted)
    assert len(scripted.runs) == 48
    assert held.key not in [back.key for back in seen]


def test_the_ledger_is_the_same_whether_anyone_looks_back_or_fails_to(tmp_path: Path) -> None:
    class Failing(EpochRecorder):
        def look_back(self) -> Hindsight:
            raise MemoryError("out of memory")

    class Unlucky(ScriptedEvaluator):
        def recording(self) -> EpochRecorder:
            return Failing(self)

    base, ledgers, seen = evaluator(), [], []
    for name, scripted, hindsight in (
        ("without", base, None),
        ("with", base, lambda _: None),
        ("failing", Unlucky(base.clips, base.protocol), seen.append),
    ):
        with Ledger(tmp_path / name) as ledger:
            final = stage(scripted, ledger, hindsight=hindsight)
            local.run(final, scripted)
            assert not final.failures
        ledgers.append((tmp_path / name).read_bytes())
    assert ledgers[0] == ledgers[1] == ledgers[2]
    assert seen == []


def test_what_was_seen_in_looking_back_has_a_file_of_its_own_in_which_it_is_found_again(
    tmp_path: Path,
) -> None:
    scripted, file = evaluator(), tmp_path / "hindsight.jsonl"
    for _ in range(2):  # the second session finds everything done
        with Ledger(tmp_path / "ledger") as ledger, Journal(HINDSIGHT, file) as back:
            local.run(stage(scripted, ledger, hindsight=back.append), scripted)
    found = HINDSIGHT.read(file)
    assert [back.key for back in found] == [result.key for result in read(tmp_path / "ledger")]
    with pytest.raises(StudyError, match="this is no mer-nas fold ledger"):
        Ledger(file)


def test_several_workers_share_the_folds_of_one_repetition(tmp_path: Path, heard: Heard) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        for index in (0, 5):
            ledger.append(scripted.fold(SKETCHES[0], index))
        final = stage(scripted, ledger, on_event=heard.append)
        final.divide(8)  # two each for the four repetitions
        jobs = list(iter(final.ask, None))
        assert [len(job.folds) for job in jobs] == [5, 5, 6, 6, 6, 6, 6, 6]
        assert sorted(fold for job in jobs[2:4] for fold in job.folds) == list(range(12))
        for job in reversed(jobs):  # whoever is ready first
            for index in job.folds:
                final.observe(job.id, scripted.fold(job.candidate, index, job.repetition))
            final.finish(job.id)
    assert [event.outcome for event in heard.of(Ended)] == ["complete"] * 4  # type: ignore[union-attr]
    order = [fold.key for fold in scripted.protocol.folds]
    assert all([r.fold for r in done] == order for done in final.results.values())


def test_a_worker_gets_whole_blocks_where_folds_are_trained_together(tmp_path: Path) -> None:
    scripted = evaluator()
    blocks = [set(block) - {0} for block in scripted.protocol.blocks]
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.append(scripted.fold(SKETCHES[0], 0))
        final = stage(scripted, ledger)
        final.divide(8, lambda candidate: candidate is SKETCHES[0])
        jobs = list(iter(final.ask, None))
    assert sorted(fold for job in jobs[:2] for fold in job.folds) == list(range(1, 12))
    for job in jobs[:2]:
        assert all(set(job.folds).issuperset(b) or not b.intersection(job.folds) for b in blocks)
    assert [job.folds for job in jobs[2:4]] == [tuple(range(0, 12, 2)), tuple(range(1, 12, 2))]


def test_what_is_told_of_how_folds_are_trained_is_told_once(heard: Heard) -> None:
    result, tell = evaluator().fold(SKETCHES[0], 0), told_once(heard.append)
    for width, alone in ((1, ""), (5, ""), (5, ""), (1, "it looks at itself"), (4, "")):
        tell("trial 3", replace(result, width=width, alone=alone))
    assert [event.text for event in heard.of(Note)] == [  # type: ignore[union-attr]
        "trial 3: 5 folds at a time, as one computation",
        "trial 3: one fold after another, not several at a time: it looks at itself",
    ]


def test_a_repetition_that_failed_in_one_part_begins_no_other_and_stops_those_begun(
    tmp_path: Path, heard: Heard
) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, on_event=heard.append)
        final.divide(12)  # three parts each
        first, second = final.ask(), final.ask()
        assert first is not None
        assert second is not None
        final.finish(first.id, Failure("out of memory"))
        result = scripted.fold(second.candidate, second.folds[0])
        assert final.observe(second.id, result)
        assert not heard.of(Ended)
        final.finish(second.id)
        third = final.ask()
        assert third is not None
        assert third.candidate is SKETCHES[1]
    (ended,) = heard.of(Ended)
    assert (ended.outcome, ended.done, ended.reason) == ("failed", 1, "out of memory")  # type: ignore[union-attr]

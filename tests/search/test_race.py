"""Finalists that race: who gets further seeds, and that nothing but the results decides it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Heard
from scripted import ScriptedEvaluator, Sketch, evaluator

from mer_nas.evaluation.results import pool
from mer_nas.provenance import code_version
from mer_nas.search import local
from mer_nas.search.events import Ended
from mer_nas.search.ledger import Ledger, read
from mer_nas.search.measure import Measurement


def sketch(x: float) -> Sketch:
    """A candidate that is right with a chance of .4 + .3 x."""
    return Sketch((("kind", "plain"), ("x", x), ("y", 0)))


GOOD, BAD, CLOSE = sketch(1.8), sketch(0.0), sketch(1.75)


def stage(scripted: ScriptedEvaluator, ledger: Ledger, *who: Sketch, **words: Any) -> Measurement:
    return Measurement(
        {f"trial {n}": each for n, each in enumerate(who)},  # type: ignore[misc]
        words.pop("seeds", 3),
        clips=scripted.clips,
        protocol=scripted.protocol,
        seed=scripted.seed,
        ledger=ledger,
        code=code_version(),
        chance=words.pop("chance", 0.05),
        **words,
    )


def repetitions(found: Measurement) -> dict[str, int]:
    counted: dict[str, int] = {}
    for key, _ in found.results:
        counted[key] = counted.get(key, 0) + 1
    return counted


def test_the_first_seed_is_for_all_and_further_ones_for_those_who_can_still_win(
    tmp_path: Path, heard: Heard
) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, BAD, GOOD, on_event=heard.append)
        local.run(final, scripted)
    assert repetitions(final) == {BAD.key: 1, GOOD.key: 3}
    assert "as good as the leader in 0.0% of the draws of 12 subjects" in final.left[BAD.key]
    assert list(final.left) == [BAD.key]
    assert not final.failures
    assert len(scripted.runs) == 4 * 12
    outcomes = {e.label: (e.outcome, e.done) for e in heard.of(Ended)}  # type: ignore[union-attr]
    assert outcomes["trial 0, seed 2 of 3"] == ("pruned", 0)
    assert outcomes["trial 0, seed 3 of 3"] == ("pruned", 0)
    assert outcomes["trial 1, seed 3 of 3"] == ("complete", 12)


def test_at_a_chance_of_zero_everybody_gets_all_seeds(tmp_path: Path) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, BAD, GOOD, chance=0.0)
        local.run(final, scripted)
    assert repetitions(final) == {BAD.key: 3, GOOD.key: 3}
    assert not final.left


def test_who_is_to_stay_gets_all_seeds_whatever_the_leader_does(tmp_path: Path) -> None:
    scripted = evaluator()
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, BAD, GOOD, sketch(0.1), stay={BAD.key})
        local.run(final, scripted)
    assert repetitions(final) == {BAD.key: 3, GOOD.key: 3, sketch(0.1).key: 1}
    assert list(final.left) == [sketch(0.1).key]


def test_equals_stay_to_the_end(tmp_path: Path) -> None:
    scripted = evaluator()
    twin = Sketch((*GOOD.values, ("twin", 1)))
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(Alike(scripted.clips, scripted.protocol), ledger, GOOD, twin, chance=0.5)
        local.run(final, Alike(scripted.clips, scripted.protocol))
    assert repetitions(final) == {GOOD.key: 3, twin.key: 3}


class Alike(ScriptedEvaluator):
    """Gives everybody the answers of one candidate."""

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> Any:
        from dataclasses import replace

        return replace(super().fold(GOOD, index, repetition), candidate=candidate.key)


class Fading(ScriptedEvaluator):
    """A candidate is good with its first seed and bad with all others."""

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> Any:
        from dataclasses import replace

        shown = BAD if candidate == CLOSE and repetition else candidate
        return replace(super().fold(shown, index, repetition), candidate=candidate.key)


def test_a_finalist_leaves_in_the_middle_of_a_repetition_after_a_block(
    tmp_path: Path, heard: Heard
) -> None:
    base = evaluator()
    fading = Fading(base.clips, base.protocol)
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(fading, ledger, CLOSE, GOOD, chance=0.3, on_event=heard.append)
        local.run(final, fading)
    (ended,) = [e for e in heard.of(Ended) if e.label == "trial 0, seed 2 of 3"]  # type: ignore[union-attr]
    assert isinstance(ended, Ended)
    ends = np.cumsum([len(block) for block in base.protocol.blocks])
    assert ended.outcome == "pruned"
    assert ended.done in ends
    assert 6 <= ended.done < 12


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_by_how_many_workers_and_in_which_order_folds_are_trained_decides_nothing(
    tmp_path: Path, workers: int
) -> None:
    base = evaluator()
    who = [sketch(x) for x in (1.5, 1.8, 1.2, 1.75)]
    with Ledger(tmp_path / "alone") as ledger:
        alone = stage(base, ledger, *who, chance=0.3)
        local.run(alone, base)
    with Ledger(tmp_path / "many") as ledger:
        many = stage(base, ledger, *who, chance=0.3)
        many.divide(workers)
        backwards(many, base, workers)
    assert many.left == alone.left
    assert repetitions(many) == repetitions(alone)


def backwards(source: Measurement, scripted: ScriptedEvaluator, workers: int) -> None:
    """Work jobs off as so many workers do of which the last one is the fastest."""
    at_work: list[Any] = []
    while True:
        while len(at_work) < workers and (job := source.ask()) is not None:
            at_work.append((job, list(job.folds)))
        if not at_work:
            assert source.exhausted
            return
        job, folds = at_work[-1]
        index = folds.pop(0)
        stop = source.observe(job.id, scripted.fold(job.candidate, index, job.repetition))
        if stop or not folds:
            at_work.pop()
            source.finish(job.id)


def test_whoever_goes_on_with_a_race_decides_as_before_and_trains_nothing_twice(
    tmp_path: Path,
) -> None:
    base = evaluator()
    fading = Fading(base.clips, base.protocol)
    with Ledger(tmp_path / "ledger") as ledger:
        first = stage(fading, ledger, CLOSE, GOOD, BAD, chance=0.3)
        local.run(first, fading)
    trained = len(read(tmp_path / "ledger"))
    fading.runs.clear()
    with Ledger(tmp_path / "ledger") as ledger:
        again = stage(fading, ledger, CLOSE, GOOD, BAD, chance=0.3)
        assert first.left
        assert not again.missing  # so that nothing, and no Ray, is started for those who left
        local.run(again, fading)
    assert not fading.runs
    assert (again.left, len(read(tmp_path / "ledger"))) == (first.left, trained)


class Failing(ScriptedEvaluator):
    """Candidates fail of some of their seeds."""

    of: frozenset[tuple[str, int]] = frozenset()

    def fold(self, candidate: Any, index: int, repetition: int = 0) -> Any:
        if (candidate.key, repetition) in self.of:
            raise MemoryError("out of memory")
        return super().fold(candidate, index, repetition)


def failing(*of: tuple[Sketch, int]) -> Failing:
    base = evaluator()
    found = Failing(base.clips, base.protocol)
    found.of = frozenset((who.key, seed) for who, seed in of)
    return found


@pytest.mark.parametrize(
    ("seed", "whole"),
    [(0, {GOOD.key: 3}), (1, {CLOSE.key: 1, GOOD.key: 3}), (2, {CLOSE.key: 2, GOOD.key: 3})],
)
def test_who_fails_with_a_seed_gets_no_further_ones(
    tmp_path: Path, seed: int, whole: dict[str, int]
) -> None:
    scripted = failing((CLOSE, seed))
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, CLOSE, GOOD)
        local.run(final, scripted)
    assert final.left == {CLOSE.key: "a seed of it failed"}
    assert final.failures == {f"trial 0, seed {seed + 1} of 3": "MemoryError: out of memory"}
    assert repetitions(final) == whole


def test_a_member_that_fails_with_a_seed_gets_the_others(tmp_path: Path) -> None:
    scripted = failing((CLOSE, 0))
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, CLOSE, GOOD, stay={CLOSE.key})
        local.run(final, scripted)
    assert not final.left
    assert repetitions(final) == {CLOSE.key: 2, GOOD.key: 3}


def test_where_everybody_fails_alike_nobody_leaves(tmp_path: Path) -> None:
    scripted = failing((CLOSE, 0), (GOOD, 0))
    with Ledger(tmp_path / "ledger") as ledger:
        final = stage(scripted, ledger, CLOSE, GOOD)
        local.run(final, scripted)
    assert not final.left
    assert repetitions(final) == {CLOSE.key: 2, GOOD.key: 2}


def test_whoever_goes_on_with_a_race_tries_again_what_failed(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        scripted = failing((CLOSE, 1))
        local.run(stage(scripted, ledger, CLOSE, GOOD), scripted)
    mended = failing()
    with Ledger(tmp_path / "ledger") as ledger:
        again = stage(mended, ledger, CLOSE, GOOD)
        assert again.missing == 2 * 12
        local.run(again, mended)
    assert not again.left
    assert repetitions(again) == {CLOSE.key: 3, GOOD.key: 3}


def test_the_winner_is_the_one_without_a_race(tmp_path: Path) -> None:
    base = evaluator()
    who = [sketch(x) for x in (1.5, 1.8, 0.3, 1.0)]
    means = {}
    for chance in (0.0, 0.05):
        with Ledger(tmp_path / str(chance)) as ledger:
            final = stage(base, ledger, *who, chance=chance)
            local.run(final, base)
        whole = [key for key, seed in final.results if seed == 2]
        means[chance] = max(
            whole,
            key=lambda key: np.mean([pool(final.results[key, seed]).uf1 for seed in range(3)]),
        )
    assert means[0.0] == means[0.05]

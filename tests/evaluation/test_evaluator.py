"""A fold's result follows from candidate, clips, subjects, repetition and seed, and nothing else."""

import dataclasses
import json
import random
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import divide
from mer_nas.errors import ConfigError
from mer_nas.evaluation import evaluator as module
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator, fold_seed
from mer_nas.evaluation.metrics import scores
from mer_nas.evaluation.results import FoldResult, pool
from mer_nas.inputs import FLOW

ELSEWHERE = """
import json, sys, torch
from mer_nas.data import load
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
torch.set_num_threads(2)
clips = load(SyntheticData(subjects=3, clips=18))
candidate = Candidate.parse(json.loads(sys.argv[1]), "x")
print(Evaluator(clips, divide(clips), seed=7).fold(candidate, 1).to_json())
print([name for name in ("timm", "torchvision", "sympy", "torch._dynamo") if name in sys.modules])
"""


@pytest.fixture
def evaluator(clips: ClipSet) -> Evaluator:
    return Evaluator(clips, divide(clips), seed=7)


def timeless(result: FoldResult) -> FoldResult:
    return dataclasses.replace(result, seconds=0.0)


def test_the_result_does_not_depend_on_what_ran_before(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    first = evaluator.fold(candidate, 1)
    evaluator.fold(candidate, 0)
    torch.manual_seed(99)
    torch.rand(3)
    torch.set_num_threads(2)
    try:
        assert timeless(evaluator.fold(candidate, 1)) == timeless(first)
    finally:
        torch.set_num_threads(1)


def test_no_fold_is_timed_with_what_only_the_first_one_of_a_process_does(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Candidate] = []
    passed = [0.0]

    def slow(candidate: Candidate, *_: object) -> None:
        begun.append(candidate)
        passed[0] += 1000

    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + passed[0])
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "rehearse", slow)
    monkeypatch.setattr(module, "_REHEARSED", set())
    assert [evaluator.fold(candidate, index).seconds < 900 for index in (0, 1)] == [True, True]
    assert begun == [candidate]


def test_another_process_with_more_threads_gives_the_same_bits_and_imports_no_compiler(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    here = evaluator.fold(candidate, 1)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(candidate.dump())],
        capture_output=True,
        text=True,
        check=True,
    )
    result, imported = done.stdout.splitlines()
    assert timeless(FoldResult.from_json(result)) == timeless(here)
    assert imported == "[]"


def test_the_protocol_does_not_matter_where_the_same_subjects_are_held_out(
    clips: ClipSet, candidate: Candidate
) -> None:
    loso, groups = divide(clips), divide(clips, folds=3)
    there = {fold.key: index for index, fold in enumerate(groups.folds)}
    one = Evaluator(clips, loso, seed=7).fold(candidate, 0)
    other = Evaluator(clips, groups, seed=7).fold(candidate, there[loso.folds[0].key])
    assert one.probabilities == other.probabilities
    assert one.key == other.key


def test_repetitions_and_studies_have_seeds_of_their_own(
    evaluator: Evaluator, clips: ClipSet, candidate: Candidate
) -> None:
    results = [
        evaluator.fold(candidate, 0),
        evaluator.fold(candidate, 0, repetition=1),
        Evaluator(clips, evaluator.protocol, seed=8).fold(candidate, 0),
    ]
    assert len({result.probabilities for result in results}) == 3
    assert len({result.key for result in results}) == 3


def test_the_globals_that_training_touches_are_put_back(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    evaluator.fold(candidate, 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


def test_training_never_sees_the_held_out_clips(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    learn = module.fit

    def watched(network, inputs, *others, **named):  # type: ignore[no-untyped-def]
        seen.append(inputs[FLOW])
        return learn(network, inputs, *others, **named)

    monkeypatch.setattr(module, "fit", watched)
    evaluator.fold(candidate, 0)
    held_out = evaluator.clips.inputs[FLOW][evaluator.protocol.folds[0].test(evaluator.clips)]
    (learned,) = seen
    for clip in torch.tensor(held_out):
        assert not any(torch.equal(clip, other) for other in learned)


def test_the_held_out_fold_is_asked_once(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = module.predict_proba

    def watched(network, inputs):  # type: ignore[no-untyped-def]
        asked.append(len(inputs[FLOW]))
        return ask(network, inputs)

    monkeypatch.setattr(module, "predict_proba", watched)
    evaluator.fold(candidate, 0)
    assert asked == [evaluator.protocol.folds[0].clips]


def test_a_result_keeps_the_loss_of_each_epoch_to_six_digits(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fit", lambda *_, **__: [1.23456789, 2e-10 / 3])
    assert evaluator.fold(candidate, 0).losses == (1.23457, 6.66667e-11)


def test_a_result_of_a_version_that_kept_no_losses_is_read_without_them(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    tree = json.loads(evaluator.fold(candidate, 0).to_json())
    assert len(tree.pop("losses")) == 2
    assert FoldResult.from_json(json.dumps(tree)).losses == ()


def test_a_result_survives_json_to_the_last_bit(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    result = evaluator.fold(candidate, 2)
    assert "\n" not in result.to_json()
    assert FoldResult.from_json(result.to_json()) == result


def test_a_whole_protocol_is_pooled_and_not_averaged(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    results = [evaluator.fold(candidate, index) for index in range(3)]
    assert sorted(clip for result in results for clip in result.clips) == sorted(
        clip.id for clip in evaluator.clips.records
    )
    labels = [label for result in results for label in result.labels]
    predicted = [label for result in results for label in result.predicted]
    assert pool(results) == scores(labels, predicted, 3)


def test_a_fold_seed_fits_every_generator_and_ignores_the_order_of_the_subjects() -> None:
    assert fold_seed(3, 1, ["b", "a"]) == fold_seed(3, 1, ["a", "b"])
    seeds = {fold_seed(s, r, [g]) for s in range(5) for r in range(5) for g in "abcde"}
    assert len(seeds) == 125
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_the_final_network_learns_from_everyone(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    one, two = (evaluator.train(candidate) for _ in range(2))
    assert not one.training
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])


def test_an_input_that_the_data_lack_is_refused_by_name(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    bare = dataclasses.replace(evaluator.clips, inputs={"keyframes": np.zeros((18, 1, 28, 28))})
    with pytest.raises(
        ConfigError, match="the architecture reads flow_uvs, but synthetic provides keyframes"
    ):
        Evaluator(bare, evaluator.protocol, 7).fold(candidate, 0)


def test_data_of_another_size_are_refused_with_both_sizes(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    small = dataclasses.replace(
        evaluator.clips, inputs={FLOW: np.zeros((18, 3, 14, 14), np.float32)}
    )
    with pytest.raises(ConfigError) as refused:
        Evaluator(small, evaluator.protocol, 7).fold(candidate, 0)
    assert str(refused.value) == (
        "the architecture reads inputs of 28 pixels, but synthetic provides them with 14; "
        "size: 14 there, or data.size=28, would be right"
    )


def test_inputs_may_be_scaled_by_the_training_clips_of_the_fold_and_no_others(
    clips: ClipSet, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def fit(
        network: object, inputs: dict[str, torch.Tensor], *_: object, **__: object
    ) -> list[float]:
        seen.append(inputs[FLOW])
        return []

    monkeypatch.setattr(module, "fit", fit)
    scaled = dataclasses.replace(clips, by_fold=frozenset({FLOW}))
    protocol = divide(scaled)
    Evaluator(scaled, protocol, seed=7).fold(candidate, 0)
    (trained,) = seen
    assert len(trained) == len(protocol.folds[0].train(clips))
    assert trained[:, :2].square().mean() == pytest.approx(1, rel=1e-5)
    assert trained[:, 2].square().mean() == pytest.approx(1, rel=1e-5)


def test_a_set_of_four_times_the_motion_gives_the_same_bits_once_it_is_scaled(
    clips: ClipSet, candidate: Candidate
) -> None:
    def result(times: float) -> tuple[tuple[float, ...], ...]:
        louder = {FLOW: clips.inputs[FLOW] * np.float32(times)}
        changed = dataclasses.replace(clips, inputs=louder, by_fold=frozenset({FLOW}))
        return Evaluator(changed, divide(changed), seed=7).fold(candidate, 0).probabilities

    assert result(4) == result(1)  # dividing by powers of two is exact

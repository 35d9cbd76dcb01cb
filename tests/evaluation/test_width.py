"""How many folds are trained as one computation, and that nothing follows from it but time."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from mer_nas.architectures import GATES, load_extensions
from mer_nas.data import load
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.errors import ConfigError
from mer_nas.evaluation import evaluator as module
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.evaluation.results import FoldResult
from mer_nas.evaluation.width import Width, pays, that_fit, unstackable

CPU = torch.device("cpu")
GATE = '''
import random
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mer_nas.architectures import GATES, Block, BuildContext


@GATES.register
class Habit(Block):
    """A gate that cannot be stacked."""

    kind: Literal["habit"] = "habit"
    how: str = "none"

    def build(self, context: BuildContext) -> nn.Module:
        return Habitual(self.how)


class Habitual(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.last = how, None
        if how == "hooks":
            self.scale = nn.Parameter(torch.ones(()))
            self.scale.register_hook(lambda gradient: 0.1 * gradient)
        if how == "leaves":
            self.unread = nn.Linear(2, 2)
        if how == "fixes":
            self.register_buffer("table", torch.ones(1, 1, 3, 3, dtype=torch.float32) / 9)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "hooks":
            return self.scale * x
        if self.how == "looks" and x.mean() > 0:
            return 2 * x
        if self.how == "remembers":
            self.last = x.detach()
        if self.how == "dices":
            return x * random.random()
        if self.how == "fixes":
            table = self.table.expand(x.shape[1], 1, 3, 3)
            return functional.conv2d(x, table, padding=1, groups=x.shape[1])
        if self.how == "bends":  # torch has no form of affine_grid for many
            way = x.new_ones(x.shape[0], 2, 3)
            return functional.grid_sample(
                x, functional.affine_grid(way, x.size(), align_corners=False), align_corners=False
            )
        if self.how == "draws":
            return x + torch.empty_like(x).exponential_()
        return x
'''


@pytest.fixture(scope="module")
def many() -> ClipSet:
    return load(SyntheticData(subjects=6, clips=30))


@pytest.fixture
def evaluator(many: ClipSet) -> Evaluator:
    """Six subjects, of which the first one is a block and the others are another."""
    protocol = divide(many)
    blocks = (protocol.blocks[0], tuple(range(1, 6)))
    return Evaluator(many, protocol.model_copy(update={"blocks": blocks}), seed=7)


def bare(results: Iterable[FoldResult]) -> list[FoldResult]:
    return [replace(result, seconds=0.0) for result in results]


@pytest.fixture(scope="module", autouse=True)
def _gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("own") / "habit.py"
    file.write_text(GATE)
    load_extensions([file], trust=True)
    yield
    GATES._components.pop("habit")


def habit(candidate: Candidate, how: str) -> Candidate:
    changed = candidate.dump()
    changed["architecture"]["paths"][0]["stages"][0]["gate"] = {"kind": "habit", "how": how}
    return Candidate.parse(changed, "habit")


def test_folds_of_a_small_network_are_trained_together_on_a_cpu(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    heard: list[int] = []
    evaluator.beat = lambda: heard.append(1)
    together = list(evaluator.folds(candidate, range(6)))
    assert [result.width for result in together] == [1, 5, 5, 5, 5, 5]
    # Each epoch of the first fold is heard of, and of the others together once.
    assert len(heard) == together[0].epochs + max(result.epochs for result in together[1:])
    assert {result.alone for result in together} == {""}
    for index, result in enumerate(together):
        alone = evaluator.fold(candidate, index)
        assert result.key == alone.key
        assert result.clips == alone.clips
        np.testing.assert_allclose(result.losses, alone.losses, atol=1e-3)
        np.testing.assert_allclose(result.probabilities, alone.probabilities, atol=1e-3)


def test_a_fold_is_the_same_whichever_of_its_block_are_missing(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    whole = bare(evaluator.folds(candidate, range(6), repetition=1))
    assert bare(evaluator.folds(candidate, [3, 5], repetition=1)) == [whole[3], whole[5]]
    assert FoldResult.from_json(whole[3].to_json()) == whole[3]


def test_folds_are_trained_one_by_one_where_that_is_asked_for(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    evaluator.one_by_one = True
    assert not evaluator.together(candidate, gpu=True)
    assert bare(evaluator.folds(candidate, [2])) == bare([evaluator.fold(candidate, 2)])


def test_without_a_share_of_a_gpu_training_is_on_the_cpu(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # by what torch says
    tree = candidate.dump()
    any_, second = (
        Candidate.parse({**tree, "trainer": {**tree["trainer"], "device": device}}, device)
        for device in ("auto", "cuda:1")
    )
    assert evaluator.device(any_) == torch.device("cuda")
    evaluator.gpu_share = 0.0
    assert evaluator.device(any_) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"trainer.device=cuda:1: there is no share of a GPU"):
        evaluator.device(second)


def test_a_line_of_before_says_that_its_fold_was_trained_alone(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    line = evaluator.fold(candidate, 0).to_json()
    found = FoldResult.from_json(line.replace(',"width":1,"alone":""', ""))
    assert (found.width, found.alone) == (1, "")


def test_folds_beyond_the_width_are_trained_after_the_others(
    evaluator: Evaluator, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "width_of", lambda *_: Width(2))
    monkeypatch.setattr(module, "FEWEST", {"cpu": 2})
    monkeypatch.setattr(module, "_WIDTHS", {})
    widths = [result.width for result in evaluator.folds(candidate, range(6))]
    assert widths == [1, 2, 2, 2, 2, 1]


def test_only_a_small_network_gains_on_a_cpu_and_every_one_on_a_gpu(candidate: Candidate) -> None:
    assert pays(candidate, 3, "cpu")
    large = candidate.trainer.model_copy(update={"batch": 2**20})
    assert not pays(replace(candidate, trainer=large), 3, "cpu")
    assert pays(replace(candidate, trainer=large), 3, "cuda")
    assert not pays(candidate, 3, "mps")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("none", ""),
        ("looks", "RuntimeError: vmap: It looks like you're attempting to use a Tensor in some "),
        ("remembers", "its modules remember something in themselves: "),
        ("hooks", "a hook of its own sees the gradients of "),
        ("dices", "its blocks draw random numbers of Python or NumPy"),
        ("draws", "RuntimeError: vmap: called random operation"),
        ("leaves", ""),
        ("fixes", ""),
        ("bends", ""),
    ],
)
def test_what_cannot_be_stacked_is_found_before_the_first_fold(
    how: str, reason: str, candidate: Candidate
) -> None:
    found = unstackable(habit(candidate, how), 3, CPU)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_what_cannot_be_stacked_is_trained_fold_by_fold_and_the_reason_kept(
    evaluator: Evaluator, candidate: Candidate
) -> None:
    candidate = habit(candidate, "dices")
    (result,) = evaluator.folds(candidate, [2])
    assert (result.width, result.alone) == (1, unstackable(candidate, 3, CPU))
    assert bare([replace(result, alone="")]) == bare([evaluator.fold(candidate, 2)])


def test_as_many_folds_as_a_memory_holds_are_trained_together() -> None:
    # 100 bytes, and 7 more for each fold.
    def peak(folds: int) -> int:
        return 100 + 7 * folds

    assert that_fit(peak, room=200) == 14
    assert that_fit(peak, room=100) == 1

    def full(folds: int) -> int:
        raise torch.OutOfMemoryError

    assert that_fit(full, room=200) == 1

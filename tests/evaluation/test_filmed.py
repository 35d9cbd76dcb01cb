"""Frames and action units on their way from the data to a network."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from mer_nas.architectures import Network
from mer_nas.data import load
from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.needs import Needs
from mer_nas.data.protocols import divide
from mer_nas.errors import ConfigError
from mer_nas.evaluation import evaluator as evaluating
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.training.fit import fit
from mer_nas.training.losses import Targets

PATH = {
    "input": "frames",
    "frames": 4,
    "stem": {"kind": "conv", "kernel": 3, "stride": 2, "width": 8},
    "stages": [{"local": {"kind": "res_basic", "blocks": 1}}],
    "temporal": {"kind": "learned", "where": "stem"},
}
TRAINER = {"epochs": 1, "batch": 8, "lr": 3e-3, "warmup": 0, "schedule": "constant"}


@pytest.fixture
def candidate() -> Candidate:
    """A small network that reads four frames and learns action units besides."""
    architecture = {"paths": [PATH], "losses": {"au": 0.5, "balance": 0.0}}
    return Candidate.parse({"architecture": architecture, "trainer": TRAINER}, "film")


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    config = SyntheticData(subjects=3, clips=24, difficulty=0.2)
    return load(config, Needs(inputs=("frames",), action_units=True))


def test_one_epoch_lowers_the_loss_of_a_network_of_frames(
    candidate: Candidate, clips: ClipSet
) -> None:
    torch.manual_seed(0)
    network = Network(candidate.architecture, len(clips.classes))
    seen = {
        name: torch.tensor(array)
        for name, array in candidate.inputs_for(clips, range(len(clips))).items()
    }
    labels, units = torch.tensor(clips.labels), torch.tensor(clips.action_units)

    def loss() -> float:
        with torch.no_grad():  # in training mode, for BatchNorm has seen nothing yet
            return functional.cross_entropy(network(*seen.values()).logits, labels).item()

    before = loss()
    weights = candidate.architecture.losses.weights
    fit(network, seen, Targets(labels, units), candidate.trainer, seed=0, auxiliary=weights)
    assert loss() < before


def test_a_network_of_frames_goes_through_a_fold(candidate: Candidate, clips: ClipSet) -> None:
    result = Evaluator(clips, divide(clips, 2), 0).fold(candidate, 0)
    assert result.epochs == 1
    assert np.sum(result.probabilities, axis=1) == pytest.approx(1.0)


def test_action_units_of_the_training_clips_alone_are_learned(
    candidate: Candidate, clips: ClipSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Targets] = []

    def spy(network: Any, inputs: Any, targets: Targets, *rest: Any, **more: Any) -> list[float]:
        given.append(targets)
        return fit(network, inputs, targets, *rest, **more)

    monkeypatch.setattr(evaluating, "fit", spy)
    protocol = divide(clips, 2)
    Evaluator(clips, protocol, 0).fold(candidate, 0)
    (targets,) = given
    assert targets.action_units is not None
    np.testing.assert_array_equal(
        targets.action_units.numpy(), clips.action_units[protocol.folds[0].train(clips)]
    )


def test_what_a_network_learns_from_is_no_use_where_nobody_annotated_it(
    candidate: Candidate, clips: ClipSet
) -> None:
    bare = [dataclasses.replace(clip, action_units=None) for clip in clips.records]
    unknown = dataclasses.replace(clips, records=tuple(bare))
    with pytest.raises(ConfigError) as refused:
        Evaluator(unknown, divide(unknown, 2), 0).fold(candidate, 0)
    assert str(refused.value) == (
        "the architecture learns action units (losses.au), but no clip of synthetic is annotated "
        "with them; losses.au: 0 would be right"
    )
    partly = dataclasses.replace(clips, records=(clips.records[0], *bare[1:]))
    assert Evaluator(partly, divide(partly, 2), 0).fold(candidate, 0).epochs == 1

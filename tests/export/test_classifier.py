"""A found network is an ordinary module: what is done with any other can be done with it."""

import warnings

import pytest
import timm
import torch
from torch import nn

from mer_nas import api
from mer_nas.architectures import ModelOutput, parse
from mer_nas.errors import ConfigError
from mer_nas.export.classifier import Classifier


@pytest.fixture(scope="module")
def network() -> Classifier:
    """A network with auxiliary losses of its routing."""
    torch.manual_seed(0)
    return api.build(api.point("dre_s"), classes=3)


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    shape = api.point("dre_s").architecture.shapes["flow_uvs"]
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))


def test_in_either_mode_its_answer_is_the_logits(network: Classifier, clips: torch.Tensor) -> None:
    for mode in (True, False):
        chances = nn.Sequential(network.train(mode), nn.Softmax(1))(clips)
        assert chances.shape == (2, 3)
        assert chances.sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_what_training_learns_from_besides_has_a_method_of_its_own(
    network: Classifier, clips: torch.Tensor
) -> None:
    told = network.train().forward_training(clips)
    assert isinstance(told, ModelOutput)
    assert told.losses
    assert network.eval().forward_training(clips).logits.equal(network(clips))


def test_features_and_head_together_are_the_network(
    network: Classifier, clips: torch.Tensor
) -> None:
    features = network.eval().forward_features(clips)
    assert features.shape[:2] == (2, network.num_features)
    assert network.forward_head(features).equal(network(clips))
    assert network.train().forward_features(clips).shape == features.shape
    assert (network.num_classes, network.eval()(clips).shape[1]) == (3, 3)


def test_it_is_traced_and_exported_as_it_is(network: Classifier, clips: torch.Tensor) -> None:
    said = network.eval()(clips)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch would have one export instead
        traced = torch.jit.trace(network, (clips,))
    assert traced(clips).allclose(said, atol=1e-6)
    exported = torch.export.export(network, (clips,)).module()
    assert exported(clips).allclose(said, atol=1e-6)


def test_a_backbone_of_timms_has_timms_features() -> None:
    model = Classifier(parse({"network": {"kind": "timm", "model": "test_resnet", "size": 32}}), 3)
    theirs, images = timm.create_model("test_resnet"), torch.rand(2, 3, 32, 32)
    features = model.eval().forward_features(images)
    assert features.shape == theirs.eval().forward_features(images).shape
    assert model.num_features == theirs.num_features
    assert model.forward_head(features).equal(model(images))


def test_a_network_of_ones_own_says_what_it_lacks() -> None:
    own = Classifier(parse({"network": {"kind": "mmnet"}}), 3)
    assert own.num_features is None
    clips = [
        torch.rand(1, *shape) for shape in parse({"network": {"kind": "mmnet"}}).shapes.values()
    ]
    with pytest.raises(ConfigError, match="a method forward_features would be right"):
        own.forward_features(*clips)

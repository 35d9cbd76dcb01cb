"""Backbones of timm: their weights, what rests, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mer_nas.architectures import Network, parse
from mer_nas.data.needs import Needs
from mer_nas.errors import MerNasError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.training.chance import stream
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import fit
from mer_nas.training.losses import Targets
from mer_nas.training.stack import Learner, fit_together

Tree = dict[str, Any]
MODEL = "test_resnet"
"""A model of 470,000 weights that timm has for tests."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model(MODEL).state_dict(), file)
    return file


def tree(**settings: Any) -> Tree:
    return {"network": {"kind": "timm", "model": MODEL, "size": 32, **settings}}


def built(**settings: Any) -> Network:
    return Network(parse(tree(**settings)), classes=3)


def test_weights_of_a_file_are_those_of_the_network_but_for_its_answers(weights: Path) -> None:
    torch.manual_seed(3)
    theirs = timm.create_model(MODEL).state_dict()
    ours = built(pretrained=str(weights)).state_dict()
    same = {n for n, v in theirs.items() if torch.equal(v, ours[f"whole.model.{n}"])}
    assert theirs.keys() - same <= {"fc.weight", "fc.bias"}
    assert ours["whole.model.fc.weight"].shape[0] == 3


def test_the_first_layer_takes_any_number_of_channels(weights: Path) -> None:
    """Of one channel it sums its three: the answers to grey pictures stay, divided by nothing."""
    one = built(pretrained=str(weights), inputs=["flow_u"]).whole
    assert one is not None
    first = next(m for m in one.modules() if isinstance(m, nn.Conv2d))
    torch.manual_seed(3)
    theirs = next(m for m in timm.create_model(MODEL).modules() if isinstance(m, nn.Conv2d))
    torch.testing.assert_close(first.weight, theirs.weight.sum(1, keepdim=True))


def test_a_backbone_is_one_path_of_two() -> None:
    stage = {"local": {"kind": "res_basic"}}
    path = {"size": 32, "stem": {"kind": "conv", "width": 8}, "stages": [stage]}
    both = {"paths": [path, {**tree(), "width": 8}], "fusion": {"kind": "concat", "width": 8}}
    assert Network(parse(both), 3).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)


def test_the_fingerprint_of_the_weights_is_part_of_the_candidate(
    weights: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    torch.manual_seed(4)
    save_file(timm.create_model(MODEL).state_dict(), other)
    keys = set()
    for file in (weights, other):
        moved = tmp_path / "model.safetensors"
        moved.write_bytes(file.read_bytes())
        candidate = Candidate(parse(tree(pretrained=str(moved))), TrainerConfig())
        closed = candidate.architecture.model_dump(mode="json")
        assert len(closed["network"]["weights"]) == 12
        keys.add(candidate.key)
    assert len(keys) == 2
    with pytest.raises(MerNasError, match="has other weights than the candidate was made with"):
        Network(parse({"network": {**closed["network"], "weights": "0" * 12}}), classes=3)
    moved.unlink()
    parse(closed)  # a report is read where its weights are gone
    assert "weights" not in parse(tree()).model_dump(mode="json")["network"]
    assert isinstance(candidate.needs("it"), Needs)


def learned(network: Network, recipe: TrainerConfig) -> dict[str, torch.Tensor]:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(0)
    clips = {"flow_uvs": torch.randn(6, 3, 32, 32)}
    fit(network, clips, Targets(torch.arange(6) % 3, None), recipe, seed=0)
    return {name: network.state_dict()[name] - before[name] for name in before}


RECIPE = TrainerConfig.model_validate(
    {
        "optimizer": "adam", "epochs": 1, "batch": 6, "lr": 1e-3, "weight_decay": 0, "warmup": 0,
        "schedule": "constant", "clip_norm": None, "augment": {"flip": False, "shift": 0},
    }
)  # fmt: skip


def test_what_is_frozen_does_not_move_nor_do_its_norms(weights: Path) -> None:
    moved = learned(built(pretrained=str(weights), frozen=2), RECIPE)
    rest = {name for name, change in moved.items() if not change.any()}
    assert {f"whole.model.{name}" for name in ("conv1.0.weight", "bn1.running_mean")} <= rest
    assert "whole.model.fc.weight" not in rest


def test_pretrained_weights_go_slower_by_their_share_and_new_ones_do_not(weights: Path) -> None:
    """Adam's first step is as long as the learning rate, whatever the gradient."""
    moved = learned(built(pretrained=str(weights), lr_share=0.1), RECIPE)
    first, last = moved["whole.model.conv1.0.weight"], moved["whole.model.fc.weight"]
    assert first.abs().max().item() == pytest.approx(1e-4, rel=1e-2)
    assert last.abs().max().item() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "resnet19"}, r"network\.model: .*'resnet19'.*Did you mean 'resnet"),
        ({"pretrained": "nowhere.safetensors"}, r"network\.pretrained: there is no file nowhere"),
        ({"frozen": 99, "pretrained": "WEIGHTS"}, r"network\.frozen: 99 of .* groups of layers"),
        ({"model": "resnet18", "pretrained": "WEIGHTS"}, "holds the weights of another model: it"),
        ({"pretrained": "DAMAGED"}, "cannot be read as weights: .*; a safetensors file"),
        ({"inputs": ["keyframes"], "frames": 2}, "one input that is an image"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(
    settings: Tree, said: str, weights: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:1000])
    files = {"WEIGHTS": str(weights), "DAMAGED": str(damaged)}
    named = {key: files.get(v, v) if isinstance(v, str) else v for key, v in settings.items()}
    with pytest.raises(MerNasError, match=said) as refused:
        parse(tree(**named))
    assert "\n" not in str(refused.value)


def test_a_hub_that_is_not_reached_says_how_to_bring_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = timm.create_model

    def create(name: str, *, pretrained: bool = False, **settings: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        model: nn.Module = made(name, **settings)
        return model

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(MerNasError, match=r"no route to host.*download model.safetensors from"):
        built(pretrained=True)


def test_a_pickle_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, ("raise SystemExit",))

    file = tmp_path / "model.pth"
    torch.save({"state_dict": Runs()}, file)
    with pytest.raises(MerNasError, match="cannot be read as weights"):
        parse(tree(pretrained=str(file)))
    torch.manual_seed(3)
    torch.save({"state_dict": timm.create_model(MODEL).state_dict()}, file)
    assert built(pretrained=str(file))(torch.randn(2, 3, 32, 32)).logits.shape == (2, 3)


def test_folds_side_by_side_learn_at_the_same_share_and_leave_the_same_at_rest(
    weights: Path,
) -> None:
    settings = {"pretrained": str(weights), "frozen": 2, "lr_share": 0.1}
    torch.manual_seed(0)
    clips = {"flow_uvs": torch.randn(6, 3, 32, 32)}
    targets, every = Targets(torch.arange(6) % 3, None), torch.arange(6)
    networks = []
    for seed in (1, 1, 2, 2):
        torch.manual_seed(seed)
        networks.append(built(**settings).train())
    one, first, other, second = networks
    before = {name: value.clone() for name, value in one.state_dict().items()}
    learners = [
        Learner(network, every, seed, stream(torch.device("cpu")), {})
        for seed, network in enumerate((first, second))
    ]
    fit_together(learners, clips, targets, 3, RECIPE, {})
    for seed, (alone, together) in enumerate(((one, first), (other, second))):
        fit(alone, clips, targets, RECIPE, seed)
        for name, value in alone.state_dict().items():
            # A step is 1e-4 of pretrained weights and 1e-3 of new ones; rounding may turn it.
            near = torch.isclose(together.state_dict()[name], value, rtol=0, atol=1e-5)
            assert near.float().mean() > 0.95, name
    frozen = "whole.model.conv1.0.weight"
    assert torch.equal(first.state_dict()[frozen], before[frozen])

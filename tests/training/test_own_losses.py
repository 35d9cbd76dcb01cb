"""A class loss of the user's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mer_nas.architectures import Network, load_extensions, parse
from mer_nas.config.base import validate
from mer_nas.errors import ConfigError
from mer_nas.training.config import TrainerConfig
from mer_nas.training.fit import fit
from mer_nas.training.losses import Targets
from mer_nas.training.own_losses import try_loss

LOSS = """
from torch import Tensor
from torch.nn import functional

from mer_nas.training.own_losses import loss


@loss("plain")
def plain(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target)


@loss("weighted")
def weighted(logits: Tensor, target: Tensor, rarity: Tensor) -> Tensor:
    return functional.cross_entropy(logits, target, weight=rarity)
"""

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., None]:
    """Loads the losses, with something in them replaced."""

    def loading(*change: str) -> None:
        assert not change or change[0] in LOSS
        (file := tmp_path / "losses.py").write_text(LOSS.replace(*change) if change else LOSS)
        load_extensions([file])

    return loading


def history(loss: str) -> list[float]:
    """Return the losses of two epochs on noise of three classes, one of them rare."""
    torch.manual_seed(0)
    stage = {"local": {"kind": "res_basic"}}
    tree = {"paths": [{"stem": {"kind": "conv", "width": 8, "stride": 2}, "stages": [stage]}]}
    clips = {"flow_uvs": torch.randn(10, 3, 28, 28)}
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])
    trainer = TrainerConfig(name="two", epochs=2, batch=5, loss=loss)
    return fit(Network(parse(tree), 3), clips, Targets(labels), trainer, seed=0)


@pytest.mark.parametrize(("own", "ours"), [("own.plain", "ce"), ("own.weighted", "weighted_ce")])
def test_a_loss_of_ones_own_trains_as_the_same_loss_of_ours(
    own: str, ours: str, load: Callable[..., None]
) -> None:
    load()
    assert history(own) == history(ours)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("return functional.cross_entropy(logits, target)", "return 3"),
            r"losses\.py, line 8: the loss 'own\.plain' gives 3; one number would do",
        ),
        (
            ("functional.cross_entropy(logits, target)", "logits.mean(1)"),
            r"line 8: the loss 'own\.plain' gives a tensor of \(4,\)",
        ),
        (
            ("functional.cross_entropy(logits, target)", "logits.sum() / 0"),
            r"line 8: the loss 'own\.plain' gives (inf|nan|-inf), or a slope that is no number",
        ),
        (
            ("functional.cross_entropy(logits, target)", "logits.detach().sum()"),
            r"line 8: the loss 'own\.plain' fails: RuntimeError: .*does not require grad",
        ),
        (
            ("logits: Tensor, target: Tensor) ->", "logits, target) ->"),
            "the loss 'plain' has no annotation of logits, target;",
        ),
        (('"weighted"', '"plain"'), "line 13: another loss is called 'plain': losses.py, line 8"),
    ],
)
def test_what_is_no_loss_is_refused_with_its_line(
    change: tuple[str, str], message: str, load: Callable[..., None]
) -> None:
    def asked() -> None:
        load(*change)
        try_loss("own.plain", 3)

    with pytest.raises(ConfigError, match=message):
        asked()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "own.plan",
            r"no loss is called 'own\.plan'; known: own\.plain, own\.weighted. Did you m",
        ),
        (
            "plain",
            "trainer.loss: input should be 'weighted_ce', 'ce', 'focal' or 'logit_adjusted'",
        ),
        ("own.", r"trainer\.loss: string should match pattern"),
    ],
)
def test_a_loss_that_there_is_not_is_told(
    name: Any, message: str, load: Callable[..., None]
) -> None:
    def asked() -> None:
        try_loss(validate(TrainerConfig, {"loss": name}, "trainer").loss, 3)

    load()
    with pytest.raises(ConfigError, match=message):
        asked()

"""Mistakes in a user's own code are met before a search, with block, place, file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mer_nas.errors import MerNasError
from mer_nas.space import SearchSpace
from mer_nas.training.config import TrainerConfig
from mer_nas.vetting import check

NETWORK = """
from beside import helped
from torch import Tensor, nn

from mer_nas.architectures import network


@network("mine")
class Mine(nn.Module):
    def __init__(self, channels: int, classes: int, width: int = 4) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(channels, width, 3, 4), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.out(helped(self.conv(x), self.training).mean((2, 3)))
        return logits
"""
BESIDE = """
from torch import Tensor


def helped(x: Tensor, training: bool) -> Tensor:
    return x
"""

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., None]:
    """Checks a space around the network, with its files as they are given."""

    def checking(network: str = NETWORK, beside: str = BESIDE) -> None:
        (tmp_path / "mine.py").write_text(network)
        (tmp_path / "beside.py").write_text(beside)
        tree = {
            "name": "mine",
            "extensions": ["mine.py"],
            "architecture": {"network": {"kind": "mine", "width": {"choice": [2, 4]}}},
        }
        check(SearchSpace.read(tree, "mine.yaml", tmp_path), TrainerConfig(name="plain"))

    return checking


def test_a_network_without_mistakes_passes(checked: Callable[..., None]) -> None:
    checked()


AT = r"architecture\.network: the network 'mine' of .*mine\.py: "


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    return x",
            "    return x / 0 if training else x",
            AT + r"line 14: forward makes (inf|-inf|nan) of noise \(4, 3, 28, 28\); numbers would",
        ),
        (
            "    return x",
            "    assert not training, 'only one mode'\n    return x",
            AT
            + r"beside\.py, line 6: forward fails for \(4, 3, 28, 28\): AssertionError: only one",
        ),
        (
            "    return x",
            "    return x[:1]",
            AT + r"line 14: forward makes \(1, 3\) of \(4, 3, 28",
        ),
        (
            "def helped",
            "import torch\n\n\nclass Own(torch.autograd.Function):\n    @staticmethod\n"
            "    def forward(ctx, x):\n        return x * 1\n\n    @staticmethod\n"
            "    def backward(ctx, grad):\n        raise KeyError('way back')\n\n\ndef helped",
            r"mine\.py: beside\.py, line 15: KeyError: 'way back'",
        ),
    ],
    ids=["no numbers", "in one mode", "another shape", "on the way back"],
)
def test_what_fails_in_a_step_is_told_with_the_last_own_line(
    old: str, new: str, message: str, checked: Callable[..., None]
) -> None:
    beside = BESIDE.replace(old, new)
    if "class Own" in new:
        beside = beside.replace("return x\n", "return Own.apply(x)\n")
    with pytest.raises(MerNasError, match=message):
        checked(beside=beside)


def test_a_loss_of_its_own_that_is_no_number_is_told(checked: Callable[..., None]) -> None:
    odd = NETWORK.replace("return logits", "return logits, {'size': logits.sum() * float('nan')}")
    with pytest.raises(MerNasError, match="a training step of mine with noise: the loss is nan"):
        checked(network=odd)

"""Mistakes in a user's own code are met before a search, with block, place, file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mer_nas import api
from mer_nas.api import Study
from mer_nas.architectures import Network, parse
from mer_nas.architectures.extensions import refuse_stale
from mer_nas.errors import MerNasError, TrainingFailed
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

    def checking(network: str = NETWORK, beside: str = BESIDE, lr: float = 1e-3) -> None:
        (tmp_path / "mine.py").write_text(network)
        (tmp_path / "beside.py").write_text(beside)
        tree = {
            "name": "mine",
            "extensions": ["mine.py"],
            "architecture": {"network": {"kind": "mine", "width": {"choice": [2, 4]}}},
        }
        trainer = TrainerConfig(name="plain", lr=lr)
        check(SearchSpace.read(tree, "mine.yaml", tmp_path), trainer)

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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "return logits",
            "return logits, x",
            r"mine\.py, line 14: forward of Mine gives tuple \(Tensor, Tensor\); logits, or \(log",
        ),
        (
            "return logits",
            "return logits.detach()",
            "a training step of mine with noise: RuntimeError: element 0 of tensors does not requ",
        ),
        (
            "nn.Linear(width, classes)",
            "nn.LazyLinear(classes)",
            AT + "build gives Mine; one without lazy layers, whose sizes nobody knows, would be r",
        ),
        (
            "nn.Linear(width, classes)",
            "nn.Sequential(nn.Linear(width, classes), __import__('torch').jit.ScriptModule())",
            AT + r"build gives Mine; one of which torch\.jit has compiled no part would be right",
        ),
        (
            "self.conv, self.out = nn.Conv2d(channels, width, 3, 4), nn",
            "self.hidden = [nn.Conv2d(channels, width, 3, 4)]\n        self.conv, self.out = "
            "self.hidden[0].forward, nn",
            "a network of mine that is given the state of another answers otherwise, and so would",
        ),
    ],
)
def test_what_cannot_be_trained_or_kept_is_told(
    old: str, new: str, message: str, checked: Callable[..., None]
) -> None:
    assert old in NETWORK
    with pytest.raises(MerNasError, match=message):
        checked(NETWORK.replace(old, new))


def test_a_learning_rate_that_breaks_the_weights_is_told(checked: Callable[..., None]) -> None:
    with pytest.raises(
        MerNasError, match=r"mine with noise: with lr 1e\+300 its weights are no n"
    ):
        checked(lr=1e300)


def test_a_constructor_may_change_the_lists_that_it_is_given(checked: Callable[..., None]) -> None:
    greedy = NETWORK.replace("width: int = 4)", "width: int = 4, widths: list[int] = [3, 5])")
    greedy = greedy.replace(
        "super().__init__()", "super().__init__()\n        widths.insert(0, 1)"
    )
    checked(greedy)
    architecture = parse({"network": {"kind": "mine"}})
    Network(architecture, 3)
    assert architecture.model_dump(mode="json")["network"]["widths"] == [3, 5]


def test_each_item_of_a_list_may_be_open(checked: Callable[..., None], tmp_path: Path) -> None:
    checked(NETWORK.replace("width: int = 4)", "width: int = 4, widths: list[int] = [3, 5])"))
    widths = [{"choice": [2, 4]}, {"int": [3, 5]}, 7]
    tree = {"name": "mine", "architecture": {"network": {"kind": "mine", "widths": widths}}}
    named = SearchSpace.read({**tree, "extensions": ["mine.py"]}, "mine.yaml", tmp_path)
    assert [name.rpartition(".")[2] for name in named.parameters()] == ["0", "1"]
    assert not check(named, TrainerConfig(name="plain")).reasons


def test_what_another_space_has_loaded_is_no_part_of_this_one(
    checked: Callable[..., None],
) -> None:
    checked()
    tree = {"name": "other", "architecture": {"network": {"kind": "mine"}}}
    with pytest.raises(MerNasError, match=r"'mine' is of mine\.py, .*\[mine\.py\] would be right"):
        check(SearchSpace.read(tree, "other.yaml"), TrainerConfig(name="plain"))


def test_a_file_that_was_edited_since_it_was_loaded_is_refused(
    checked: Callable[..., None], tmp_path: Path
) -> None:
    checked()
    file = tmp_path / "mine.py"
    file.write_text(f"# a remark changes nothing\n{NETWORK}")
    refuse_stale([file])
    (tmp_path / "beside.py").write_text(BESIDE.replace("return x", "return 2 * x"))
    with pytest.raises(MerNasError, match=r"mine\.py was edited after this Python had loaded it"):
        refuse_stale([file])


def test_a_loss_of_its_own_that_is_no_number_is_told(checked: Callable[..., None]) -> None:
    odd = NETWORK.replace("return logits", "return logits, {'size': logits.sum() * float('nan')}")
    with pytest.raises(MerNasError, match="a training step of mine with noise: the loss is nan"):
        checked(network=odd)


def test_weights_that_learn_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        NETWORK.replace("self.conv, self.out", "self.lost, self.conv, self.out").replace(
            "= nn.Conv2d", "= nn.Linear(2, 2), nn.Conv2d"
        )
    )
    (tmp_path / "beside.py").write_text(BESIDE)
    tree = {
        "name": "mine",
        "extensions": ["mine.py"],
        "architecture": {"network": {"kind": "mine"}},
    }
    space = SearchSpace.read(tree, "mine.yaml", tmp_path)
    (said,) = check(space, TrainerConfig(name="plain", lr=1e-3)).notes
    assert said.endswith("or by chance, what it uses: lost.weight, lost.bias")


def test_a_network_without_an_onnx_form_is_named_before_any_search(tmp_path: Path) -> None:
    # Of 7 rows ONNX has no even windows for 3.
    pooled = "nn.functional.adaptive_max_pool2d(logits[:, :, None, None].expand(-1, -1, 7, 7), 3)"
    network = NETWORK.replace("return logits", f"return {pooled}.mean((2, 3))")
    (tmp_path / "mine.py").write_text(network)
    (tmp_path / "beside.py").write_text(BESIDE)
    space = tmp_path / "mine.yaml"
    space.write_text("name: mine\nextensions: [mine.py]\narchitecture: {network: {kind: mine}}\n")
    (said,) = api.check(space=space).notes
    assert "a winner with mine will not be exported: model.onnx: the network has no ONNX" in said
    assert said.endswith(
        "mine.py, line 16: the exporter knows no form of aten.adaptive_max_pool2d.default"
    )


LATE = """
    steps[training and x.shape[1]] += 1
    if training and steps[x.shape[1]] > 1 and FAILS:
        raise KeyError("a second step")
    return x"""


@pytest.fixture
def searched(tmp_path: Path) -> Callable[[str], Study]:
    """Searches a space around a network that fails in its second step, where some condition holds."""

    def searching(fails: str) -> Study:
        (tmp_path / "mine.py").write_text(NETWORK)
        helped = BESIDE.replace("    return x", LATE.replace("FAILS", fails).strip("\n"))
        counter = "from collections import Counter\n\nsteps: Counter[int] = Counter()\n"
        (tmp_path / "beside.py").write_text(counter + helped)
        space = tmp_path / "mine.yaml"
        space.write_text(
            "name: mine\nextensions: [mine.py]\n"
            "architecture: {network: {kind: mine, width: {choice: [2, 4, 6, 8]}}}\n"
        )
        study = ["study.trials=4", "study.folds=2", "study.final=none"]
        data = ["data.subjects=4", "data.clips=24", "trainer.epochs=1"]
        return api.search(
            f"space={space}", *study, *data, "ray.workers=0", f"study.folder={tmp_path / 'study'}"
        )

    return searching


def test_a_network_that_always_fails_late_is_told_before_a_search(
    searched: Callable[[str], Study],
) -> None:
    said = r"no network that was drawn can be trained; .* beside\.py, line 11: KeyError: 'a second"
    with pytest.raises(TrainingFailed, match=said):
        searched("True")


def test_one_draw_that_fails_late_fails_alone(searched: Callable[[str], Study]) -> None:
    study = searched("x.shape[1] == 2")
    outcomes = {trial.outcome for trial in study.report.study.trials}
    assert study.failed
    assert outcomes >= {"complete", "failed"}

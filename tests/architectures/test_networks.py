"""Networks that are used whole: any `nn.Module`, its arguments as settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mer_nas import systems
from mer_nas.architectures import NETWORKS, Cost, Network, load_extensions, parse, parse_drawn
from mer_nas.architectures.shapes import without_numbers
from mer_nas.architectures.user_blocks import BlockError
from mer_nas.config.base import Tree
from mer_nas.diagram import Diagram
from mer_nas.errors import ConfigError, Infeasible
from mer_nas.space import SearchSpace

NETWORK = '''
from typing import Literal

import torch
from torch import Tensor, nn

from mer_nas.architectures import network


@network("shallow", source="none: for tests")
class Shallow(nn.Module):
    """One convolution and a linear layer."""

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        width: int = 4,
        drop: float = 0.5,
        depth: int = 1,
        norm: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width) if norm == "batch" else nn.Identity()
        self.drop = nn.Dropout(drop)
        self.out = nn.Linear(width * size * size, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return self.out(self.drop(x.view(len(x), -1)))


@network("pair", inputs={"late": "difference", "flow": "flow_uvs"})
class Pair(nn.Module):
    """Two inputs by name, and a loss of its own."""

    def __init__(self, channels: tuple[int, ...], classes: int, share: float = 0.5) -> None:
        super().__init__()
        self.one, self.other = (nn.Linear(number, classes) for number in channels)
        self.share = share

    def forward(self, flow: Tensor, late: Tensor) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        logits = self.one(flow.mean((2, 3))) + 100 * self.other(late.mean((2, 3)))
        return (logits, {"size": self.share * logits.square().mean()}) if self.training else logits
'''
"""A network of (3 w + 27 w ...) weights, and one of two inputs."""

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes and loads the file, with something in it replaced."""

    def written(*change: str) -> Path:
        text = NETWORK.replace(*change) if change else NETWORK
        assert not change or change[0] in NETWORK
        (file := tmp_path / "mine.py").write_text(text)
        load_extensions([file])
        return file

    return written


def space(tree: Tree) -> SearchSpace:
    return SearchSpace.read({"name": "mine", "architecture": tree}, "mine.yaml")


def test_the_arguments_of_a_module_are_settings_with_their_defaults(
    write: Callable[..., Path],
) -> None:
    write()
    found = parse({"network": {"kind": "shallow", "width": 8}})
    assert found.model_dump(mode="json") == {
        "network": {
            "kind": "shallow",
            "inputs": ["flow_uvs"],
            "size": 28,
            "frames": 1,
            "width": 8,
            "drop": 0.5,
            "depth": 1,
            "norm": "batch",
        }
    }
    assert parse(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("said", "default", "size"), [("", "", 28), ("", " = 64", 64), (", size=32", " = 64", 32)]
)
def test_what_yaml_and_decorator_leave_open_is_the_default_of_the_argument(
    said: str, default: str, size: int, tmp_path: Path
) -> None:
    text = NETWORK.replace('for tests"', f'for tests"{said}')
    # What has a default stands behind what has none.
    text = text.replace(
        "        size: int,\n        classes: int,",
        f"        classes: int,\n        size: int{default},",
    )
    text = text.replace("width: int = 4", "width: int = 4, frames: int = 5") if default else text
    (tmp_path / "mine.py").write_text(text)
    load_extensions([tmp_path / "mine.py"])
    found = parse({"network": {"kind": "shallow", "width": 2}})
    assert found.shapes == {"flow_uvs": (3, size, size)}
    if default:
        timed = parse({"network": {"kind": "shallow", "inputs": ["frames"]}})
        assert timed.shapes == {"frames": (5, 1, size, size)}


@pytest.mark.parametrize("kind", ["int", "int | None", "Annotated[int, 'of all']"])
def test_channels_are_a_number_wherever_a_number_may_stand(
    kind: str, write: Callable[..., Path]
) -> None:
    write(
        "channels: int", f"channels: {kind}".replace("Annotated", "__import__('typing').Annotated")
    )
    network = Network(parse({"network": {"kind": "shallow"}}), 3)
    assert network.state_dict()["whole.conv.weight"].shape == (4, 3, 3, 3)


def test_weights_and_work_are_counted_on_the_module(write: Callable[..., Path]) -> None:
    write()
    cost = Cost.of(parse({"network": {"kind": "shallow", "width": 8, "size": 14}}), classes=3)
    conv, norm, out = 8 * 3 * 9 + 8, 2 * 8, 3 * (8 * 14 * 14) + 3
    assert cost.parameters == cost.deployed == conv + norm + out
    assert cost.macs == 8 * 3 * 9 * 14 * 14 + 3 * 8 * 14 * 14


def test_inputs_reach_the_argument_of_their_name(write: Callable[..., Path]) -> None:
    write()
    architecture = parse({"network": {"kind": "pair"}})
    assert architecture.inputs == ("flow_uvs", "difference")
    network = Network(architecture, 3)
    flow, late = torch.randn(2, 5, 3, 28, 28)
    said = network(flow, late)
    assert said.losses["size"] == 0.5 * said.logits.square().mean()
    module = network.whole
    right = module.one(flow.mean((2, 3))) + 100 * module.other(late.mean((2, 3)))
    assert torch.equal(network.eval()(flow, late), right)
    with pytest.raises(Infeasible, match=r"inputs of 1 and 3 channels for channels: int"):
        parse({"network": {"kind": "shallow", "inputs": ["flow_uvs", "dynamic_image"]}})


def test_a_whole_network_is_one_path_of_two(write: Callable[..., Path]) -> None:
    write()
    stages: Tree = {
        "stem": {"kind": "conv", "width": 8},
        "stages": [{"local": {"kind": "res_basic"}}],
    }
    tree = {
        "paths": [{"network": {"kind": "pair"}, "width": 5}, stages],
        "fusion": {"kind": "sum", "width": 16},
    }
    architecture = parse(tree)
    network = Network(architecture, 3)
    said = network(*torch.randn(2, 4, 3, 28, 28))
    assert said.logits.shape == (4, 3)
    assert set(said.losses) == {"size"}
    drawn = Diagram.of(architecture, 3).as_text()
    assert "pair" in drawn
    assert "16 x 1 x 1" in drawn
    assert systems.needs(space(tree)).inputs == ("difference", "flow_uvs")


def test_a_space_searches_the_arguments_and_says_what_is_read(write: Callable[..., Path]) -> None:
    write()
    found = space(
        {
            "network": {
                "choice": {
                    "shallow": {"width": {"choice": [4, 8]}, "drop": {"float": [0.2, 0.6]}},
                    "pair": {"size": 14},
                }
            }
        }
    )
    assert set(found.parameters()) == {
        "architecture.network",
        "architecture.network.shallow.width",
        "architecture.network.shallow.drop",
    }
    needs = systems.needs(found)
    assert set(needs.inputs) == {"flow_uvs", "difference"}
    assert set(needs.sizes) == {28, 14}
    inputs = {"choice": [["keyframes"], ["flow_rgb"]]}
    needs = systems.needs(space({"network": {"kind": "shallow", "inputs": inputs}}))
    assert needs.inputs == ("keyframes", "flow_rgb")


def test_a_drawn_network_takes_the_frames_there_are(write: Callable[..., Path]) -> None:
    write()
    timed: dict[str, Any] = {"kind": "shallow", "inputs": ["keyframes"], "frames": 7}
    with pytest.raises(Infeasible, match="frames: 7 of 'keyframes'; right: frames: 3"):
        parse({"network": timed})
    assert parse_drawn({"network": timed}).shapes == {"keyframes": (3, 1, 28, 28)}
    image = {"kind": "shallow", "frames": 7}
    assert parse_drawn({"network": image}) == parse({"network": {"kind": "shallow"}})


def test_the_diagram_shows_the_modules_with_what_leaves_them(write: Callable[..., Path]) -> None:
    linear = "nn.Linear(width * size * size, classes)"
    write(linear, f"nn.utils.parametrizations.weight_norm({linear})")
    lines = Diagram.of(parse({"network": {"kind": "shallow"}}), 3).as_text().splitlines()
    modules = [line.strip("│ ").split("  ") for line in lines if line.startswith("│ ")]
    shown = [(words[0], words[-1].strip()) for words in modules if len(words) > 1]
    assert shown == [
        ("flow_uvs", "3 x 28 x 28"),
        ("conv Conv2d", "4 x 28 x 28"),
        ("norm BatchNorm2d", "4 x 28 x 28"),
        ("drop Dropout", str(4 * 28 * 28)),
        ("out ParametrizedLinear", "3"),  # and not what makes its weights
        ("logits", "3 classes"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "width: int = 4",
            "width=4",
            r"mine.py, line 14: the argument 'width' of Shallow has no a",
        ),
        (
            "drop: float = 0.5",
            "drop: Tensor = None",
            r"'drop' of Shallow is of .*which no setting",
        ),
        (
            "drop: float = 0.5",
            "drop: float = 'x'",
            r"'drop' of Shallow has the default 'x': Input",
        ),
        ("        classes: int,\n", "", r"line 14: Shallow has no argument 'classes', the number"),
        (
            "width: int = 4",
            "inputs: int = 4",
            r"'inputs' of Shallow has a name that every network",
        ),
        (
            "size: int,",
            "size: tuple[int, int],",
            r"line 14: the argument 'size' of Shallow is of tuple\[int, int\], but the data give int",
        ),
        (
            "size: int,\n        classes: int,",
            "classes: int,\n        size: int = 0,",
            r"line 14: size of Shallow is 0 where YAML does not say: Input should be greater than",
        ),
        ('"pair"', '"shallow"', "two networks are called 'shallow'"),
        ('"difference"', '"diference"', "network 'pair': no input is called 'diference'.*Did you"),
        ("class Pair(nn.Module)", "class Pair", "network 'pair' is .*, and no class of nn.Module"),
    ],
)
def test_an_argument_that_is_no_setting_is_told_with_its_file_and_line(
    old: str, new: str, message: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        write(old, new)
    assert "pair" not in NETWORKS


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "size * size, classes)",
            "size * size, 7)",
            r"makes \(1, 7\) of .*; \(1, 3\) would be right",
        ),
        (".view(len(x), -1)", "", r"mine.py, line 32: forward fails for \(1, 3, 28, 28\): Runt"),
        ("return self.out(self.drop(x.view(len(x), -1)))", "x", r"makes None of .*\(1, 3\) would"),
        (
            "nn.Conv2d(channels,",
            "nn.Conv2d(None,",
            r"mine.py, line 25: build fails for 3 channels",
        ),
    ],
)
def test_a_network_that_answers_otherwise_is_told_with_its_shapes(
    old: str, new: str, message: str, write: Callable[..., Path]
) -> None:
    write(old, new)
    with pytest.raises(BlockError, match=message):
        Cost.of(parse({"network": {"kind": "shallow"}}), 3)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "the setting 'paths' is missing, or 'network' for one used whole"),
        ({"network": {"kind": "shalow"}}, "no option is called 'shalow'.*Did you mean 'shallow'"),
        ({"network": {"kind": "shallow", "widht": 3}}, "no setting is called 'widht'.*'width'"),
        (
            {"network": {"kind": "shallow", "norm": "x"}},
            "shallow.norm: input should be 'batch' or",
        ),
        (
            {"network": {"kind": "shallow", "width": 2.5}},
            "shallow.width: input should be a valid i",
        ),
        ({"network": {"kind": "shallow", "inputs": []}}, "inputs: at least one is needed"),
        (
            {"network": {"kind": "shallow"}, "head": {"kind": "gap"}},
            "has nothing beside it, not 'he",
        ),
    ],
)
def test_a_mistake_in_yaml_is_told_as_for_any_block(
    tree: Tree, message: str, write: Callable[..., Path]
) -> None:
    write()
    with pytest.raises(ConfigError, match=message):
        parse(tree)


def test_without_any_network_the_slot_says_so() -> None:
    NETWORKS._components.clear()
    with pytest.raises(ConfigError, match="no network is called 'ststnet'; known: none"):
        parse({"network": {"kind": "ststnet"}})


NUMBERS = """
import torch
from torch import Tensor, nn

from mer_nas.architectures import network


@network("asking")
class Asking(nn.Module):
    def __init__(self, channels: int, classes: int, width: int = 4) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(channels, width, 3), nn.Linear(width, classes)
        self.drop = nn.Dropout(torch.linspace(0, 0.2, 3)[1].item())

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if x.mean().item() > -1e6:
            x = x.relu()
        return self.out(self.drop(x.mean((2, 3))))
"""
"""Asks for numbers as it is built, as many transformers do, and as it is run."""


def test_a_module_that_asks_for_numbers_gets_them_and_no_draw_changes(tmp_path: Path) -> None:
    (file := tmp_path / "asking.py").write_text(NUMBERS)
    load_extensions([file])
    before = torch.get_rng_state()
    cost = Cost.of(parse(alone := {"network": {"kind": "asking"}}), classes=3)
    assert cost.parameters == (27 + 1) * 4 + (4 + 1) * 3
    assert cost.macs == 27 * 4 * 26 * 26 + 4 * 3
    drawn = Diagram.of(parse(alone), classes=3).as_text(94)
    assert "26 x 26" in drawn
    assert "Dropout" in drawn
    with without_numbers():
        assert Network(parse(alone), classes=3).whole.conv.weight.is_meta
    path = {"network": {"kind": "asking"}, "width": 5}
    two = Cost.of(parse({"paths": [path, path], "fusion": {"kind": "sum", "width": 8}}), classes=3)
    assert two.parameters > 2 * cost.parameters
    assert torch.equal(torch.get_rng_state(), before)

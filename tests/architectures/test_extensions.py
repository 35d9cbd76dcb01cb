import hashlib
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

from mer_nas import trust
from mer_nas.architectures import (
    GATES,
    Cost,
    Network,
    architecture_schema,
    extensions,
    load_extensions,
    loaded_sources,
    parse,
)
from mer_nas.architectures.user_blocks import BlockError
from mer_nas.errors import ConfigError, Untrusted
from mer_nas.search.jobs import describe
from mer_nas.sources import meaning
from mer_nas.trust import asking
from mer_nas.vetting.own import own_parts

Tree = dict[str, Any]

GATE = '''
from typing import Literal

import torch
from torch import Tensor, nn

from mer_nas.architectures import GATES, Block, BuildContext


@GATES.register
class Scale(Block):
    """One learned factor for each channel."""

    kind: Literal["scale"] = "scale"
    start: float = 1.0
    """What every factor starts from."""

    def build(self, context: BuildContext) -> nn.Module:
        return Factors(context.channels, self.start)


class Factors(nn.Module):
    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
'''

PATHS = '''
from typing import Literal

from torch import Tensor, nn

from mer_nas import trust
from mer_nas.architectures import (
    FUSIONS, ORTHS, TEMPORALS, BuildContext, Fusion, Orth, TemporalPool
)


@TEMPORALS.register
class Last(TemporalPool):
    """The last frame."""

    kind: Literal["last"] = "last"

    def pool(self, context: BuildContext) -> nn.Module:
        return LastFrame()


@FUSIONS.register
class Product(Fusion):
    """The product."""

    kind: Literal["product"] = "product"

    def build(self, context: BuildContext) -> nn.Module:
        return Times()


@ORTHS.register
class Dot(Orth):
    """The mean product."""

    kind: Literal["dot"] = "dot"

    def build(self, context: BuildContext) -> nn.Module:
        return MeanProduct()


class LastFrame(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return frames[:, -1]


class Times(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return one * other


class MeanProduct(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one * other).mean()
'''

pytestmark = pytest.mark.usefixtures("registries")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    file = tmp_path / "my_gate.py"
    file.write_text(GATE)
    return file


@pytest.mark.slow
def test_a_block_of_a_file_is_written_built_counted_and_listed(
    gate: Path, small: Callable[..., Tree]
) -> None:
    def tree(kind: str) -> Tree:
        return small({"local": {"kind": "res_basic"}, "gate": {"kind": kind}})

    with pytest.raises(ConfigError, match="no option is called 'scale'; known: cbam_par"):
        parse(tree("scale"))
    load_extensions([gate])
    architecture = parse(tree("scale"))
    assert "scale" in GATES
    assert architecture.model_dump()["paths"][0]["stages"][0]["gate"]["start"] == 1.0
    assert Network(architecture, 3)(torch.randn(2, 3, 28, 28)).logits.shape == (2, 3)
    extra = Cost.of(architecture, 3).parameters - Cost.of(parse(tree("none")), 3).parameters
    assert extra == 16
    mapping = architecture_schema()["$defs"]["Stage"]["properties"]["gate"]["discriminator"][
        "mapping"
    ]
    assert {"none", "prog", "scale"} <= set(mapping)


def test_a_pool_a_fusion_and_a_loss_of_a_file_stand_among_the_others(
    tmp_path: Path, small: Callable[..., Tree]
) -> None:
    file = tmp_path / "my_paths.py"
    file.write_text(PATHS)
    load_extensions([file])
    (path,) = small({"local": {"kind": "res_basic"}})["paths"]
    timed = path | {"input": "frames", "frames": 2, "temporal": {"kind": "last"}}
    tree = {"paths": [path, timed], "fusion": {"kind": "product"}}
    tree["losses"] = {"orth": {"kind": "dot", "weight": 0.5}}
    network = Network(parse(tree), 3)
    flow, frames = torch.randn(2, 3, 28, 28), torch.randn(2, 2, 1, 28, 28)
    output = network(flow, frames)
    assert set(output.losses) == {"orth"}
    others = torch.cat([torch.randn(2, 1, 1, 28, 28), frames[:, 1:]], dim=1)
    network.eval()
    assert torch.equal(network(flow, frames), network(flow, others))


def test_its_settings_are_checked_like_all_others(gate: Path, small: Callable[..., Tree]) -> None:
    load_extensions([gate])
    tree = small({"local": {"kind": "res_basic"}, "gate": {"kind": "scale", "strt": 2}})
    with pytest.raises(ConfigError, match=r"no setting is called 'strt'.*Did you mean 'start'"):
        parse(tree)


RETURN = "return x * self.weight"


def line_of(part: str, text: str) -> str:
    """Return the number of the line in which a part of a text begins."""
    return str(text[: text.index(part)].count("\n") + 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Factors(context.channels, self.start)",
            "Factors(self.start)",
            r"mine.py: mine.py, line LINE: build fails for 16 channels of 28 x 28: TypeError: ",
        ),
        ("return Factors(", "Factors(", r"mine.py: build gives None; a torch.nn.Module would"),
        ("def build(", "def bild(", r"build fails .*: the block has no build"),
        (
            RETURN,
            "return x @ torch.zeros(3, 5)",
            r"mine.py, line LINE: forward fails for \(1, 16, 28, 28\): RuntimeError: ",
        ),
        (
            RETURN,
            "return x[:, :, ::2]",
            r"mine.py: line FORWARD: forward makes \(1, 16, 14, 28\) of \(1, 16, 28, 28\); "
            r"\(1, 16, 28, 28\) would be right",
        ),
        (
            RETURN,
            "raise SystemExit(0)",
            r"mine.py, line LINE: forward fails for \(1, 16, 28, 28\): SystemExit: 0",
        ),
        (RETURN, "x * 2", r"forward makes None of \(1, 16, 28, 28\); \(1, 16, 28, 28\) would"),
        (
            "    def build(",
            "    def canonical(self, context): pass\n\n    def build(",
            r"canonical gives None; a block of the slot gate would be right",
        ),
        (
            "    def build(",
            "    def canonical(self, context):\n"
            "        return self.model_copy(update={'start': self.start + 1})\n\n    def build(",
            r"canonical of scale never comes to an end",
        ),
        (
            "    def build(",
            "    def shape(self, context): return 3\n\n    def build(",
            r"shape gives 3; a Shape would be right",
        ),
        (
            "    def build(",
            "    def check(self, context): return context.nothing\n\n    def build(",
            r"mine.py, line LINE: check fails for .*: AttributeError: ",
        ),
    ],
)
def test_a_mistake_of_a_block_is_said_with_its_file_line_and_shapes(
    old: str, new: str, message: str, tmp_path: Path, small: Callable[..., Tree]
) -> None:
    file = tmp_path / "mine.py"
    assert old in GATE
    text = GATE.replace(old, new)
    file.write_text(text)
    message = message.replace("LINE", line_of(new.splitlines()[0], text))
    message = message.replace("FORWARD", line_of("def forward", text))
    load_extensions([file])
    tree = small({"local": {"kind": "res_basic"}, "gate": {"kind": "scale"}})
    with pytest.raises(BlockError, match=message):
        Cost.of(parse(tree), 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Block, BuildContext\n", "Block, Site\n", r"mine.py .* Site is called BuildContext now"),
        (
            "    def build(",
            "    def settle(self, context): return self\n\n    def build(",
            r"mine.py .* Scale.settle is called canonical now; rename it",
        ),
    ],
)
def test_a_block_that_was_written_for_earlier_names_is_told_the_new_ones(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GATE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_extensions([file])


def test_what_a_trial_fails_of_names_the_line_of_a_block(
    tmp_path: Path, small: Callable[..., Tree]
) -> None:
    file = tmp_path / "mine.py"
    text = GATE.replace(RETURN, "raise KeyError('no')")
    file.write_text(text)
    load_extensions([file])
    tree = small({"local": {"kind": "res_basic"}, "gate": {"kind": "scale"}})
    with pytest.raises(KeyError) as failed:
        Network(parse(tree), 3)(torch.randn(2, 3, 28, 28))
    assert describe(failed.value) == (
        f"mine.py, line {line_of('raise KeyError', text)}: KeyError: 'no'"
    )


SCALES = """
from typing import Literal

from torch import nn

from mer_nas.architectures import MULTI_SCALES, Block, BuildContext


@MULTI_SCALES.register
class Own(Block):
    '''Nothing, at any strength.'''

    kind: Literal["own_scales"] = "own_scales"
    strength: int = 2

    def build(self, context: BuildContext) -> nn.Module:
        return nn.Identity()

    def check(self, context: BuildContext) -> None:
        if self.strength > 8:
            raise ValueError("too strong")

    def canonical(self, context: BuildContext) -> "Own":
        return self.model_copy(update={"strength": 1}) if self.strength < 8 else self
"""


def test_what_stands_within_a_stem_is_asked_as_every_block(
    tmp_path: Path, small: Callable[..., Tree]
) -> None:
    (tmp_path / "scales.py").write_text(SCALES)
    load_extensions([tmp_path / "scales.py"], trust=True)
    tree = small({"local": {"kind": "res_basic"}})
    tree["paths"][0]["stem"]["multi_scale"] = {"kind": "own_scales", "strength": 3}
    found = parse(tree)
    assert found.paths[0].stem.multi_scale.strength == 1  # type: ignore[attr-defined]
    assert [*own_parts(found)] == ["own_scales"]
    tree["paths"][0]["stem"]["multi_scale"]["strength"] = 9
    with pytest.raises(BlockError, match=r"scales\.py, line 21: check fails .*: too strong"):
        parse(tree)


def test_a_file_is_loaded_once(gate: Path) -> None:
    load_extensions([gate])
    load_extensions([gate, gate.parent / "." / gate.name])
    found = loaded_sources([gate])
    assert found["my_gate.py"] == meaning(GATE.encode())
    assert "my_gate.py'" not in found


def test_a_worker_loads_what_its_driver_has_loaded_whatever_lies_there_now(
    gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_extensions([gate])
    known = extensions.loaded_files([gate])
    before = loaded_sources([gate])
    gate.write_text("raise ValueError('edited while the search runs')")
    monkeypatch.setattr(extensions, "_loaded", {})  # as in another process
    GATES._components.pop("scale")
    extensions.load_again(known)
    assert "scale" in GATES
    assert loaded_sources([gate]) == before


HELPED = """
from layers.factors import Factors
from mine_names import NAME
from typing import Literal
from torch import nn
from mer_nas.architectures import GATES, Block, BuildContext


@GATES.register
class Scale(Block):
    kind: Literal["scale"] = NAME

    def build(self, context: BuildContext) -> nn.Module:
        import layers.late

        return Factors(context.channels, layers.late.START)
"""


@pytest.fixture
def helped(tmp_path: Path) -> Path:
    """A file that imports others beside it, one of them within a function."""
    folder = tmp_path / "one"
    (folder / "layers").mkdir(parents=True)
    (folder / "mine_names.py").write_text('NAME = "scale"')
    (folder / "layers" / "__init__.py").write_text("")
    (folder / "layers" / "late.py").write_text("from ..mine_names import NAME\nSTART = 2.0")
    factors = GATE[GATE.index("class Factors") :]
    text = f"import torch\nfrom torch import Tensor, nn\nfrom .late import START\n\n\n{factors}"
    (folder / "layers" / "factors.py").write_text(text)
    (folder / "mine.py").write_text(HELPED)
    return folder / "mine.py"


def test_a_file_imports_what_lies_beside_it(helped: Path, small: Callable[..., Tree]) -> None:
    load_extensions([helped])
    tree = small({"local": {"kind": "res_basic"}, "gate": {"kind": "scale"}})
    network = Network(parse(tree), 3)
    assert {
        float(gate.weight.detach().unique())
        for name, gate in network.named_modules()
        if name.endswith("gate")
    } == {2.0}
    names = {
        "mine.py",
        "mine_names.py",
        "layers/__init__.py",
        "layers/factors.py",
        "layers/late.py",
    }
    assert names <= set(loaded_sources([helped]))
    assert not {"layers", "mine_names"} & set(sys.modules)


def test_all_that_lies_beside_a_file_is_asked_for_before_any_runs(
    helped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(trust, "_agreed", set())
    monkeypatch.setenv("MER_NAS_CONFIG", str(tmp_path / "own"))
    with asking(lambda text: bool(asked.append(text))), pytest.raises(Untrusted):
        load_extensions([helped])
    (question,) = asked
    names = {line.split(" (SHA")[0].rpartition("/")[2] for line in question.splitlines()}
    assert names == {"mine.py", "factors.py", "__init__.py", "mine_names.py", "late.py"}
    assert "scale" not in GATES


def test_two_files_each_have_their_own_beside_them(helped: Path, tmp_path: Path) -> None:
    other = tmp_path / "two"
    shutil.copytree(helped.parent, other)
    (other / "mine_names.py").write_text('NAME = "other"')
    (other / "mine.py").write_text(HELPED.replace('"scale"', '"other"'))
    load_extensions([helped, other / "mine.py"])
    assert {"scale", "other"} <= set(GATES)


def test_copies_stand_in_for_files_that_are_gone(
    helped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_extensions([helped])
    before = loaded_sources([helped])
    copied = extensions.copy_files([helped], tmp_path)
    late = helped.parent / "layers" / "late.py"
    assert copied["extensions/0/layers/late.py"] == hashlib.sha256(late.read_bytes()).hexdigest()
    shutil.rmtree(helped.parent)
    (name,) = extensions.copy_names([helped])
    load_extensions([tmp_path / name])  # of one meaning: nothing runs twice
    monkeypatch.setattr(extensions, "_loaded", {})  # as in another process
    GATES._components.pop("scale")
    with pytest.raises(ConfigError, match=r"there is no file .*mine\.py, and no copy of it"):
        load_extensions([helped])
    extensions.stand_in([helped], tmp_path)
    load_extensions([helped])
    assert "scale" in GATES
    assert loaded_sources([helped]) == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.py"
    with pytest.raises(
        ConfigError, match=r"there is no file .*none.py, and no copy of it; right: a pyth"
    ):
        load_extensions([missing])
    assert loaded_sources() == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import does_not_exist", "ModuleNotFoundError: No module named 'does_not_exist'"),
        ("gate = ", "SyntaxError: invalid syntax"),
        (GATE.replace("scale", "prog"), "ConfigError: two gates are called 'prog'"),
        (GATE.replace('kind: Literal["scale"] = "scale"', ""), "ConfigError: Scale has no kind"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_broken_file_is_named_with_its_reason(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"broken.py cannot be loaded: {message}"):
        load_extensions([file])


def test_blocks_of_installed_packages_come_along(
    gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(gate.parent)
    entry = EntryPoint("mine", "my_gate", extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [entry])
    load_extensions()
    assert "scale" in GATES
    assert loaded_sources()["my_gate"] == meaning(GATE.encode())


def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", "no_such_package", extensions.GROUP)
    monkeypatch.setattr(extensions, "entry_points", lambda group: [entry])
    with pytest.raises(ConfigError, match="installed package 'no_such_package' cannot be loaded"):
        load_extensions()

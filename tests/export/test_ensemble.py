"""Several networks as one: their mean is what is said, by the network, the graph and the file."""

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_nas import files
from mer_nas.architectures import Network
from mer_nas.data.clips import ClipSet
from mer_nas.data.records import Record
from mer_nas.errors import ConfigError, ExportError
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import clock_network
from mer_nas.export import (
    EnsembleNetwork,
    Exported,
    Provenance,
    TrainedMember,
    export_networks,
    load,
)
from mer_nas.export.bundle import refuse_unexportable
from mer_nas.export.ensemble import TakenInput
from mer_nas.export.manifest import Manifest, read_manifest
from mer_nas.prediction.model import Model

BEFORE = Path(__file__).parent / "model_2"
"""An export of the format that knew no members: width 4, trained on 24 synthetic clips."""
CLASSES = ("negative", "positive", "surprise")
FACTS = Provenance(
    study="moe-noise-1",
    label="ensemble",
    rule="mean",
    command="mer-nas search space=moe",
    code_version="0123456789ab",
    environment={},
    protocol="LOSO",
    seeds=3,
    uf1=0.7375,
    uar=0.74,
    accuracy=0.77,
    uf1_spread=0.011,
)
STAGES = [{"local": {"kind": "res_basic"}}]


class Saying(nn.Module):
    """Says the same of every clip."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


class Summing(nn.Module):
    """Says the sum of each of two inputs."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.stack([first.flatten(1).sum(1), second.flatten(1).sum(1)], 1)


def said(network: nn.Module, *inputs: Tensor) -> NDArray[np.float32]:
    """Return the probabilities that softmax makes of the logits."""
    with torch.no_grad():
        return np.asarray(network.eval()(*inputs).softmax(-1).numpy())


ALL = [TakenInput(0)]
CLIP = torch.zeros(1, 3, 28, 28)


def test_softmax_of_the_logits_is_the_weighted_mean_of_the_members_probabilities() -> None:
    # e to the power of these are 7, 2, 1 and 1, 1, 2: probabilities .7, .2, .1 and .25, .25, .5.
    one, other = Saying(*np.log([7.0, 2.0, 1.0])), Saying(*np.log([1.0, 1.0, 2.0]))
    third = EnsembleNetwork([one, other], [1 / 3, 2 / 3], [ALL, ALL])
    expected = [(0.7 + 0.5) / 3, (0.2 + 0.5) / 3, (0.1 + 1.0) / 3]
    assert said(third, CLIP)[0] == pytest.approx(expected, abs=1e-6)
    with torch.no_grad():
        assert third(CLIP)[0].exp().numpy() == pytest.approx(expected, abs=1e-6)


def test_a_mean_of_one_member_is_what_that_member_says() -> None:
    one = Saying(3.0, -1.0, 0.5)
    alone = EnsembleNetwork([one], [1.0], [ALL])
    assert said(alone, CLIP) == pytest.approx(said(one, CLIP), abs=1e-7)


def test_a_mean_of_certain_members_stays_a_number() -> None:
    certain = EnsembleNetwork(
        [Saying(2000.0, 0.0, -2000.0), Saying(-3000.0, 0.0, 3000.0)], [0.5, 0.5], [ALL, ALL]
    )
    with torch.no_grad():
        logits = certain(CLIP)[0].numpy()
    # log 1/2, no more than log(exp(-2000) / 2), log 1/2
    assert logits == pytest.approx([np.log(0.5), -2000 + np.log(0.5), np.log(0.5)], abs=1e-3)


def test_each_member_takes_its_own_inputs_and_frames() -> None:
    image, frames = torch.ones(1, 1, 2, 2), torch.arange(4.0).reshape(1, 4, 1, 1, 1)
    network = EnsembleNetwork(
        [Summing(), Summing()],
        [0.5, 0.5],
        [[TakenInput(1, (0, 3)), TakenInput(0)], [TakenInput(0), TakenInput(1)]],
    )
    # The first sums frames 0 and 3, then the image: 3, 4; the other the image, then all: 4, 6.
    expected = [(1 / (1 + np.e) + 1 / (1 + np.e**2)) / 2]
    assert said(network, image, frames)[0, :1] == pytest.approx(expected, abs=1e-6)


class Slow(Saying):
    """Thinks for 20 ms."""

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.02)
        return super().forward(x)


def test_an_ensemble_takes_as_long_as_all_its_members() -> None:
    slow = EnsembleNetwork([Slow(1.0, 0.0), Slow(0.0, 1.0)], [0.5, 0.5], [ALL, ALL])
    assert 40 <= clock_network(slow, [CLIP], torch.device("cpu")) < 10_000


def path(**more: Any) -> dict[str, Any]:
    return {"stem": {"kind": "conv", "width": 8, "stride": 2}, "stages": STAGES, **more}


def candidate(*paths: dict[str, Any]) -> Candidate:
    fusion = {"fusion": {"kind": "cofm", "width": 8}} if len(paths) > 1 else {}
    return Candidate.parse({"architecture": {"paths": list(paths), **fusion}}, "small")


def timed(count: int) -> dict[str, Any]:
    return path(input="frames", frames=count) | {"temporal": {"kind": "learned", "where": "stem"}}


def clip_set() -> ClipSet:
    """Return 10 clips of noise with flow and 8 frames."""
    draw = np.random.default_rng(0)
    shapes = {"flow_uvs": (3, 28, 28), "frames": (8, 1, 28, 28)}
    inputs = {
        name: draw.uniform(-1, 1, (10, *shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    records = tuple(Record("casme2", f"{n % 3:02}", f"clip{n}", n % 3) for n in range(10))
    return ClipSet("noise", CLASSES, records, inputs)


CLIPS = clip_set()
CANDIDATES = {
    "trial 3": candidate(path()),
    "trial 8": candidate(timed(3)),
    "trial 11": candidate(timed(2), path()),
}
WEIGHTS = {"trial 3": 0.5, "trial 8": 0.3, "trial 11": 0.2}


def networks() -> dict[str, Network]:
    """Return the members with weights of their own and statistics that have seen clips."""
    found = {}
    for seed, (label, each) in enumerate(CANDIDATES.items()):
        torch.manual_seed(seed)
        found[label] = network = Network(each.architecture, len(CLASSES))
        seen = each.inputs_for(CLIPS, range(10)).values()
        network(*map(torch.from_numpy, seen))
        with torch.no_grad():
            for weights in network.head.parameters():
                weights.mul_(30)  # so that clips of noise are told apart
    return found


MEMBERS = networks()


def members(labels: Sequence[str] = tuple(CANDIDATES)) -> list[TrainedMember]:
    return [
        TrainedMember(MEMBERS[label], CANDIDATES[label], label, 5, WEIGHTS[label])
        for label in labels
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An ensemble of networks of flow, of three frames, and of two frames with flow."""
    folder = tmp_path_factory.mktemp("ensemble") / "export"
    return export_networks(members(), CLIPS, folder, FACTS)


@pytest.fixture
def exported(original: Exported, tmp_path: Path) -> Path:
    """A copy, to be spoiled."""
    return Path(shutil.copytree(original.folder, tmp_path / "export"))


def mean(indices: Sequence[int]) -> NDArray[np.float64]:
    """Return the weighted mean of what the members say of clips, each asked by itself."""
    total = np.zeros((len(indices), len(CLASSES)))
    for label, network in MEMBERS.items():
        seen = CANDIDATES[label].inputs_for(CLIPS, indices).values()
        total += WEIGHTS[label] * said(network, *map(torch.from_numpy, seen))
    return total


def given(folder: Path, indices: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """Return what an export takes of clips, by what its manifest says of its inputs."""
    return {
        spec.name: CLIPS.inputs[spec.name][list(indices)][:, list(spec.frames) or slice(None)]
        for spec in read_manifest(folder).inputs
    }


def test_one_file_takes_the_union_of_inputs_and_frames(original: Exported) -> None:
    specs = read_manifest(original.folder).inputs
    # Of 8 frames three are 0, 4 and 7 (3.5 is rounded to even), and two are 0 and 7.
    assert [(spec.name, spec.frames, spec.shape) for spec in specs] == [
        ("flow_uvs", (), (3, 28, 28)),
        ("frames", (0, 4, 7), (3, 1, 28, 28)),
    ]
    assert [dict(member.inputs) for member in read_manifest(original.folder).members] == [
        {"flow_uvs": ()},
        {"frames": ()},
        {"frames": (0, 2), "flow_uvs": ()},
    ]


def test_graph_and_rebuilt_network_say_the_mean_of_the_members(original: Exported) -> None:
    indices = [1, 4, 5, 9]
    clips, expected = given(original.folder, indices), mean(indices)
    rebuilt = load(original.folder).network
    assert isinstance(rebuilt, EnsembleNetwork)
    assert said(rebuilt, *map(torch.from_numpy, clips.values())) == pytest.approx(
        expected, abs=1e-6
    )
    session = onnxruntime.InferenceSession(
        str(original.folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, clips)
    assert np.exp(np.asarray(logits)) == pytest.approx(expected, abs=1e-5)
    one = {name: values[0] for name, values in clips.items()}
    assert Model.open(original.folder).run(one) == pytest.approx(expected[0], abs=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the clips are told apart at all


def test_members_keep_the_weights_that_they_were_trained_to(original: Exported) -> None:
    held = load(original.folder).network.state_dict()
    for place, (label, network) in enumerate(MEMBERS.items()):
        for name, value in network.state_dict().items():
            if not name.startswith("auxiliary."):
                assert torch.equal(held[f"members.{place}.{name}"], value), (label, name)


def test_the_manifest_knows_each_member_and_all_of_them_together(original: Exported) -> None:
    manifest = read_manifest(original.folder)
    assert [(m.label, m.weight, m.seed) for m in manifest.members] == [
        ("trial 3", 0.5, 5),
        ("trial 8", 0.3, 5),
        ("trial 11", 0.2, 5),
    ]
    weights = [sum(p.numel() for p in network.parameters()) for network in MEMBERS.values()]
    assert [member.parameters for member in manifest.members] == weights
    assert manifest.parameters == sum(weights)
    assert manifest.macs == sum(member.macs for member in manifest.members)
    assert manifest.clip_ms == original.clip_ms
    assert manifest.clip_ms is not None
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    assert f"for a clip: {manifest.clip_ms:.1f} ms with one thread of the processor" in card


def test_the_card_lists_the_members_and_says_of_what_the_scores_are(original: Exported) -> None:
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    assert card.startswith("# ensemble of moe-noise-1\n")
    first = read_manifest(original.folder).members[0]
    row = f"| trial 3 | 0.500 | {first.parameters:,} | {first.macs / 1e6:.1f} | flow_uvs |"
    assert row in card
    assert re.search(r"^\| trial 11 \| 0\.200 \| .* \| frames, flow_uvs \|$", card, re.MULTILINE)
    assert "chosen by the rule `mean`" in card
    assert "belong to ensembles of these 3 candidates" in card
    assert "- training seed 5 of trial 8, recipe below" in card
    assert "## Architecture of trial 8" in card


def test_the_code_of_its_card_runs(
    original: Exported, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    monkeypatch.chdir(original.folder)
    for snippet in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
        exec(snippet, {})
    first, second = capsys.readouterr().out.split()
    assert first == second
    assert first in CLASSES


def rewritten(folder: Path, change: Any) -> Path:
    """Write the manifest of an export anew, as somebody may who means to deceive."""
    tree = read_manifest(folder).model_dump(mode="json")
    change(tree["members"])
    Manifest.model_validate(tree).write(folder)
    return folder


def test_members_that_do_not_fit_the_export_are_refused(exported: Path, tmp_path: Path) -> None:
    def swap(found: list[Any]) -> None:
        found[0]["architecture"], found[1]["architecture"] = (
            found[1]["architecture"],
            found[0]["architecture"],
        )

    def beyond(found: list[Any]) -> None:
        found[2]["inputs"]["frames"] = [0, 3]

    for name, change in (("swap", swap), ("beyond", beyond)):
        folder = rewritten(Path(shutil.copytree(exported, tmp_path / name)), change)
        with pytest.raises(
            ExportError, match=r"members\.\d\.architecture: it reads .* but the ex"
        ):
            load(folder)


def test_weights_that_are_not_one_whole_are_refused(exported: Path) -> None:
    def heavier(found: list[Any]) -> None:
        found[0]["weight"] = 0.6

    with pytest.raises(ValueError, match=r"the weights of the members add up to 1\.1, not to 1"):
        rewritten(exported, heavier)


def test_what_no_onnx_file_can_hold_is_refused_with_the_number() -> None:
    # Two 3 x 3 convolutions 5,000 -> 5,000, one 3 -> 5,000: 450,135,000 weights, 1.8 GB.
    wide = path(stem={"kind": "conv", "width": 5000, "stride": 2})
    refuse_unexportable([candidate(wide)], 3)
    with pytest.raises(ExportError, match=r"the 2 members take (.*) bytes in one ONNX file") as e:
        refuse_unexportable([candidate(wide)] * 2, 3)
    (needed,) = re.findall(r"take ([\d,]+) bytes", str(e.value))
    assert int(needed.replace(",", "")) == pytest.approx(2 * 4 * 450_135_000, rel=0.01)
    assert "at most 2,147,483,647" in str(e.value)
    assert "fewer members, or smaller ones (study.final.ensemble.params), would be" in str(e.value)
    wider = path(stem={"kind": "conv", "width": 6000, "stride": 2})
    with pytest.raises(ExportError, match=r"the network takes .* a smaller one would be right"):
        refuse_unexportable([candidate(wider)], 3)


def test_an_export_of_before_is_read_as_one_with_a_member() -> None:
    found = read_manifest(BEFORE)
    (member,) = found.members
    assert (member.label, member.weight, member.seed) == ("trial 17", 1.0, 0)
    assert dict(member.inputs) == {"flow_uvs": ()}
    # 3 x 3 convolutions 3 -> 4, 4 -> 4 twice, three norms of 4, a linear map 4 -> 3.
    assert found.parameters == member.parameters == 108 + 2 * 144 + 3 * 8 + 15
    assert found.provenance.uf1 == 0.7125
    assert (member.trainer["lr"], member.architecture["paths"][0]["stem"]["width"]) == (0.01, 4)


def test_an_export_of_before_says_what_it_said() -> None:
    clip = np.linspace(-1, 1, 3 * 28 * 28, dtype=np.float32).reshape(3, 28, 28)
    # What the version that wrote it said of this clip.
    assert Model.open(BEFORE).run({"flow_uvs": clip}) == pytest.approx(
        [0.29580848, 0.33800603, 0.36618549], abs=1e-6
    )
    with torch.no_grad():
        logits = load(BEFORE).network(torch.from_numpy(clip[None]))
    assert logits[0].numpy() == pytest.approx([-0.07801158, 0.05533991, 0.13541619], abs=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("provenance:", "origin:", "provenance"),
        ("inputs:", "reads:", "reads"),
        ("architecture:", "network:", "architecture"),
        ("inputs:", "inputs: 3\nclips_:", "inputs"),
    ],
)
def test_an_export_of_before_that_is_none_is_refused(
    tmp_path: Path, old: str, new: str, found: str
) -> None:
    text = (BEFORE / "model.yaml").read_text("utf-8").partition("checksum:")[0]
    assert old in text
    told = text.replace(old, new)
    (tmp_path / "model.yaml").write_text(f"{told}checksum: {files.digest(told)}\n", "utf-8")
    with pytest.raises(ConfigError, match=rf"model\.yaml.*{found}"):
        read_manifest(tmp_path)

"""What an export gives: a network that says the same in every form, or no files and a reason."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mer_nas import api, architectures, files
from mer_nas.architectures import Network
from mer_nas.config import presets
from mer_nas.data.annotations import layouts
from mer_nas.data.clips import ClipSet
from mer_nas.data.preprocess.config import Pipeline, Preparation
from mer_nas.data.records import Record
from mer_nas.errors import ExportError, MerNasError, Untrusted
from mer_nas.evaluation.candidate import Candidate
from mer_nas.export import Exported, Provenance, TrainedMember, export_networks, load
from mer_nas.export import onnx as onnx_files
from mer_nas.export.card import write_card
from mer_nas.export.manifest import Manifest, Portion, read_manifest
from mer_nas.export.origin import ExpectedScore
from mer_nas.space import SearchSpace
from mer_nas.trust import asking

CLASSES = ("negative", "positive", "surprise")
FILES = ["card.md", "model.onnx", "model.safetensors", "model.yaml"]
FACTS = Provenance(
    study="moe-noise-1",
    label="trial 17",
    command="mer-nas search space=moe",
    code_version="0123456789ab",
    environment={"python": "3.11.9", "packages": {"torch": "2.15.0"}},
    scaling={"flow_uvs": "2 x / 255 - 1 of the published images"},
    protocol="LOSO",
    seeds=3,
    uf1=0.7125,
    uar=0.72,
    accuracy=0.75,
    uf1_spread=0.012,
)
REBUILD = """
import json, sys
from pathlib import Path
import numpy as np, torch
from mer_nas.export import load
torch.set_num_threads(1)
clips = torch.from_numpy(np.load(sys.argv[1]))
for folder in sys.argv[2:]:
    with torch.no_grad():
        print(json.dumps(load(Path(folder)).network(clips).tolist()))
"""


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    return draw.uniform(-1, 1, (count, 3, 28, 28)).astype(np.float32)


def seen_by(candidate: Candidate, count: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return noise for every input that a network reads."""
    draw = np.random.default_rng(seed)
    return {
        name: draw.uniform(-1, 1, (count, *shape)).astype(np.float32)
        for name, shape in candidate.architecture.shapes.items()
    }


def clip_set(count: int, candidate: Candidate | None = None) -> ClipSet:
    """Return clips of noise from three subjects, with what a network (by default: of flow) reads."""
    clips = tuple(
        Record("casme2", f"{index % 3:02}", f"clip{index}", index % 3) for index in range(count)
    )
    inputs = seen_by(candidate, count) if candidate else {"flow_uvs": noise(count)}
    return ClipSet("noise", CLASSES, clips, inputs)


CLIPS = clip_set(10)


def published() -> dict[str, Candidate]:
    """Return every search-scale system and hybrid that the repository ships."""
    space = SearchSpace.read(presets.read("space", "hybrid"), "space=hybrid")
    return {point.name: Candidate.parse(point.values, point.name) for point in space.file.points}


POINTS = published()


def trained(candidate: Candidate) -> Network:
    """Return a network whose parameters and running statistics have left their initial values."""
    torch.manual_seed(0)
    network = architectures.Network(candidate.architecture, len(CLASSES))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(2):
        output = network(*map(torch.from_numpy, seen_by(candidate, 10).values()))
        loss = output.logits.square().mean() + sum(output.losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def logits(network: nn.Module, *clips: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        output: Tensor = network.eval()(*map(torch.from_numpy, clips))
    return np.asarray(output.numpy())


def export(
    network: nn.Module,
    candidate: Candidate,
    clips: ClipSet,
    folder: Path,
    facts: Provenance = FACTS,
    extensions: Sequence[Path] = (),
) -> Exported:
    """Export a single network."""
    only = TrainedMember(network, candidate, facts.label, seed=3)
    return export_networks([only], clips, folder, facts, extensions)


def ran(folder: Path, **clips: NDArray[np.float32]) -> NDArray[np.float32]:
    path = str(folder / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, clips)[0])


def small() -> Candidate:
    """Return a network of one stage, for what does not depend on the network."""
    path = {
        "stem": {"kind": "conv", "width": 8, "stride": 2},
        "stages": [{"local": {"kind": "res_basic"}}],
    }
    return Candidate.parse({"architecture": {"paths": [path]}}, "small")


@pytest.fixture(scope="module", params=list(POINTS))
def point(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Network, Exported]:
    """A published point that has been trained a little, and its export."""
    candidate = POINTS[request.param]
    network = trained(candidate)
    folder = tmp_path_factory.mktemp("export") / request.param
    return network, export(network, candidate, clip_set(10, candidate), folder, FACTS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A small export, not to be changed."""
    folder = tmp_path_factory.mktemp("small") / "export"
    return export(trained(small()), small(), CLIPS, folder, FACTS)


@pytest.fixture
def exported(original: Exported, tmp_path: Path) -> Path:
    """A folder with a small export, to be spoiled."""
    folder = tmp_path / "export"
    folder.mkdir()
    for path in original.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


Write = Callable[[onnx_files.Deployed, Sequence[str], Any, Any, Path], None]


@pytest.fixture
def same_graph(original: Exported, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Take the graph of `original` where its network is exported again; torch needs seconds."""

    def write(
        deployed: onnx_files.Deployed, names: Sequence[str], clips: Any, notes: Any, path: Path
    ) -> None:
        path.write_bytes((original.folder / "model.onnx").read_bytes())

    monkeypatch.setattr("mer_nas.export.bundle.write_onnx", write)
    return write


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_the_graph_says_what_the_network_says(point: tuple[Network, Exported], size: int) -> None:
    network, found = point
    # None of those that the export was checked on.
    clips = seen_by(POINTS[found.folder.name], size, seed=1)
    expected = logits(network, *clips.values())
    assert ran(found.folder, **clips) == pytest.approx(expected, abs=1e-4)
    assert (ran(found.folder, **clips).argmax(-1) == expected.argmax(-1)).all()


def test_an_export_is_four_files_and_its_difference_is_told(
    point: tuple[Network, Exported],
) -> None:
    _, found = point
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(found.files) == FILES
    assert 0 <= found.max_difference <= 1e-4
    assert list(found.folder.parent.iterdir()) == [found.folder]


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "rcn_a", "width": 4},
        {"kind": "mmnet", "width": 4, "entry": 8, "depth": 1, "heads": 2, "size": 32},
        {"kind": "timm", "model": "test_resnet", "size": 32, "pretrained": False},
    ],
    ids=lambda network: str(network["kind"]),
)
def test_the_graph_of_a_whole_network_says_what_the_network_says(
    network: dict[str, Any], tmp_path: Path
) -> None:
    candidate = Candidate.parse({"architecture": {"network": network}}, "whole")
    built = trained(candidate)
    found = export(built, candidate, clip_set(10, candidate), tmp_path / "whole")
    for size in (1, 5):
        clips = seen_by(candidate, size, seed=1)
        expected = logits(built, *clips.values())
        assert ran(found.folder, **clips) == pytest.approx(expected, abs=1e-4)


def test_the_operators_of_a_graph_take_less_than_is_reckoned_with(
    point: tuple[Network, Exported],
) -> None:
    _, found = point
    held = load(found.folder).network.state_dict().values()
    graph = (found.folder / "model.onnx").stat().st_size
    assert graph - sum(value.nbytes for value in held) < onnx_files.GRAPH_BYTES / 2


def test_rebuilding_gives_the_very_same_network(point: tuple[Network, Exported]) -> None:
    network, found = point
    rebuilt = load(found.folder)
    assert not rebuilt.network.training
    clips = seen_by(POINTS[found.folder.name], 5, seed=2).values()
    assert (logits(rebuilt.network, *clips) == logits(network, *clips)).all()
    assert rebuilt.manifest == read_manifest(found.folder)


def test_a_fresh_process_rebuilds_the_very_same_network(
    original: Exported, tmp_path: Path
) -> None:
    clips = noise(4, seed=3)
    np.save(tmp_path / "clips.npy", clips)
    words = [sys.executable, "-c", REBUILD, str(tmp_path / "clips.npy"), str(original.folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == logits(load(original.folder).network, clips).tolist()


def test_the_manifest_says_what_was_trained_on_what(original: Exported) -> None:
    manifest = yaml.safe_load((original.folder / "model.yaml").read_text(encoding="utf-8"))
    assert manifest["classes"] == list(CLASSES)
    assert (manifest["clips"], manifest["subjects"]) == (10, 3)
    assert manifest["fingerprint"] == CLIPS.fingerprint
    (flow,) = manifest["inputs"]
    assert (flow["name"], flow["shape"]) == ("flow_uvs", [3, 28, 28])
    assert flow["scaling"] == "2 x / 255 - 1 of the published images"
    assert flow["high"][0] == pytest.approx(CLIPS.inputs["flow_uvs"][:, 0].max(), abs=1e-6)
    # 3 x 3 convolutions 3 -> 8, 8 -> 8 twice, three norms of 8, a linear map 8 -> 3.
    (member,) = manifest["members"]
    assert member["parameters"] == 216 + 2 * 576 + 3 * 16 + 27
    assert (member["label"], member["weight"], member["seed"]) == ("trial 17", 1.0, 3)


def test_the_graph_alone_still_knows_its_classes(original: Exported) -> None:
    notes = {p.key: p.value for p in onnx.load(original.folder / "model.onnx").metadata_props}
    assert json.loads(notes["classes"]) == list(CLASSES)
    assert notes["data"] == f"noise {CLIPS.fingerprint}"


def test_the_card_says_the_honest_words_and_how_to_load(original: Exported) -> None:
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    assert (
        "**Selected on these subjects; expect less on new ones.** By how much less is not" in card
    )
    assert "| LOSO on noise | 3 | 0.713 ± 0.012 | 0.720 | 0.750 |" in card
    assert "10 clips of 3 subjects" in card


WORTH = ExpectedScore(
    uf1=0.671, low=0.55, high=0.78, mean=0.713, seeds=3, optimism=0.042, candidates=19
)


def card_of(
    exported: Exported, folder: Path, worth: ExpectedScore | None = WORTH, **changes: Any
) -> str:
    manifest = read_manifest(exported.folder)
    facts = manifest.provenance.model_copy(update={"worth": worth})
    told = manifest.model_copy(update={"provenance": facts, **changes})
    write_card(told, exported.max_difference, folder / "card.md")
    return (folder / "card.md").read_text(encoding="utf-8")


def test_the_card_opens_with_the_headline_in_its_three_parts(
    original: Exported, tmp_path: Path
) -> None:
    told = (
        "UF1 0.671 [0.550, 0.780] on new subjects: 0.713 less 0.042 for the best of 19 complete "
        "trials"
    )
    card = card_of(original, tmp_path)
    assert f"## What to expect\n\n**{told}.**" in card
    assert "Selected on these subjects" not in card
    few = "3 complete trials, and 10 are needed"
    bound = card_of(original, tmp_path, WORTH.model_copy(update={"caveat": few}))
    assert (
        "**UF1 at most 0.671 on new subjects: 0.713 less at least 0.042 for the best of" in bound
    )
    assert f"lower bound: {few}." in bound


def test_the_library_of_the_hub_reads_the_scores_with_the_corrected_one_first(
    tmp_path: Path,
) -> None:
    facts = FACTS.model_copy(update={"worth": WORTH})
    made = export(trained(small()), small(), CLIPS, tmp_path / "export", facts)
    folder = api.hub_folder(made.folder, tmp_path / "hub")
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "mer-nas"
    told = [(result.metric_name, result.metric_value) for result in card.data.eval_results or ()]
    assert told == [
        ("UF1 on new subjects (corrected for the choice among 19)", 0.671),
        ("UF1, mean over seeds (LOSO)", 0.7125),
        ("UAR, mean over seeds (LOSO)", 0.72),
        ("accuracy, mean over seeds (LOSO)", 0.75),
    ]
    assert card.text.strip() == (made.folder / "card.md").read_text(encoding="utf-8").strip()
    load(folder)


def test_a_folder_for_the_hub_takes_the_place_of_nothing(
    original: Exported, tmp_path: Path
) -> None:
    (tmp_path / "note").touch()
    for taken in (tmp_path, tmp_path / "note"):
        with pytest.raises(ExportError, match="holds something already; a new folder would be"):
            api.hub_folder(original.folder, taken)
    with pytest.raises(ExportError, match=r"no model\.yaml here"):
        api.hub_folder(tmp_path, tmp_path / "hub")


@pytest.mark.parametrize("way", ["../note", "card.md"])
def test_no_export_puts_other_files_into_a_folder_for_the_hub(
    original: Exported, tmp_path: Path, way: str
) -> None:
    theirs = tmp_path / "theirs" / "export"
    shutil.copytree(original.folder, theirs)
    (theirs.parent / "note").write_text("private")
    if way == "card.md":
        (theirs / way).unlink()
        (theirs / way).symlink_to(theirs.parent / "note")
    else:
        manifest = read_manifest(theirs)
        named = {**manifest.files, way: files.digest("private")}
        manifest.model_copy(update={"files": named}).write(theirs)
    with pytest.raises(ExportError, match=f"'{way}' leads out of this folder"):
        api.hub_folder(theirs, tmp_path / "mine" / "hub")
    assert not (tmp_path / "mine").exists()


def test_the_card_names_intended_and_unsupported_uses_and_the_bias_of_the_data(
    original: Exported,
) -> None:
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.+)\n\n((?:(?!## ).*\n)*)", card, flags=re.MULTILINE))
    assert {"Intended use", "Uses that are not supported", "Bias and limits", "Licences"} <= set(
        sections
    )
    assert "agreed" in sections["Intended use"]
    for word in ("Lie detection", "Hiring", "consented"):
        assert word in sections["Uses that are not supported"]
    assert "mostly have 16 to 30 each" in sections["Bias and limits"]


def test_the_card_counts_each_data_set_and_says_on_which_terms_it_is_given_out(
    original: Exported, tmp_path: Path
) -> None:
    portions = (
        Portion(
            name="casme2", clips=10, subjects=3, classes=dict(zip(CLASSES, (4, 3, 3), strict=True))
        ),
        Portion(
            name="home", clips=6, subjects=2, classes=dict(zip(CLASSES, (1, 0, 5), strict=True))
        ),
    )
    assert (
        read_manifest(original.folder).portions == portions[:1]
    )  # every third clip of ten is of one class
    how = Preparation(pipeline=Pipeline(), size=28, frames=8)
    card = card_of(original, tmp_path, portions=portions, how=how)
    assert "| CASME II | 10 | 3 | 4 | 3 | 3 | Yan et al. 2014, PLoS ONE 9(1): e86041 |" in card
    assert "| home | 6 | 2 | 1 | 0 | 5 | " in card
    assert "- CASME II: signed agreement with the Institute of Psychology, Chinese Academy" in card
    assert "- home: terms not known to mer-nas" in card
    assert "iBUG 300-W, whose licence excludes commercial use" in card
    plain = how.model_copy(update={"pipeline": Pipeline(align=None)})
    assert "- No landmark model was used." in card_of(original, tmp_path, how=plain)
    assert "may have used a landmark model" in card_of(original, tmp_path, how=None)


@pytest.mark.parametrize("name", layouts.Layout.names())
def test_every_data_set_says_on_which_terms_it_is_given_out(name: str) -> None:
    assert layouts.Layout.read(name).terms


def test_the_code_of_the_card_runs(
    original: Exported, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (original.folder / "card.md").read_text(encoding="utf-8")
    monkeypatch.chdir(original.folder)
    snippets = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    for snippet in snippets:
        exec(snippet, {})
    said = capsys.readouterr().out.split()
    assert len(snippets) == len(said) == 2
    assert said[0] == said[1]
    assert said[0] in CLASSES


@pytest.mark.usefixtures("same_graph")
def test_every_file_is_as_open_to_others_as_the_user_has_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        folder = export(trained(small()), small(), CLIPS, tmp_path / "one", FACTS).folder
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
    assert modes == dict.fromkeys(FILES, "0o640")


@pytest.mark.usefixtures("same_graph")
def test_a_candidate_without_final_scores_gets_a_card_without_scores(tmp_path: Path) -> None:
    facts = Provenance.model_validate(
        FACTS.model_dump(exclude={"uf1", "uar", "accuracy", "uf1_spread", "seeds"})
    )
    folder = tmp_path / "export"
    export(trained(small()), small(), CLIPS, folder, facts)
    assert "was not measured under a final protocol" in (folder / "card.md").read_text("utf-8")


def test_fewer_clips_than_the_largest_batch_are_repeated(tmp_path: Path) -> None:
    network = trained(small())
    found = export(network, small(), clip_set(1), tmp_path / "export", FACTS)
    assert ran(found.folder, flow_uvs=noise(7)) == pytest.approx(
        logits(network, noise(7)), abs=1e-4
    )


def test_the_network_is_left_as_it_was_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = trained(small()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export(network, small(), CLIPS, tmp_path / "export", FACTS)
    assert capfd.readouterr() == ("", "")
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all((value == before[name]).all() for name, value in network.state_dict().items())


@pytest.mark.usefixtures("same_graph")
def test_an_export_replaces_the_one_before(exported: Path) -> None:
    before = load(exported).manifest
    facts = FACTS.model_copy(update={"label": "trial 18"})
    export(trained(small()), small(), CLIPS, exported, facts)
    assert before.provenance.label == "trial 17"
    assert load(exported).manifest.provenance.label == "trial 18"
    assert list(exported.parent.iterdir()) == [exported]


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ExportError, match=r"holds 'thesis\.tex', which is no part of an export"):
        export(trained(small()), small(), CLIPS, tmp_path, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "export").write_text("mine")
    network = trained(small())
    for place in ("export", "export/rank1"):
        with pytest.raises(ExportError, match="/export: a file is in the way"):
            export(network, small(), CLIPS, tmp_path / place, FACTS)


def test_a_graph_that_says_something_else_is_not_exported(
    tmp_path: Path, same_graph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path, change: float) -> None:
        graph = onnx.load(path)
        bias = next(
            w for w in graph.graph.initializer if w.name.endswith("bias") and w.dims == [3]
        )
        values = onnx.numpy_helper.to_array(bias) + np.float32([change, 0, 0])
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        onnx.save(graph, path)

    def spoil(
        deployed: onnx_files.Deployed, names: Sequence[str], clips: Any, notes: Any, path: Path
    ) -> None:
        same_graph(deployed, names, clips, notes, path)
        wrong(path, 0.25)

    monkeypatch.setattr("mer_nas.export.bundle.write_onnx", spoil)
    with pytest.raises(ExportError, match=r"model\.onnx, batch of 1: logits differ .* by 0\.25"):
        export(trained(small()), small(), CLIPS, tmp_path / "export", FACTS)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_chooses_other_classes_is_refused_however_close(tmp_path: Path) -> None:
    near = np.float32([[0.5, 0.50001]])
    with pytest.raises(ExportError, match=r"classes \[0\] are chosen, by the network \[1\]"):
        onnx_files._compare(near, near[:, ::-1], 1, Path("model.onnx"))


@pytest.mark.usefixtures("same_graph")
def test_an_interrupted_export_leaves_the_one_before(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    monkeypatch.setattr("mer_nas.export.bundle.write_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(trained(small()), small(), CLIPS, exported, FACTS)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
    assert list(exported.parent.iterdir()) == [exported]


class Fixed(nn.Module):
    """Takes the number of clips for a constant, as no network may."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3)).reshape(2, 3)


class Wavering(nn.Module):
    """Lets the data decide what is computed, as no network may."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3))
        return pooled if pooled.sum() > 0 else -pooled


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Fixed(), r"model\.onnx: .* input 'flow_uvs' takes exactly 2 clips"),
        (Wavering(), r"model\.onnx: the network has no ONNX form: (?s:.*)if pooled\.sum\(\) > 0"),
    ],
)
def test_a_network_that_no_graph_can_hold_is_refused(
    tmp_path: Path, network: nn.Module, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export(network, small(), CLIPS, tmp_path / "export", FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("registries")
def test_a_network_of_the_users_own_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text(
        "from torch import nn\nfrom mer_nas.architectures import network\n\n"
        "@network('alone')\nclass Alone(nn.Module):\n"
        "    def __init__(self, channels: int, classes: int) -> None:\n"
        "        super().__init__()\n"
        "    def __deepcopy__(self, memo):\n        raise KeyError('one is enough')\n"
    )
    architectures.load_extensions([tmp_path / "alone.py"], trust=True)
    candidate = Candidate.parse({"architecture": {"network": {"kind": "alone"}}}, "alone")
    built = architectures.Network(candidate.architecture, 3)
    with pytest.raises(ExportError, match=r"export: alone\.py, line 9: KeyError: 'one is enough'"):
        export(built, candidate, CLIPS, tmp_path / "export")


class Rows(nn.Module):
    """Torch's own recurrent layer over the rows of a picture, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(3 * 7, 4, batch_first=True, bidirectional=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = functional.avg_pool2d(x, (7, 4)).transpose(1, 2).flatten(2)
        return self.out(self.layer(rows)[0].mean(1))


def test_a_recurrent_layer_of_torch_has_a_graph(tmp_path: Path) -> None:
    network = Rows()
    found = export(network, small(), CLIPS, tmp_path / "rows", FACTS)
    for size in (1, 5):
        expected = logits(network, noise(size, seed=1))
        assert ran(found.folder, flow_uvs=noise(size, seed=1)) == pytest.approx(expected, abs=1e-5)


def test_changed_weights_are_refused(exported: Path) -> None:
    weights = bytearray((exported / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (exported / "model.safetensors").write_bytes(weights)
    with pytest.raises(
        ExportError, match=r"^\S+model\.safetensors: this is not what was exported: it"
    ):
        load(exported)


def test_missing_weights_are_refused(exported: Path) -> None:
    (exported / "model.safetensors").unlink()
    with pytest.raises(ExportError, match=r"^\S+model\.safetensors: the file is missing"):
        load(exported)


def rewritten(folder: Path, **keys: Any) -> Path:
    """Write the manifest of an export anew, as somebody may who means to deceive."""
    tree = read_manifest(folder).model_dump(mode="json")
    Manifest.model_validate({**tree, **keys}).write(folder)
    return folder


def test_weights_of_another_architecture_are_refused(exported: Path) -> None:
    (member,) = read_manifest(exported).model_dump(mode="json")["members"]
    path = member["architecture"]["paths"][0]
    path["stem"]["width"] = 16
    with pytest.raises(ExportError, match=r"weights and architecture do not fit: .*\(8,.*\(16,"):
        load(rewritten(exported, members=[member]))


def test_weights_that_are_none_are_refused(exported: Path) -> None:
    (exported / "model.safetensors").write_bytes(b"\xff" * 64)
    held = {**read_manifest(exported).files}
    held["model.safetensors"] = files.digest(exported / "model.safetensors")
    with pytest.raises(ExportError, match=r"model\.safetensors: not readable as safetensors: "):
        load(rewritten(exported, files=held))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("uf1: 0.7125", "uf1: 0.9125"),
        ("negative, positive", "positive, negative"),
        ("", "# mine\n"),
    ],
)
def test_an_edited_manifest_is_refused(exported: Path, old: str, new: str) -> None:
    path = exported / "model.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(
        ExportError, match=r"model\.yaml: the file was changed after it was written"
    ):
        load(exported)


@pytest.mark.parametrize(
    ("size", "face", "found"), [(56, 128, "has not the size"), (28, 10**6, "of 1000000 pixels")]
)
def test_a_preparation_that_no_network_needs_is_refused(
    exported: Path, size: int, face: int, found: str
) -> None:
    how = Preparation(pipeline=Pipeline(face=face), size=size, frames=8).model_dump(mode="json")
    told = read_manifest(exported).model_copy(update={"how": Preparation.model_validate(how)})
    told.write(exported)
    with pytest.raises(MerNasError, match=f"model.yaml: .*{found}"):
        read_manifest(exported)


def test_line_ends_of_another_system_change_nothing(exported: Path) -> None:
    before, path = read_manifest(exported), exported / "model.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_manifest(exported) == before


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no model\.yaml here; `mer-nas export STUDY` writes"):
        load(tmp_path)


def test_an_export_of_another_version_is_refused_with_the_way_on(exported: Path) -> None:
    path = exported / "model.yaml"
    path.write_text(path.read_text("utf-8").replace("mer-nas model 3", "mer-nas model 1"), "utf-8")
    with pytest.raises(
        ExportError,
        match="format is 'mer-nas model 1', but this version reads 'mer-nas model 3' and 'mer-",
    ):
        load(exported)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"{", "cannot be read: line 1: "),
        (b"[" * 50_000, "nested deeper than 100 levels"),
        (b"a: &a [1, 2]\n" + b"".join(b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (
            x, x, x - 1, x - 1, x - 1, x - 1) for x in b"bcdefghijk"), "more than 100,000 values"),
        (b"a: !!bool maybe\n", "'maybe' is no bool"),
        (b"a: !!python/object/apply:os.system [ls]\n", "python/object/apply:os.system"),
        (b"- 1\n", "a mapping of settings would be right, not a list"),
        (b"", "format is None"),
        (b"format: " + b"x" * 900_000, "format is 'xxx"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"a: " + b"x" * 2**20, "larger than the 1048576 bytes"),
    ],
    ids=["torn", "deep", "alias", "bool", "tag", "list", "empty", "format", "bytes", "long"],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(exported: Path, text: bytes, found: str) -> None:
    (exported / "model.yaml").write_bytes(text)
    with pytest.raises(MerNasError, match=rf"^{exported}/model\.yaml: (?s:.*){found}"):
        load(exported)


def test_a_file_with_blocks_that_an_export_names_is_run_once_the_user_agrees(
    exported: Path,
) -> None:
    block, ran = exported / "brighten.py", exported / "ran"
    block.write_text(f"open({str(ran)!r}, 'w').close()\n")
    found = read_manifest(exported)
    origin = found.provenance.model_dump(mode="json") | {"extensions": ["brighten.py"]}
    held = found.files | {"brighten.py": files.digest(block)}
    folder = rewritten(exported, files=held, provenance=origin)
    with pytest.raises(Untrusted, match=rf"run the Python file {block} \(SHA-256 [0-9a-f]{{64}}"):
        load(folder)
    assert not ran.exists()
    with asking(True):
        load(folder)
    assert ran.exists()


@pytest.mark.usefixtures("same_graph")
def test_a_file_with_blocks_that_was_changed_is_refused_and_not_run(tmp_path: Path) -> None:
    block, folder = tmp_path / "brighten.py", tmp_path / "export"
    block.write_text("x = 1\n")
    export(trained(small()), small(), CLIPS, folder, extensions=[block])
    (copy,) = (folder / "extensions").rglob("brighten.py")
    copy.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ExportError, match=r"brighten\.py: this is not what was exported: its SHA"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_what_only_training_uses_is_no_part_of_an_export(tmp_path: Path) -> None:
    stage = {"local": {"kind": "res_basic"}}
    stem = {"kind": "conv", "width": 8, "stride": 2}
    timed = {"input": "keyframes", "frames": 2, "stem": stem, "stages": [stage]}
    tree = {
        "paths": [
            {"stem": stem, "stages": [stage]},
            timed | {"temporal": {"kind": "learned", "where": "stem"}},
        ],
        "fusion": {"kind": "cofm", "width": 16},
        "losses": {"au": 1.0, "branch_cls": 0.5, "dyn_image": {"kind": "small"}},
    }
    candidate = Candidate.parse({"architecture": tree}, "two")
    draw = np.random.default_rng(0)
    keyframes = draw.uniform(-1, 1, (10, 3, 1, 28, 28)).astype(np.float32)
    clips = ClipSet("noise", CLASSES, CLIPS.records, {**CLIPS.inputs, "keyframes": keyframes})
    network = architectures.Network(candidate.architecture, len(CLASSES)).eval()
    exported = export(network, candidate, clips, tmp_path / "two", FACTS)

    loaded = load(exported.folder)
    assert [(given.name, given.shape) for given in loaded.manifest.inputs] == [
        ("flow_uvs", (3, 28, 28)),
        ("keyframes", (2, 1, 28, 28)),
    ]
    weights = sum(parameter.numel() for parameter in loaded.network.parameters())
    assert weights == loaded.manifest.parameters
    assert weights < sum(parameter.numel() for parameter in network.parameters()) / 4
    inputs = [torch.from_numpy(CLIPS.inputs["flow_uvs"]), torch.from_numpy(keyframes[:, :2])]
    with torch.no_grad():
        said, expected = (one(*inputs) for one in (loaded.network, network))
    assert torch.equal(said, expected)
    names = {one.name for one in onnx.load(exported.folder / "model.onnx").graph.initializer}
    assert names
    assert not any("auxiliary" in name for name in names)
    assert network.auxiliary is not None


def test_the_card_of_a_hostile_study_has_the_form_of_any_other(
    original: Exported, tmp_path: Path
) -> None:
    hostile = "x | <img src=x> [a](http://e) `b` *c*\n# d\n```\n- e\x1b[0m"
    origin = read_manifest(original.folder).provenance
    said = {"study": hostile, "label": hostile, "command": hostile, "protocol": hostile}
    names = [f"{name} {hostile} ']" for name in CLASSES]
    portions = [
        portion.model_copy(update={"name": hostile, "classes": dict.fromkeys(names, 3)})
        for portion in read_manifest(original.folder).portions
    ]
    changes: dict[str, Any] = {"classes": tuple(names), "data": hostile, "portions": portions}
    told = (
        read_manifest(original.folder)
        .model_copy(
            update={
                "provenance": origin.model_copy(update={**said, "environment": {"cpu": hostile}})
            }
        )
        .model_copy(update=changes)
    )
    write_card(told, 0.0, tmp_path / "card.md")
    write_card(read_manifest(original.folder), 0.0, tmp_path / "plain.md")
    reader = MarkdownIt("commonmark").enable("table")
    shapes = [
        [
            (token.type, [child.type for child in token.children or () if child.type != "text"])
            for token in reader.parse((tmp_path / name).read_text(encoding="utf-8"))
        ]
        for name in ("card.md", "plain.md")
    ]
    assert shapes[0] == shapes[1]
    for token in reader.parse((tmp_path / "card.md").read_text(encoding="utf-8")):
        if token.info == "python":
            compile(token.content, "card", "exec")

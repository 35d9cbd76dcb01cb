"""A network of the user's own from the search to the answer, and with its files gone."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import Result

from mer_nas import api
from mer_nas.architectures import NETWORKS, extensions
from mer_nas.architectures.extensions import COPIES
from mer_nas.errors import StudyError

pytestmark = pytest.mark.usefixtures("registries")

SPACE = """\
name: mine
extensions: [own/shallow.py]
architecture: {network: {kind: shallow, width: {choice: [2, 4]}, drop: {float: [0.2, 0.6]}}}
trainer:
  lr: {float: [1e-3, 1e-2], log: true}
points:
- name: narrow
  source: "none: for tests"
  fidelity: reading
  values: {architecture: {network: {kind: shallow, width: 2, drop: 0.5}}}
"""
SHALLOW = """
from layers import features
from torch import Tensor, nn

from mer_nas.architectures import network


@network("shallow")
class Shallow(nn.Module):
    def __init__(self, channels: int, classes: int, width: int = 4, drop: float = 0.5) -> None:
        super().__init__()
        self.features = features(channels, width)
        self.drop, self.out = nn.Dropout(drop), nn.Linear(width * 49, classes)

    def forward(self, flow: Tensor) -> Tensor:
        return self.out(self.drop(self.features(flow).view(flow.shape[0], -1)))
"""
LAYERS = """
from torch import nn


def features(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, width, 4, 4), nn.BatchNorm2d(width), nn.ReLU())
"""


@pytest.fixture
def words(tiny: list[str], here: Path) -> list[str]:
    """The words of a search around a network of two files."""
    (here / "own").mkdir()
    (here / "own" / "shallow.py").write_text(SHALLOW)
    (here / "own" / "layers.py").write_text(LAYERS)
    (here / "space.yaml").write_text(SPACE)
    (here / "study.yaml").write_text(
        "{trials: 2, folds: 2, startup: 2, pruner: none, final: {candidates: 1, seeds: 1, "
        "warm_starts: 0, ensemble: none}}"
    )
    return tiny


@pytest.fixture
def another_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets what was loaded, as another process would not know it."""

    def forget() -> None:
        monkeypatch.setattr(extensions, "_loaded", {})
        monkeypatch.setattr(extensions, "_copies", {})
        NETWORKS._components.pop("shallow", None)

    return forget


def test_a_network_of_ones_own_is_searched_exported_and_outlives_its_files(
    words: list[str],
    here: Path,
    call: Callable[..., Result],
    another_process: Callable[[], None],
) -> None:
    searched = call("search", *words)
    assert searched.exit_code == 0, searched.output
    study = here / "runs" / "mine-faces-1"
    export = study / "export" / "rank1"
    page = (study / "report.html").read_text("utf-8")
    assert "features.0 Conv2d" in page
    copies = {"extensions/0/shallow.py": SHALLOW, "extensions/0/layers.py": LAYERS}
    for folder in (study, export):
        found = {
            f"{p.relative_to(folder)}": p.read_text() for p in (folder / COPIES).rglob("*.py")
        }
        assert found == copies

    comment = here / "own" / "layers.py"
    comment.write_text(LAYERS + "# nothing that runs\n")
    another_process()
    assert call("resume", str(study), "study.trials=3").exit_code == 0

    shutil.move(here / "own", here / "elsewhere")
    for command in (
        ("report", str(study)),
        ("resume", str(study), "study.trials=4"),
        ("compare", str(study), "narrow"),
        ("reproduce", str(study / "report.json"), "ray.workers=0"),
        ("evaluate", f"space={study / 'best.yaml'}", *words[1:3], "ray.workers=0"),
    ):
        another_process()
        done = call(*command)
        assert done.exit_code == 0, (command, done.output)
    (here / "clip").mkdir()
    chance = np.random.default_rng(0)
    for number in range(1, 6):
        face = chance.integers(0, 256, (112, 112), dtype=np.uint8)
        assert cv2.imwrite(str(here / "clip" / f"img{number}.png"), face)
    another_process()
    asked = call("predict", str(export), "clip", "--apex", "3", "--picture", "pictures", "--json")
    assert asked.exit_code == 0, asked.output
    (picture,) = (here / "pictures").iterdir()
    assert cv2.imread(str(picture)).std() > 10
    another_process()
    loaded = api.load_model(export)
    flow = torch.randn(5, 3, 28, 28)
    with torch.no_grad():
        right = loaded.network(flow).numpy()
    session = onnxruntime.InferenceSession(export / "model.onnx")
    (logits,) = session.run(None, {"flow_uvs": flow.numpy()})
    assert np.allclose(logits, right, atol=1e-5)


def test_a_copy_that_was_altered_does_not_stand_in(
    words: list[str],
    here: Path,
    call: Callable[..., Result],
    another_process: Callable[[], None],
) -> None:
    assert call("search", *words, "study.trials=1", "study.final=none").exit_code == 0
    study = here / "runs" / "mine-faces-1"
    shutil.rmtree(here / "own")
    copy = study / "extensions" / "0" / "layers.py"
    copy.write_text(f"open({str(here / 'ran')!r}, 'w')\n{LAYERS}")
    another_process()
    with pytest.raises(StudyError, match=r"layers\.py: this is not the copy that the study has m"):
        api.load_study(study)
    assert not (here / "ran").exists()

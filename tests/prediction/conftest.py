"""A small exported network, and clips that it was trained on as files."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mer_nas.config.base import Tree
from mer_nas.data import load
from mer_nas.data.clips import ClipSet, divided
from mer_nas.data.config import SyntheticData
from mer_nas.data.needs import Needs
from mer_nas.data.protocols import divide
from mer_nas.data.sources.synthetic import recordings
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.export import Manifest, Provenance, TrainedMember, export_networks
from mer_nas.export.manifest import read_manifest
from mer_nas.inputs import FLOW, KEYFRAMES
from mer_nas.training.fit import predict_proba

DATA = SyntheticData(subjects=3, clips=24)
FACTS = Provenance(
    study="moe-faces-1",
    label="trial 17",
    command="mer-nas search",
    code_version="0123456789ab",
    environment={},
    protocol="LOSO",
    seeds=3,
    uf1=0.7125,
    uar=0.72,
    accuracy=0.75,
    uf1_spread=0.012,
)


def small(**more: Any) -> Candidate:
    """Return a network of one stage; what is not said of its path is as it is by itself."""
    path = {
        "stem": {"kind": "conv", "width": 8, "stride": 2},
        "stages": [{"local": {"kind": "res_basic"}}],
    }
    tree: Tree = {
        "architecture": {"paths": [path | more]},
        "trainer": {"epochs": 3, "lr": 0.01},
    }
    return Candidate.parse(tree, "small")


@pytest.fixture(scope="session")
def clips() -> ClipSet:
    """Synthetic clips that are scaled by those of them that are trained on."""
    return replace(load(DATA), by_fold=frozenset({FLOW}))


@pytest.fixture(scope="session")
def trained(
    clips: ClipSet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, NDArray[np.float64]]:
    """The folder of an export, and what its network says of its training clips."""
    candidate = small()
    network = Evaluator(clips, divide(clips), seed=0).train(candidate)
    folder = tmp_path_factory.mktemp("trained") / "model"
    export_networks([TrainedMember(network, candidate, "trial 17", 0)], clips, folder, FACTS)
    units = clips.divisors(FLOW, np.arange(len(clips)))
    seen = {FLOW: torch.tensor(divided(clips.inputs[FLOW], units))}
    return folder, predict_proba(network, seen)


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that hands over its ensemble: of a network of flow, and of one of two key frames."""
    clips = load(DATA, Needs(inputs=(FLOW, KEYFRAMES)))
    study = tmp_path_factory.mktemp("both")
    (study / "origin.json").touch()
    members = []
    timed = {
        "input": KEYFRAMES,
        "frames": 2,
        "temporal": {"kind": "learned", "where": "stem"},
    }
    for number, more in enumerate(({}, timed)):
        candidate = small(**more)
        network = Evaluator(clips, divide(clips), seed=number).train(candidate)
        members.append(TrainedMember(network, candidate, f"trial {number}", number, 0.5))
    told = {"label": "ensemble of 2", "rule": "mean", "handed_over": True}
    facts = FACTS.model_copy(update=told)
    export_networks(members, clips, study / "export" / "ensemble", facts)
    for member in members:
        alone = replace(member, weight=1.0)
        facts = FACTS.model_copy(update={"label": member.label})
        place = study / "export" / f"rank{member.seed + 1}"
        export_networks([alone], clips, place, facts)
    return study


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with folders clip0, clip1, clip2, each of frames img1 to img9; img5 is the apex."""
    root = tmp_path_factory.mktemp("frames")
    for number, recording in zip(range(3), recordings(DATA), strict=False):
        (root / f"clip{number}").mkdir()
        for place, moment in enumerate(np.linspace(0, 2, 9), start=1):
            file = root / f"clip{number}" / f"img{place}.png"
            cv2.imwrite(str(file), recording.grey([float(moment)])[0])
    return root


@pytest.fixture
def model(trained: tuple[Path, NDArray[np.float64]], tmp_path: Path) -> Path:
    """A copy of the export, to be spoiled."""
    return Path(shutil.copytree(trained[0], tmp_path / "model"))


@pytest.fixture
def changed(model: Path) -> Callable[..., Path]:
    """Gives the copy another manifest."""

    def change(**keys: Any) -> Path:
        tree = read_manifest(model).model_dump(mode="json")
        Manifest.model_validate({**tree, **keys}).write(model)
        return model

    return change

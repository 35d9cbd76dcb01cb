"""An exported network says of files what it says of the same clips in training."""

import csv
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray

from mer_nas import api
from mer_nas.config.base import Tree
from mer_nas.data.clips import ClipSet
from mer_nas.export.manifest import read_manifest
from mer_nas.prediction.clip_input import Given
from mer_nas.prediction.model import Model
from mer_nas.prediction.picture import attention
from mer_nas.prediction.predict import predict

ROOT = Path(__file__).parents[2]
Call = Callable[..., Result]
Trained = tuple[Path, NDArray[np.float64]]


def film(path: Path, length: int) -> Path:
    """Write a video in which a bright disc grows until the middle and shrinks again."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64))
    for place in range(length):
        frame = np.full((64, 64, 3), 60, np.uint8)
        cv2.circle(
            frame, (32, 32), 8 + round(8 * (1 - abs(2 * place / (length - 1) - 1))), (200,) * 3, -1
        )
        writer.write(frame)
    writer.release()
    return path


def test_files_get_the_probabilities_that_the_training_clips_got(
    trained: Trained, clips: ClipSet, frames: Path, call: Call
) -> None:
    folder, expected = trained
    words = [f"{frames}/clip{n}/img1.png,{frames}/clip{n}/img5.png" for n in range(3)]
    said = json.loads(call("predict", str(folder), *words, "--json").stdout)
    for found, right in zip(said["clips"], expected[:3], strict=True):
        assert list(found["probabilities"].values()) == pytest.approx(right, abs=1e-4)
        assert found["label"] == clips.classes[right.argmax()]
        assert (found["onset"], found["apex"], found["apex_source"]) == (0, 1, "given")
    assert np.ptp(expected[:3], axis=0).max() > 1e-3  # the clips are told apart at all


def test_a_folder_and_a_pair_of_its_frames_get_the_same_answer(
    trained: Trained, frames: Path, call: Call
) -> None:
    pair = f"{frames}/clip1/img1.png,{frames}/clip1/img5.png"
    words = [str(frames / "clip1"), "--apex", "5", "--json"]
    whole = json.loads(call("predict", str(trained[0]), *words).stdout)["clips"][0]
    two = json.loads(call("predict", str(trained[0]), pair, "--json").stdout)["clips"][0]
    assert whole["probabilities"] == two["probabilities"]
    assert (whole["onset"], whole["apex"], whole["apex_source"]) == (1, 5, "given")
    by_table = api.predict(trained[0], frames / "clip1", apex=np.int64(5))  # type: ignore[arg-type]
    assert by_table.probabilities == whole["probabilities"]


def test_the_table_says_what_was_used_and_which_score_to_expect(
    trained: Trained, frames: Path, call: Call
) -> None:
    result = call("predict", str(trained[0]), str(frames / "clip0"), "--onset", "2")
    header, row, honest = result.stdout.splitlines()
    assert header.split() == ["clip", "label", "negative", "positive", "surprise", "onset", "apex"]
    cells = row.split()
    assert cells[0] == str(frames / "clip0")
    assert sum(map(float, cells[2:5])) == pytest.approx(1, abs=0.02)
    assert cells[5] == "2"
    assert cells[7] == "(spotted)"
    assert honest == (
        "on unseen people of synthetic networks of this architecture reach UF1 0.713 ± 0.012 "
        "(LOSO, 3 seeds); it was chosen on these people, so expect less, and less still on other "
        "footage"
    )


def test_a_winner_says_its_headline(
    changed: Callable[..., Path], model: Path, frames: Path, call: Call
) -> None:
    facts = read_manifest(model).provenance.model_dump(mode="json")
    worth = {"uf1": 0.671, "low": 0.55, "high": 0.78, "mean": 0.713, "seeds": 3}
    told = {**worth, "optimism": 0.042, "candidates": 19, "caveat": "", "together": False}
    folder = changed(provenance={**facts, "worth": told})
    said = call("predict", str(folder), str(frames / "clip0")).stdout.splitlines()
    assert said[-1] == (
        "to be expected of networks of this architecture on people of the kind of synthetic: UF1 "
        "0.671 [0.550, 0.780] on new subjects: 0.713 less 0.042 for the best of 19 complete trials; "
        "less still on other footage"
    )
    tree = json.loads(call("predict", str(folder), str(frames / "clip0"), "--json").stdout)
    assert tree["expected"]["on_new_subjects"] == told


def test_json_says_what_answered(trained: Trained, frames: Path, call: Call) -> None:
    said = json.loads(call("predict", str(trained[0]), str(frames / "clip0"), "--json").stdout)
    assert said["model"] == {
        "study": "moe-faces-1",
        "label": "trial 17",
        "rule": None,
        "members": [{"label": "trial 17", "weight": 1.0}],
    }


def test_a_network_that_was_never_measured_says_so(
    changed: Callable[..., Path], model: Path, frames: Path, call: Call
) -> None:
    facts = read_manifest(model).provenance.model_dump(mode="json")
    folder = changed(provenance={**facts, "uf1": None})
    said = call("predict", str(folder), str(frames / "clip0")).stdout
    assert "no score on unseen people is known: trial 17 of moe-faces-1 was never measured" in said


def test_csv_has_a_row_for_each_clip(trained: Trained, frames: Path, call: Call) -> None:
    words = [str(frames / f"clip{number}") for number in range(2)]
    rows = list(
        csv.DictReader(io.StringIO(call("predict", str(trained[0]), *words, "--csv").stdout))
    )
    assert [row["clip"] for row in rows] == words
    assert list(rows[0]) == [
        "clip",
        "label",
        "negative",
        "positive",
        "surprise",
        "onset",
        "apex",
        "apex_source",
    ]


def test_a_video_is_numbered_from_0_and_its_largest_motion_is_found(
    trained: Trained, tmp_path: Path, call: Call
) -> None:
    video = film(tmp_path / "face.avi", 21)
    said = json.loads(call("predict", str(trained[0]), str(video), "--json").stdout)["clips"][0]
    assert said["onset"] == 0
    assert said["apex"] == pytest.approx(10, abs=2)
    words = ["--onset", "12", "--apex", "15", "--offset", "18", "--json"]
    part = json.loads(call("predict", str(trained[0]), str(video), *words).stdout)["clips"][0]
    assert (part["onset"], part["apex"], part["apex_source"]) == (12, 15, "given")


def test_memory_does_not_grow_with_the_length_of_a_video(trained: Trained, tmp_path: Path) -> None:
    network = Model.open(trained[0])

    def peak(length: int) -> int:
        video = film(tmp_path / f"{length}.avi", length)
        tracemalloc.start()
        predict(network, str(video), Given())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is imported and made once
    short, long = peak(20), peak(400)  # 380 frames of 64 by 64 by 3 bytes are 4.7 MB
    assert long - short < 200_000


def test_a_pair_is_answered_in_three_seconds_and_without_torch(
    trained: Trained, frames: Path
) -> None:
    code = (
        "import sys\nfrom mer_nas.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'torch', 'ray', 'optuna', 'matplotlib', 'skimage'} & set(sys.modules)\n"
    )
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    pair = f"{frames}/clip0/img1.png,{frames}/clip0/img5.png"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", str(trained[0]), pair],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 3  # of the processor: other processes do not count


def test_a_network_of_others_flow_images_takes_such_images_and_nothing_else(
    changed: Callable[..., Path], frames: Path, tmp_path: Path, call: Call
) -> None:
    inputs = [{"name": "flow_uvs", "shape": [3, 28, 28], "scaling": "x", "low": [0], "high": [0]}]
    folder = changed(how=None, inputs=inputs)
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "flow .png"), image[..., ::-1])
    said = json.loads(call("predict", str(folder), str(tmp_path / "flow .png"), "--json").stdout)
    scaled = (2 * image.astype(np.float32) / 255 - 1).transpose(2, 0, 1)
    right = Model.open(folder).run({"flow_uvs": scaled})
    found = said["clips"][0]
    assert list(found["probabilities"].values()) == pytest.approx(right, abs=1e-5)
    assert (found["onset"], found["apex"], found["apex_source"]) == (None, None, None)
    for clip in (str(frames / "clip0"), f"{frames}/clip0/img1.png,{frames}/clip0/img5.png"):
        refused = call("predict", str(folder), clip)
        assert refused.exit_code == 2
        assert (
            "was trained on flow images that others had made (data synthetic), so how they follow"
            in refused.stderr
        )
        assert "such an image of 28 by 28 pixels (red u, green v, blue strain" in refused.stderr
    refused = call("predict", str(folder), str(frames / "clip0" / "img1.png"))
    assert "an image of grey; one of red, green and blue, 8 bits each" in refused.stderr
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((112, 112, 3), np.uint8))
    refused = call("predict", str(folder), str(tmp_path / "large.png"))
    assert "112 by 112 pixels; the network in" in refused.stderr


def test_the_manifest_carries_the_preparation_and_the_divisors(
    trained: Trained, clips: ClipSet
) -> None:
    manifest = read_manifest(trained[0])
    assert manifest.how == clips.how
    (spec,) = manifest.inputs
    # UNIT of the synthetic set, times the root mean square over all clips.
    flow = clips.inputs["flow_uvs"].astype(np.float64)
    rms = [np.sqrt(np.square(flow[:, :2]).mean())] * 2 + [np.sqrt(np.square(flow[:, 2]).mean())]
    assert spec.divisors == pytest.approx(np.array(rms) * [1, 1, 0.2], rel=1e-5)


def test_a_picture_shows_each_clip_and_where_the_network_looked(
    trained: Trained, frames: Path, tmp_path: Path, call: Call
) -> None:
    clip = shutil.copytree(frames / "clip0", tmp_path / r"clip $\frac$ 数")  # no formula, no font
    words = [str(clip), "--picture", str(tmp_path / "pictures")]
    result = call("predict", str(trained[0]), *words)
    assert result.exit_code == 0
    (file,) = (tmp_path / "pictures").glob("001_clip*.png")
    assert f"picture: {file}" in result.stderr
    assert cv2.imread(str(file)).std() > 10


def test_where_nothing_moves_the_network_cannot_have_looked(
    trained: Trained, frames: Path
) -> None:
    network = Model.open(trained[0])
    prediction, inputs = predict(network, str(frames / "clip0"), Given())
    flow = np.array(inputs["flow_uvs"])
    flow[:, :, 14:] = 0
    looked = attention(trained[0], prediction, {"flow_uvs": flow})["flow_uvs"]
    assert looked.shape == (28, 28)
    assert looked.min() >= 0
    assert looked[:, :14].max() > 0
    assert looked[:, 14:].max() == 0


def asked(call: Call, model: Path, *words: str) -> Tree:
    found: Tree = json.loads(call("predict", str(model), *words, "--json").stdout)
    return found


def test_a_study_answers_by_the_ensemble_that_it_hands_over(
    both: Path, frames: Path, call: Call
) -> None:
    pair = f"{frames}/clip1/img1.png,{frames}/clip1/img5.png"
    study, one, other = (
        asked(call, place, pair)
        for place in (both, both / "export" / "rank1", both / "export" / "rank2")
    )
    mean = [
        (a + b) / 2
        for a, b in zip(
            *(tree["clips"][0]["probabilities"].values() for tree in (one, other)), strict=True
        )
    ]
    assert list(study["clips"][0]["probabilities"].values()) == pytest.approx(mean, abs=1e-5)
    assert study["model"]["members"] == [
        {"label": "trial 0", "weight": 0.5},
        {"label": "trial 1", "weight": 0.5},
    ]
    assert (study["model"]["label"], study["model"]["rule"]) == ("ensemble of 2", "mean")
    said = call("predict", str(both), pair).stdout
    assert "of synthetic ensembles of these 2 candidates reach UF1" in said


def test_a_study_answers_by_its_winner_where_that_is_handed_over(
    both: Path, frames: Path, tmp_path: Path, call: Call
) -> None:
    study = Path(shutil.copytree(both, tmp_path / "study"))
    ensemble = study / "export" / "ensemble"
    found = read_manifest(ensemble)
    origin = found.provenance.model_copy(update={"handed_over": False})
    found.model_copy(update={"provenance": origin}).write(ensemble)
    pair = f"{frames}/clip1/img1.png,{frames}/clip1/img5.png"
    assert asked(call, study, pair)["model"]["label"] == "trial 0"
    assert asked(call, ensemble, pair)["model"]["label"] == "ensemble of 2"
    (ensemble / "model.yaml").unlink()
    refused = call("predict", str(study), pair)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"{ensemble}: no model.yaml here" in refused.stderr


def test_a_picture_of_an_ensemble_shows_every_input_of_its_members(
    both: Path, frames: Path, tmp_path: Path, call: Call
) -> None:
    words = [str(frames / "clip0"), "--picture", str(tmp_path)]
    assert call("predict", str(both), *words).exit_code == 0
    (file,) = tmp_path.glob("001_clip*.png")
    height, width, _ = cv2.imread(str(file)).shape
    assert (height > width / 2, cv2.imread(str(file)).std() > 10) == (True, True)  # two rows
    prediction, inputs = predict(Model.open(both), str(frames / "clip0"), Given())
    looked = attention(both / "export" / "ensemble", prediction, inputs)
    assert {name: image.max() > 0 for name, image in looked.items()} == {
        "flow_uvs": True,
        "keyframes": True,
    }


def test_an_export_is_shown_with_its_members(both: Path, trained: Trained, call: Call) -> None:
    found = read_manifest(both / "export" / "ensemble")
    lines = call("show", str(both / "export" / "ensemble")).stdout.splitlines()
    assert lines[0] == "ensemble of 2 of moe-faces-1, 3 classes"
    assert f"  weights   {found.parameters:,} deployed" in lines
    assert "  reads     flow_uvs (3, 28, 28); keyframes (2, 1, 28, 28)" in lines
    assert [line.split()[-1] for line in lines[-2:]] == ["flow_uvs", "keyframes"]
    assert lines[-1].startswith("trial 1  0.500   ")
    assert json.loads(call("show", str(both), "--json").stdout) == found.model_dump(mode="json")
    assert call("show", str(trained[0])).stdout.startswith("trial 17 of moe-faces-1, 3 classes\n")
    refused = call("show", "moe")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "mer-nas: moe: there is no such folder; an exported model is a folder; a word of the form "
        "key=value would be right too\n"
    )

"""Every mistake of a person who asks for a prediction: one message, exit status 2."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from click.testing import Result

from mer_nas import api
from mer_nas.errors import ExportError
from mer_nas.export.manifest import read_manifest

Call = Callable[..., Result]


def refused(call: Call, *words: object) -> str:
    result = call("predict", *map(str, words))
    assert result.exit_code == 2
    assert result.stdout == ""
    return str(result.stderr).strip()


def test_a_folder_that_is_no_model(call: Call, frames: Path, tmp_path: Path) -> None:
    said = refused(call, frames, frames / "clip0")
    assert (
        said
        == f"mer-nas: {frames}: no model.yaml here; `mer-nas export STUDY` writes such a folder"
    )
    said = refused(call, tmp_path / "none", frames / "clip0")
    assert (
        said
        == f"mer-nas: {tmp_path / 'none'}: there is no such folder; an exported model is a folder"
    )


def test_a_graph_that_is_missing(call: Call, model: Path, frames: Path) -> None:
    (model / "model.onnx").unlink()
    said = refused(call, model, frames / "clip0")
    assert said.startswith(f"mer-nas: {model / 'model.onnx'}: the file is missing")
    assert said.endswith("`mer-nas export STUDY` writes the export anew")
    assert "\n" not in said


def test_a_graph_whose_weights_are_zero(call: Call, model: Path, frames: Path) -> None:
    graph = onnx.load(model / "model.onnx")
    for weights in graph.graph.initializer:
        weights.raw_data = bytes(len(weights.raw_data))
    onnx.save(graph, model / "model.onnx")
    said = refused(call, model, frames / "clip0")
    assert said.startswith(f"mer-nas: {model / 'model.onnx'}: this is not what was exported: its ")
    assert "\n" not in said


def test_a_clip_that_is_none(call: Call, model: Path, frames: Path, tmp_path: Path) -> None:
    said = refused(call, model, tmp_path / "nothing")
    assert "nothing: there is no such file or folder; a video, " in said
    assert "'': there is no such file or folder; " in refused(call, model, "")
    for word in ("~nobody-of-this-name", "~nobody-of-this-name/a.png"):
        assert f"{word!r} cannot be reached: " in refused(call, model, word)
    assert "cannot be reached: file name too long" in refused(call, model, 300 * "a")
    assert said.endswith("a folder of frames, or two images as ONSET,APEX would be right")
    said = refused(call, model, frames / "clip0" / "img1.png")
    assert "img1.png: one image shows no motion; a folder of frames" in said
    said = refused(call, model, f"{frames}/clip0/img1.png,{frames}/clip0/img99.png")
    assert f"there is no image {frames}/clip0/img99.png; a video, " in said
    said = refused(call, model, f"{frames}/clip0/img1.png,")
    assert "there is no image on one side of the comma" in said
    assert "there is no image ~nobody" in refused(call, model, "~nobody,~nobody")
    (tmp_path / "empty").mkdir()
    assert "empty holds no image ending in .bmp, " in refused(call, model, tmp_path / "empty")


def test_a_video_that_cannot_be_read(call: Call, model: Path, tmp_path: Path) -> None:
    (tmp_path / "face.mp4").write_bytes(b"no video")
    assert "face.mp4: this is no video that OpenCV can read" in refused(
        call, model, tmp_path / "face.mp4"
    )


def test_a_frame_that_cannot_be_read(call: Call, model: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(b"")
    assert "1.png: this image file is empty (0 bytes)" in refused(call, model, tmp_path)


def test_frames_that_are_not_there(call: Call, model: Path, frames: Path, tmp_path: Path) -> None:
    clip = frames / "clip0"
    said = refused(call, model, clip, "--onset", 40)
    assert said.endswith("--onset 40: there is no such frame; they go from 1 to 9")
    assert "apex 3 is not after onset 4 and up to offset 9" in refused(
        call, model, clip, "--onset", 4, "--apex", 3
    )
    assert "onset 4 is not before offset 2" in refused(
        call, model, clip, "--onset", 4, "--offset", 2
    )
    (tmp_path / "1.png").write_bytes((clip / "img1.png").read_bytes())
    assert "there is only one frame here" in refused(call, model, tmp_path)
    same = f"{clip}/img1.png,{clip}/img1.png"
    assert "are one image, which shows no motion" in refused(call, model, same)
    pair = f"{clip}/img1.png,{clip}/img5.png"
    assert "a pair is its onset and its apex" in refused(call, model, pair, "--apex", 1)


def test_a_pair_for_a_network_that_needs_more(
    call: Call, changed: Callable[..., Path], model: Path, frames: Path
) -> None:
    (spec,) = read_manifest(model).model_dump(mode="json")["inputs"]
    folder = changed(inputs=[{**spec, "frames": [0, 1, 2]}])
    said = refused(call, folder, f"{frames}/clip0/img1.png,{frames}/clip0/img5.png")
    assert "reads flow_uvs, which takes more than an onset and an apex; a video or" in said


def test_a_clip_without_a_face_where_faces_are_aligned(
    call: Call, changed: Callable[..., Path], model: Path, tmp_path: Path
) -> None:
    how = read_manifest(model).model_dump(mode="json")["how"]
    how["pipeline"]["align"] = {"margin": 0.2}
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64), 90, np.uint8))
    model, pair = changed(how=how), f"{tmp_path}/1.png,{tmp_path}/2.png"
    assert call("predict", str(model), pair, "--cropped").exit_code == 0
    said = refused(call, model, pair)
    assert "no face found in the first frame (64 by 64 pixels)" in said


def test_two_forms_at_once(call: Call, model: Path, frames: Path) -> None:
    assert "--json --csv: one of them would be right" in refused(
        call, model, frames / "clip0", "--json", "--csv"
    )


def test_one_bad_clip_does_not_cost_the_others(call: Call, model: Path, frames: Path) -> None:
    result = call("predict", str(model), str(frames / "clip0"), "nothing", "--csv")
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 2
    assert "nothing: there is no such file or folder" in result.stderr


def test_a_study_is_asked_by_its_winner_or_said_to_have_none(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    study = tmp_path / "runs" / "mine"
    study.mkdir(parents=True)
    (study / "origin.json").touch()
    assert refused(call, study, frames / "clip0").endswith(
        f"{study}: this study has exported nothing; `mer-nas export {study}` does"
    )
    shutil.copytree(model, study / "export" / "rank1")
    pair = f"{frames}/clip0/img1.png,{frames}/clip0/img5.png"
    assert call("predict", str(study), pair).exit_code == 0


def test_files_beside_the_frames_change_nothing_and_are_named(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copytree(frames / "clip0", tmp_path / "clip0"))
    before = call("predict", str(model), str(clip), "--csv").stdout
    for name in ("preview.png", "._img1.png", "cover99.png"):
        shutil.copy(clip / "img1.png", clip / name)
    result = call("predict", str(model), str(clip), "--csv")
    assert result.stdout == before
    assert result.stderr == f"{clip}: passed over cover99.png, preview.png\n"


def test_two_files_of_one_number_are_refused(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copytree(frames / "clip0", tmp_path / "clip0"))
    shutil.copy(clip / "img3.png", clip / "img03.jpg")
    assert "clip0: img3.png beside another of that number" in refused(call, model, clip)


def test_a_pair_whose_folder_has_a_comma(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "Doe, J"
    shutil.copytree(frames / "clip0", folder)
    result = call("predict", str(model), f"{folder}/img1.png,{folder}/img5.png", "--csv")
    assert result.exit_code == 0, result.stderr


def test_what_was_assumed_of_a_folder_is_said(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copytree(frames / "clip0", tmp_path / "clip0"))
    for file in clip.iterdir():  # a camera of 12 bits
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16)
    cv2.imwrite(str(clip / "img9.png"), np.full((112, 112), 65535, np.uint16))
    (clip / "img4.png").unlink()
    result = call("predict", str(model), str(clip), "--offset", "8", "--csv")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == [
        f"{clip}: 1 frame from 1 to 8 missing; the others are taken",
        f"{clip}: images of 16 bits, taken as 12, which the largest value of the clip needs",
    ]


@pytest.mark.parametrize(
    ("rate", "right"),
    [("nan", "a finite number"), ("1e400", "a finite number"), ("-5", "greater than 0")],
)
def test_a_frame_rate_that_is_none_is_refused_once(
    call: Call, model: Path, frames: Path, rate: str, right: str
) -> None:
    said = refused(call, model, frames / "clip0", frames / "clip1", "--fps", rate)
    assert said == f"mer-nas: predict.fps: input should be {right}, not {float(rate)}"


def test_a_folder_of_exports_names_them(call: Call, model: Path, frames: Path) -> None:
    study = model.parent / "study"
    (study / "export").mkdir(parents=True)
    (study / "origin.json").touch()
    second = shutil.move(model, study / "export" / "rank2")
    assert refused(call, study, frames / "clip0").endswith(
        f"{study}: its winner is not exported; there are {second}"
    )
    assert refused(call, study / "export", frames / "clip0").endswith(
        f"{study / 'export'}: there are exports in it; {second} would be right"
    )
    with pytest.raises(ExportError, match=f"{study}: there are exports in it; {second} would be"):
        api.load_model(api.Study(study))
    assert "model.onnx: this is a file; an exported model is a folder" in refused(
        call, second / "model.onnx", frames / "clip0"
    )


def test_pictures_that_have_no_place(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said = refused(call, model, frames / "clip0", "--picture", tmp_path / "file" / "pictures")
    assert "file/pictures: no folder can be made there: not a directory" in said


def test_a_picture_of_a_clip_with_a_long_name(
    call: Call, model: Path, frames: Path, tmp_path: Path
) -> None:
    clip = shutil.copytree(frames / "clip0", tmp_path / (250 * "n"))
    result = call("predict", str(model), str(clip), "--picture", str(tmp_path / "pictures"))
    assert result.exit_code == 0, result.stderr
    assert [file.name for file in (tmp_path / "pictures").iterdir()] == [
        "001_" + 60 * "n" + ".png"
    ]

"""Frames in files: in their order, one at a time, and a reason where they cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_nas.data.pipeline import reels
from mer_nas.data.pipeline.reels import Stills, Video, folder, grey, read_image
from mer_nas.errors import DataError


def write(path: Path, level: int) -> Path:
    cv2.imwrite(str(path), np.full((12, 16, 3), level, np.uint8))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames at 25 a second; frame n has the grey level 8 n."""
    path = tmp_path_factory.mktemp("video") / "face.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for place in range(30):
        writer.write(np.full((48, 64, 3), 8 * place, np.uint8))
    writer.release()
    return path


def test_frames_of_a_folder_come_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write(tmp_path / f"reg_img{number}.png", 10 * number)
    (tmp_path / "notes.txt").write_text("no frame")
    reel = folder(tmp_path)
    assert [file.name for file in reel.files] == ["reg_img1.png", "reg_img2.png", "reg_img10.png"]
    assert [frame[0, 0, 0] for frame in reel.read([0, 2])] == [10, 100]


def test_endings_may_be_mixed_and_grey_footage_has_three_equal_channels(tmp_path: Path) -> None:
    write(tmp_path / "1.jpg", 50)
    write(tmp_path / "2.bmp", 60)
    cv2.imwrite(str(tmp_path / "3.PNG"), np.full((12, 16), 70, np.uint8))
    found = list(folder(tmp_path).read(range(3)))
    assert [frame.shape for frame in found] == [(12, 16, 3)] * 3
    assert [frame[5, 5].tolist() for frame in found] == [[50] * 3, [60] * 3, [70] * 3]


def test_only_the_files_that_are_asked_for_are_opened(tmp_path: Path) -> None:
    files = (tmp_path / "missing.png", write(tmp_path / "2.png", 20))
    (frame,) = Stills("clip", files).read([1])
    assert frame[0, 0, 0] == 20


def test_red_comes_first(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    frame = read_image(tmp_path / "red.png")
    assert frame[0, 0].tolist() == [255, 0, 0]
    assert grey(frame)[0, 0] == 76  # 0.299 of 255


def test_a_video_gives_the_frames_at_their_places(video: Path) -> None:
    reel = Video.open(video)
    assert (len(reel), reel.fps) == (30, 25)
    found = [int(frame.mean().round()) for frame in reel.read([0, 3, 4, 29])]
    assert found == pytest.approx([0, 24, 32, 232], abs=3)
    assert len(list(reel.read([7, 7]))) == 2


def test_a_video_decodes_no_further_than_it_must(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    class Counting:
        def __init__(self, file: str) -> None:
            self.capture = capture(file)

        def grab(self) -> bool:
            decoded.append(1)
            return bool(self.capture.grab())

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

    reel, capture = Video.open(video), cv2.VideoCapture
    monkeypatch.setattr(reels.cv2, "VideoCapture", Counting)
    list(reel.read([0, 4]))
    assert len(decoded) == 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"1\.png: this image file is empty \(0 bytes\); unpack it again"),
        (b"\x89PNG but no more", r"1\.png: this is no image that can be decoded; unpack it again"),
    ],
)
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "1.png").write_bytes(content)
    with pytest.raises(DataError, match=said):
        list(folder(tmp_path).read([0]))


def test_a_folder_without_frames_says_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no frames; images ending in \.bmp, \.jpeg, \.jpg"):
        folder(tmp_path)


def test_what_is_no_video_is_refused(tmp_path: Path, video: Path) -> None:
    fake = tmp_path / "fake.mp4"
    fake.write_text("no video")
    with pytest.raises(DataError, match=r"fake\.mp4: this is no video that OpenCV can read"):
        Video.open(fake)
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such file"):
        Video.open(tmp_path / "gone.mp4")
    short = Video(str(video), video, 99, 25.0)
    with pytest.raises(DataError, match=r"face\.avi: frame 30 cannot be decoded"):
        list(short.read([50]))

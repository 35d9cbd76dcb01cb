"""Frames in files: in their order, one at a time, and a reason where they cannot be read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mer_nas.data.preprocess import frame_readers
from mer_nas.data.preprocess.frame_readers import Stills, Video, grey
from mer_nas.data.preprocess.frames import Listing
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


def test_only_the_files_that_are_asked_for_are_opened(tmp_path: Path) -> None:
    files = (tmp_path / "missing.png", write(tmp_path / "2.png", 20))
    (frame,) = Stills("clip", files).read([1])
    assert frame[0, 0, 0] == 20


def test_red_comes_first(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    (frame,) = Stills("red", (tmp_path / "red.png",)).read([0])
    assert frame[0, 0].tolist() == [255, 0, 0]
    assert grey(frame)[0, 0] == 76  # 0.299 of 255


def test_a_video_gives_the_frames_at_their_places(video: Path) -> None:
    reader = Video.open(video)
    assert (len(reader), reader.fps) == (30, 25)
    found = [int(frame.mean().round()) for frame in reader.read([0, 3, 4, 29])]
    assert found == pytest.approx([0, 24, 32, 232], abs=3)
    assert len(list(reader.read([7, 7]))) == 2


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

    reader, capture = Video.open(video), cv2.VideoCapture
    monkeypatch.setattr(frame_readers.cv2, "VideoCapture", Counting)
    list(reader.read([0, 4]))
    assert len(decoded) == 5


def test_half_a_video_is_not_taken_for_a_whole_one(tmp_path: Path, video: Path) -> None:
    half = tmp_path / "half.avi"
    half.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(DataError, match=r"half\.avi: only \d+ of its 30 frames can be decoded"):
        Video.open(half)


def told(path: Path, video: Path, number: int) -> Path:
    """Return a copy of `video` whose header counts so many frames (AVI 1.0: avih, strh)."""
    content = bytearray(video.read_bytes())
    for part, place in ((b"avih", 24), (b"strh", 40)):
        at = content.index(part) + place
        content[at : at + 4] = number.to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("number", [28, 30, 31, 32])
def test_where_a_header_only_estimates_training_and_predict_count_alike(
    tmp_path: Path, video: Path, number: int
) -> None:
    file = told(tmp_path / "1.avi", video, number)
    assert len(Video.open(file)) == len(Listing.of(file).frames) == 30


def test_a_header_that_counts_many_more_is_of_a_video_that_is_cut_off(
    tmp_path: Path, video: Path
) -> None:
    file = told(tmp_path / "1.avi", video, 40)
    for how in (Video.open, Listing.of):
        with pytest.raises(DataError, match="only 30 of its 40 frames can be decoded"):
            how(file)


def test_a_frame_of_another_size_or_depth_is_no_frame_of_the_clip(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{number}.png", 9) for number in (1, 2)]
    cv2.imwrite(str(files[1]), np.zeros((20, 10, 3), np.uint8))
    with pytest.raises(DataError, match=r"2\.png: 10 by 20 pixels, unlike the 16 by 12 of 1\.png"):
        list(Stills("clip", tuple(files)).read([0, 1]))
    cv2.imwrite(str(files[1]), np.zeros((12, 16, 3), np.uint16))
    with pytest.raises(DataError, match=r"2\.png: 16 bits a value, unlike the 8 of 1\.png"):
        list(Stills("clip", tuple(files)).read([0, 1]))


def test_twelve_bits_in_files_of_sixteen_are_told_by_the_brightest_frame(tmp_path: Path) -> None:
    files = []
    for number, level in enumerate((100, 4095)):
        files.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(files[-1]), np.full((4, 4), level, np.uint16))
    dark, bright = Stills("clip", tuple(files)).read([0, 1])
    assert (dark[0, 0, 0], bright[0, 0, 0]) == (100 >> 4, 255)


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

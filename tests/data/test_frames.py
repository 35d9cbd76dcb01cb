"""Which files of a folder are the frames of a clip: the same for training, checks and predictions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mer_nas.data.preprocess.frames import Listing

Listed = Callable[..., list[str]]


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    """Makes files of these names, and returns those that are frames, in their order."""

    def make(*names: str) -> list[str]:
        for name in names:
            (tmp_path / name).touch()
        return [frame.path.name for frame in Listing.of(tmp_path).frames]

    return make


def test_frames_come_by_the_numbers_at_the_end_of_their_names(listed: Listed) -> None:
    assert listed("img10.png", "img2.png", "img001.jpg") == ["img001.jpg", "img2.png", "img10.png"]


@pytest.mark.parametrize(
    "name",
    ["._img1.png", ".img9.png", "preview.png", "Thumbs.db", "notes.txt", "img3.txt", "cover7.png"],
)
def test_other_files_are_no_frames(listed: Listed, name: str) -> None:
    assert listed("img1.png", "img2.png", name) == ["img1.png", "img2.png"]


def test_images_that_are_passed_over_are_named(listed: Listed, tmp_path: Path) -> None:
    listed("img1.png", "img2.png", "cover7.png", "preview.png", "._img1.png")
    assert Listing.of(tmp_path).others == ("cover7.png", "preview.png")


def test_two_files_of_one_number_are_named(listed: Listed, tmp_path: Path) -> None:
    listed("img3.jpg", "img3.png", "img03.png", "img4.png")
    assert Listing.of(tmp_path).twice == ("img3.jpg", "img3.png")
    assert Listing.of(tmp_path).others == ()


def test_names_that_differ_in_their_letters_case_are_alike(listed: Listed) -> None:
    assert listed("IMG1.PNG", "img2.png") == ["IMG1.PNG", "img2.png"]


@pytest.mark.parametrize(
    "names",
    [
        [f"cam{camera}_{number}.png" for camera in "AB" for number in range(4)],
        [f"10-{minute}-{second:02d}.jpg" for minute in (1, 2) for second in range(40, 60, minute)],
    ],
    ids=["two cameras", "minutes and seconds"],
)
def test_images_of_two_names_are_no_one_clip(
    listed: Listed, tmp_path: Path, names: list[str]
) -> None:
    listed(*names)
    fault = Listing.of(tmp_path).fault
    assert fault is not None
    assert fault[0] == "frames of two names"
    first, second = names[0], next(name for name in names if name[:4] != names[0][:4])
    assert f"{first} and more" in fault[1]
    assert f"{second} and more" in fault[1]


def test_few_images_of_another_name_are_no_second_clip(listed: Listed, tmp_path: Path) -> None:
    listed(*(f"img{number}.png" for number in range(5)), "cover1.png", "cover2.png")
    assert Listing.of(tmp_path).fault is None

"""Records: frames by their numbers."""

from pathlib import Path

import pytest

from mer_nas.data.records import Frame, Record
from mer_nas.errors import DataError


def record(*numbers: int) -> Record:
    frames = tuple(Frame(number, Path("sub01/EP1") / f"img{number}.jpg") for number in numbers)
    return Record("casme2", "sub01", "EP1", onset=10, apex=15, offset=20, frames=frames)


def test_a_frame_is_found_by_its_number() -> None:
    assert record(10, 15, 20).frame(15).path == Path("sub01/EP1/img15.jpg")


def test_a_missing_frame_is_stood_in_for_by_one_two_away_but_not_by_one_three_away() -> None:
    assert [frame.number for frame in record(10, 17, 20).keyframes] == [10, 17, 20]
    with pytest.raises(DataError) as refused:
        record(10, 18, 20).frame(15)
    assert str(refused.value) == (
        "casme2:sub01/EP1: there is no frame 15 nor one within 2 of it in sub01/EP1"
    )

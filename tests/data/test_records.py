"""Records: frames by their numbers, and action units as coders wrote them."""

from pathlib import Path

import pytest

from mer_nas.data.annotations.action_units import has_alternatives, read_action_units
from mer_nas.data.records import Frame, Record
from mer_nas.errors import DataError


def record(*numbers: int) -> Record:
    frames = tuple(Frame(number, Path("sub01/EP1") / f"img{number}.jpg") for number in numbers)
    return Record("casme2", "sub01", "EP1", frames, 10, 15, 20, "annotated", "fear", None, 200)


def test_a_frame_is_found_by_its_number() -> None:
    assert record(10, 15, 20).frame(15).path == Path("sub01/EP1/img15.jpg")


def test_a_missing_frame_is_stood_in_for_by_one_two_away_but_not_by_one_three_away() -> None:
    assert [frame.number for frame in record(10, 17, 20).keyframes] == [10, 17, 20]
    with pytest.raises(DataError) as refused:
        record(10, 18, 20).frame(15)
    assert str(refused.value) == (
        "casme2:sub01/EP1: there is no frame 15 nor one within 2 of it in sub01/EP1"
    )


def test_a_record_with_a_class_is_a_clip() -> None:
    clip = record(10, 15, 20).clip(2)
    assert (clip.id, clip.label, clip.onset, clip.apex, clip.offset, clip.emotion) == (
        "casme2:sub01/EP1",
        2,
        10,
        15,
        20,
        "fear",
    )


@pytest.mark.parametrize(
    ("cell", "units"),
    [
        ("4", "4"),
        ("4+L10", "4 L10"),
        ("R6+R12", "R6 R12"),
        ("1+R2+25", "1 R2 25"),
        ("15A+17", "15A 17"),
        ("10A/B", "10A"),
        ("ref(7B)+43", "7B 43"),
        ("A/L12", "L12"),
        ("B18+25", "B18 25"),
        ("T23", "T23"),
        ("R14+17+soft focus", "R14 17"),
        ("A14C", "A14C"),
        ("R14A or 17A or 24A", "R14A"),
        ("12+15 ", "12 15"),
        ("T28+14", "T28 14"),
        ("4\uff0c7", "4 7"),
        ("AU4(k)+L7", "4 L7"),
        ("R4+AD38", "R4 38"),
        ("1+2+5+M58", "1 2 5 58"),
    ],
)
def test_action_units_are_read_as_coders_wrote_them(cell: str, units: str) -> None:
    assert [str(unit) for unit in read_action_units(cell) or ()] == units.split()


@pytest.mark.parametrize("cell", ["?", "", "/", "soft focus"])
def test_a_cell_without_a_number_names_no_action_unit(cell: str) -> None:
    assert read_action_units(cell) is None


def test_alternatives_are_told() -> None:
    assert has_alternatives("R12 or R15")
    assert not has_alternatives("soft forehead+4")

"""What the layout of a data set promises: it reads what was written, and names what is damaged.

A layout is held to that by a small copy of its data set, which the author's own function writes
as the official release lies on disk. No face need be found in its images.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.annotations.read_records import DataSet, labelled
from mer_nas.data.checks.check import check_data
from mer_nas.data.config import RecordedData
from mer_nas.data.preprocess.config import Pipeline
from mer_nas.data.records import Record
from mer_nas.errors import DataError, MerNasError
from mer_nas.testing.checks import Check, expect, run_all

Write = Callable[[Path], int]
"""Writes a small copy into a folder that does not exist; returns the number of its clips."""


def check_layout(name: str, write: Write) -> None:
    """Hold a layout to everything that is promised of layouts.

    Args:
        name: Of the layout.
        write: Writes a small copy into a folder that does not exist; returns the number of its
            clips, of which there should be two or more.

    Raises:
        AssertionError: Every promise that it breaks, and how.
        ConfigError: No layout is called so.
    """
    run_all(layout_checks(name, write))


def layout_checks(name: str, write: Write) -> list[Check]:
    """Return what is promised of a layout, for `pytest.mark.parametrize`.

    Args:
        name: Of the layout.
        write: Writes a small copy into a folder that does not exist; returns the number of its
            clips, of which there should be two or more.

    Raises:
        ConfigError: No layout is called so.
    """
    case = _Case(Layout.read(name), write)
    return Check.of_each(_PROMISES, case)


@dataclass(frozen=True)
class _Case:
    layout: Layout
    write: Write

    @contextmanager
    def copy(self) -> Iterator["_Copy"]:
        """Write a copy that is gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve() / "copy"
            yield _Copy(self.layout, root, self.write(root))


@dataclass(frozen=True)
class _Copy:
    layout: Layout
    root: Path
    clips: int

    def config(self, *, skip: bool = False) -> RecordedData:
        return RecordedData(
            layouts=(self.layout.name,),
            root=self.root,
            labels="as_annotated",
            pipeline=Pipeline(align="none"),
            skip_missing=skip,
        )

    def read(self) -> DataSet:
        return DataSet.read(Location.of(self.config(), self.layout))

    def refusal(self) -> str:
        """Return what is said of the copy where it cannot be used as it is.

        Raises:
            AssertionError: It is read as if nothing were wrong.
        """
        try:
            labelled(self.config())
        except DataError as error:
            return str(error)
        raise AssertionError("it is read as if nothing were wrong")


def _is_consistent(case: _Case) -> None:
    """The official counts add up, and no spelling stands for two emotions."""
    official, emotions = case.layout.official, case.layout.emotions
    if official.clips is not None:
        for name in ("emotions", "per_subject"):
            counts = getattr(official, name)
            total = sum(counts.values())
            expect(not counts or total == official.clips, f"{name}: {total} of {official.clips}")
    if official.subjects is not None and official.per_subject:
        found = len(official.per_subject)
        expect(found == official.subjects, f"{found} of {official.subjects} subjects are counted")
    unknown = sorted(set(official.emotions) - set(emotions)) if emotions else []
    expect(not unknown, f"counted, but no emotions: {', '.join(unknown)}")
    spellings = [word for name, more in emotions.items() for word in (name, *more)]
    twice = sorted({word for word in spellings if spellings.count(word) > 1})
    expect(not twice, f"spellings of two emotions: {', '.join(twice)}")
    strange = [word for word in spellings if word != word.casefold().strip()]
    expect(not strange, f"never met, as texts are read in lower case: {', '.join(strange)}")


def _reads_what_is_written(case: _Case) -> None:
    """Every clip is read, with its subject, its emotion, its frames and moments in order."""
    with case.copy() as copy:
        found = copy.read()
        errors = [str(error) for error in found.errors]
        expect(not errors, "; ".join(errors))
        read, written = len(found.records), copy.clips
        expect(read == written, f"{read} clips are read of {written}")
        ids = {record.id for record in found.records}
        expect(len(ids) == read, f"{read} clips have {len(ids)} names")
        for record in found.records:
            _expect_whole(copy, record)


def _expect_whole(copy: _Copy, record: Record) -> None:
    numbers = [frame.number for frame in record.frames]
    expect(numbers == sorted(set(numbers)), f"{record.id}: frames {numbers}")
    expect(len(numbers) > 1, f"{record.id}: {len(numbers)} frames")
    for frame in record.frames:
        inside = frame.path.is_file() and frame.path.is_relative_to(copy.root)
        expect(inside, f"{record.id}: {frame.path} is no file of the data set")
    moments = [record.onset, record.apex, record.offset]
    expect(None not in moments, f"{record.id}: onset, apex and offset are {moments}")
    ordered = sorted(moments) == moments  # type: ignore[type-var]
    expect(ordered, f"{record.id}: onset, apex and offset are {moments}")
    emotions = copy.layout.emotions
    known = record.emotion in emotions if emotions else bool(record.emotion)
    expect(known, f"{record.id}: the emotion {record.emotion!r}")
    name = copy.layout.subject_of(record.subject)
    expect(name == record.subject, f"{record.id}: the subject {record.subject!r}")


def _reads_the_same_elsewhere(case: _Case) -> None:
    """Copied to another folder, a data set holds the same clips."""
    with case.copy() as copy:
        here = [_facts(record) for record in copy.read().records]
        other = copy.root.with_name("elsewhere")
        shutil.copytree(copy.root, other)
        there = [_facts(r) for r in _Copy(copy.layout, other, copy.clips).read().records]
        expect(here == there, "other clips, or other facts of them")


def _facts(record: Record) -> object:
    numbers = [frame.number for frame in record.frames]
    return record.id, record.emotion, record.onset, record.apex, record.offset, numbers


def _passes_the_check(case: _Case) -> None:
    """`mer-nas data check` opens every image of it and finds no error."""
    with case.copy() as copy:
        errors = [f for f in check_data(copy.config()).findings if f.severity == "error"]
        expect(not errors, "; ".join(map(str, errors)))


def _names_a_clip_without_frames(case: _Case) -> None:
    """A clip that is annotated and has no frames is named, and can be left out."""
    if case.layout.table is None:
        return  # the folders say which clips there are
    with case.copy() as copy:
        record = copy.read().records[0]
        for frame in record.frames:
            frame.path.unlink()
        said = copy.refusal()
        expect(record.name in said, f"{record.id} has no frames: {said}")
        rest = len(labelled(copy.config(skip=True)).records)
        expect(rest == copy.clips - 1, f"{rest} clips are left of {copy.clips}, without one")


def _names_an_empty_image(case: _Case) -> None:
    """An image without content is named."""
    with case.copy() as copy:
        record = copy.read().records[0]
        record.frames[1].path.write_bytes(b"")
        said = copy.refusal()
        named = record.frames[1].path.name in said and record.name in said
        expect(named, f"{record.frames[1].path} is empty: {said}")


def _names_a_damaged_image(case: _Case) -> None:
    """`mer-nas data check` names an image that cannot be decoded."""
    with case.copy() as copy:
        record = copy.read().records[0]
        record.frames[1].path.write_bytes(b"no image at all")
        errors = [f for f in check_data(copy.config()).findings if f.severity == "error"]
        named = any(record.frames[1].path.name in str(error) for error in errors)
        expect(named, f"{record.frames[1].path} is damaged: {[*map(str, errors)]}")


def _refuses_a_damaged_table(case: _Case) -> None:
    """A table that cannot be read is refused with its name."""
    with case.copy() as copy:
        table = Location.of(copy.config(), copy.layout).table
        if table is None:
            return
        table.write_bytes(b"\xff\xfe no table at all")
        said = copy.refusal()
        expect(table.name in said, f"{table} is damaged: {said}")


def _refuses_an_empty_folder(case: _Case) -> None:
    """A folder that holds nothing is refused with its name, and with what should be there."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            labelled(_Copy(case.layout, Path(folder).resolve(), 0).config())
        except MerNasError as error:
            said = str(error)
        else:
            raise AssertionError("an empty folder is read as if nothing were wrong")
        expect(str(Path(folder).resolve()) in said, f"the folder is not named: {said}")
        expect(case.layout.title in said, f"the data set is not named: {said}")


_PROMISES: tuple[Callable[[_Case], None], ...] = (
    _is_consistent,
    _reads_what_is_written,
    _reads_the_same_elsewhere,
    _passes_the_check,
    _names_a_clip_without_frames,
    _names_an_empty_image,
    _names_a_damaged_image,
    _refuses_a_damaged_table,
    _refuses_an_empty_folder,
)

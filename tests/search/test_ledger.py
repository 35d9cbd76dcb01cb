import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Sketch, evaluator

from mer_nas.errors import StudyError
from mer_nas.evaluation.evaluator import FoldResult
from mer_nas.search.events import Note
from mer_nas.search.ledger import Ledger, read


def results(folds: int = 4) -> list[FoldResult]:
    scripted = evaluator()
    sketch = Sketch((("kind", "plain"), ("x", 0.5), ("y", 1)))
    return [scripted.fold(sketch, index) for index in range(folds)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        for result in results():
            ledger.append(result)
    return path


def test_what_was_written_is_read_again_to_the_last_bit(path: Path) -> None:
    with Ledger(path) as ledger:
        assert list(ledger) == results()
    assert read(path) == tuple(results())


def test_a_fold_is_found_under_its_own_conditions_only(path: Path) -> None:
    one = results()[0]
    same = (one.candidate, one.fold, one.repetition, one.seed, one.data, one.code)
    others = [("x", *same[1:]), *[(*same[:i], 9, *same[i + 1 :]) for i in range(1, 6)]]
    with Ledger(path) as ledger:
        assert ledger.find(*same) == one
        assert [ledger.find(*other) for other in others] == [None] * 6
        assert ledger.of(one.candidate) == tuple(results())


def test_a_fold_that_is_there_already_is_not_written_twice(path: Path) -> None:
    before = path.read_bytes()
    with Ledger(path) as ledger:
        again = replace(results()[2], seconds=99.0, protocol="another")
        assert ledger.append(again) is False
        assert len(ledger) == 4
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [1, 20, 300])
def test_a_torn_last_line_is_cut_off_and_its_fold_runs_again(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])
    events: list[object] = []
    with Ledger(path, events.append) as ledger:
        assert list(ledger) == results()[:3]
        assert isinstance(events[0], Note)
        assert "the last line was cut short" in events[0].text
        assert ledger.append(results()[3])
    assert read(path) == tuple(results())


def test_a_last_line_of_zeros_is_cut_off_too(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 100 + b"\n")
    with Ledger(path) as ledger:
        assert list(ledger) == results()


def test_a_reader_leaves_a_torn_line_to_the_writer(path: Path) -> None:
    torn = path.read_bytes()[:-5]
    path.write_bytes(torn)
    assert read(path) == tuple(results()[:3])
    assert path.read_bytes() == torn


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=r"ledger.jsonl: line 3 is damaged .* not the last"):
        Ledger(path)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(StudyError, match="this is no mer-nas fold ledger: it begins with b'dear"):
        Ledger(path)
    assert path.read_text() == "dear diary\n"


def test_a_later_format_is_refused_with_both_versions(path: Path) -> None:
    header = json.dumps({"format": "mer-nas fold ledger", "version": 7})
    path.write_text(header + "\n")
    with pytest.raises(StudyError, match="format version 7; this mer-nas reads 1"):
        Ledger(path)


def test_a_header_that_was_torn_is_written_again(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:12])
    with Ledger(path) as ledger:
        assert ledger.append(results()[0])
    assert read(path) == tuple(results()[:1])


def test_a_full_disk_is_said_and_loses_nothing_that_was_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [100]

    def full(file: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= len(data[:100])
        return write(file, data[:100])

    fresh = replace(results()[0], repetition=1)
    with Ledger(path) as ledger:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StudyError, match=r"no space left on device; the 4 folds .* are safe"):
            ledger.append(fresh)
        assert read(path) == tuple(results())
        monkeypatch.undo()
        assert ledger.append(fresh)
    assert read(path) == (*results(), fresh)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"nowhere.ledger\.jsonl: no such file or directory"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl")

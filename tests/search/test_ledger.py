import errno
import json
import os
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted import Sketch, evaluator

from mer_nas.errors import StudyError
from mer_nas.evaluation.results import FoldResult
from mer_nas.search.events import Note
from mer_nas.search.ledger import FoldStore, Ledger, read


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
    with pytest.raises(StudyError, match=r"ledger.jsonl: line 3 is damaged: it is no JSON"):
        Ledger(path)


def sealed(content: bytes) -> bytes:
    """Return a line as the format has it."""
    return content[:-1] + b',"crc32":"%08x"}\n' % zlib.crc32(content)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_each_line_is_json_that_ends_in_the_checksum_of_the_rest(path: Path) -> None:
    _, *lines = lines_of(path)
    assert lines == [sealed(result.to_json().encode()) for result in results()]
    assert json.loads(lines[0])["crc32"] == lines[0][-11:-3].decode()


@pytest.mark.parametrize("number", [2, 5], ids=["first", "last"])
def test_a_changed_digit_is_refused_wherever_it_stands(path: Path, number: int) -> None:
    before = lines_of(path)
    line = before[number - 1]
    for place in [at for at, byte in enumerate(line) if chr(byte).isdigit()]:
        digit = b"1" if line[place : place + 1] != b"1" else b"2"
        changed = line[:place] + digit + line[place + 1 :]
        path.write_bytes(b"".join([*before[: number - 1], changed, *before[number:]]))
        with pytest.raises(StudyError, match=rf"ledger.jsonl: line {number} is damaged: it"):
            Ledger(path)


@pytest.mark.parametrize("number", [3, 5], ids=["middle", "last"])
def test_a_line_whose_checksum_was_taken_away_is_refused(path: Path, number: int) -> None:
    lines = lines_of(path)
    lines[number - 1] = results()[number - 2].to_json().encode() + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(StudyError, match=rf"line {number} is damaged: it has no checksum"):
        Ledger(path)


def test_line_ends_of_another_system_change_nothing(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(path) == tuple(results())


def test_a_file_of_version_1_is_read_and_goes_on(path: Path) -> None:
    header = b'{"format": "mer-nas fold ledger", "version": 1}\n'
    old = [result.to_json().replace(',"losses":[]', "").encode() + b"\n" for result in results()]
    path.write_bytes(header + b"".join(old[:3]) + old[3][:90])  # its last line was torn
    with Ledger(path) as ledger:
        assert list(ledger) == results()[:3]
        ledger.append(results()[3])
    assert lines_of(path) == [header, *old[:3], sealed(results()[3].to_json().encode())]
    assert read(path) == tuple(results())
    path.write_bytes(path.read_bytes().replace(b'"epochs":1', b'"epochs":2'))
    with pytest.raises(StudyError, match="line 5 is damaged: its checksum does not fit"):
        read(path)


WRONG = {
    "sum": ("probabilities", [[0.5, 0.5, 0.5]], "do not sum to one"),
    "not finite": ("probabilities", [[float("nan"), 0.5, 0.5]], "probabilities"),
    "beyond one": ("probabilities", [[2.0, -1.0, 0.0]], "probabilities"),
    "text": ("probabilities", [["0.5", "0.5", 0.0]], "probabilities"),
    "ragged": ("probabilities", [[1.0, 0.0], [1.0]], "one probability a class for each clip"),
    "no classes": ("probabilities", [[]], "a label is beyond its 0 classes"),
    "label": ("labels", [3], "a label is beyond its 3 classes"),
    "true": ("labels", [True], "labels.0: Input should be a valid integer"),
    "huge": ("seed", 10**400, "seed"),
    "a float": ("epochs", 1.0, "epochs: Input should be a valid integer"),
    "stranger": ("clips", ["elsewhere/9/clip"], "a clip is of nobody who was held out"),
    "fewer labels": ("labels", [], "one label and one probability a class for each clip"),
    "deep": ("losses", json.loads("[" * 150 + "]" * 150), "losses.0"),
    "unknown": ("mine", 1, "mine: "),
    "nothing": (None, {}, "candidate: Field required"),
}


@pytest.mark.parametrize(("name", "value", "found"), WRONG.values(), ids=WRONG)
def test_a_line_that_no_fold_can_give_is_refused(
    path: Path, name: str | None, value: Any, found: str
) -> None:
    tree = json.loads(results()[0].to_json())
    clips = len(tree["clips"])
    if isinstance(value, list) and name in {"probabilities", "labels", "clips"}:
        value = (value * clips)[:clips] if value else []
    wrong = json.dumps(value if name is None else {**tree, name: value}).encode()
    path.write_bytes(b"".join(lines_of(path)[:3]) + sealed(wrong))
    with pytest.raises(StudyError, match=rf"line 4 is damaged: [^\n]*{found}"):
        Ledger(path)


def test_a_fold_of_other_clips_than_those_of_the_study_is_refused(path: Path) -> None:
    scripted, one = evaluator(), results()[0]
    record = partial(FoldStore, clips=scripted.clips, protocol=scripted.protocol, seed=0)
    with Ledger(path) as ledger:
        assert record(ledger, code=one.code).find(one.candidate, 0) == one
    wrong = replace(one, labels=tuple((label + 1) % 3 for label in one.labels))
    path.write_bytes(lines_of(path)[0] + sealed(wrong.to_json().encode()))
    with (
        Ledger(path) as ledger,
        pytest.raises(StudyError, match=r"ledger\.jsonl: line 2: what is kept of"),
    ):
        record(ledger, code=one.code).find(one.candidate, 0)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(StudyError, match="this is no mer-nas fold ledger: it begins with b'dear"):
        Ledger(path)
    assert path.read_text() == "dear diary\n"


def test_a_later_format_is_refused_with_both_versions(path: Path) -> None:
    header = json.dumps({"format": "mer-nas fold ledger", "version": 7})
    path.write_text(header + "\n")
    with pytest.raises(StudyError, match=r'"version": 7.*; this mer-nas reads 1 to 2'):
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


def test_a_ledger_that_is_moved_while_it_is_written_says_so_and_has_lost_nothing(
    path: Path,
) -> None:
    moved, last = path.with_name("moved.jsonl"), results(5)[-1]
    with Ledger(path) as ledger:
        path.rename(moved)
        with pytest.raises(StudyError, match="the study was moved or deleted while it ran"):
            ledger.append(last)
    assert read(moved) == tuple(results(5))
    assert not path.exists()

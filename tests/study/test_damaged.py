"""Files of a study with any content: read as they were written, or one message that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mer_nas.data.protocols import Fold, Protocol
from mer_nas.errors import MerNasError
from mer_nas.report import Attribution, DataSummary, ExpertAttribution, SeedScores
from mer_nas.study.evaluate import read_evaluation
from mer_nas.study.folder import Origin, StudyFolder
from mer_nas.study.sessions import add_session, sessions

BYTES = {
    "nothing": b"",
    "torn": b'{"command": "mer-n',
    "no text": b"\xff\xfe{}",
    "another encoding": '{"command": "é"}'.encode("utf-16"),
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "not finite": b'{"command": NaN}',
    "huge": b'{"command": ' + b"9" * 5000 + b"}",
    "zeros": bytes(100),
}
any_bytes = pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)


@any_bytes
@pytest.mark.parametrize("name", ["origin.json", "evaluation.json"])
def test_any_bytes_in_a_json_file_are_one_message(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    read: dict[str, Callable[[], object]] = {
        "origin.json": StudyFolder(tmp_path).origin,
        "evaluation.json": lambda: read_evaluation(tmp_path / name),
    }
    with pytest.raises(MerNasError, match=name) as caught:
        read[name]()
    assert all(line.startswith(str(tmp_path / name)) for line in str(caught.value).splitlines())
    assert len(str(caught.value)) < 1000


def origin() -> Origin:
    folds = tuple(Fold(name=name, key=name, clips=2) for name in "ab")
    return Origin(
        command="mer-nas search",
        code="0" * 12,
        data=DataSummary(name="x", fingerprint="f", classes=("n", "p"), counts={"clips": 4}),
        search=Protocol(name="LOSO", folds=folds, blocks=((0,), (1,))),
    )


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("search.blocks", [[0], [7]], "its blocks do not hold each fold once"),
        ("search.folds", [], "at least 1 item"),
        ("search.folds.0.clips", "2", "clips: input should be a valid integer"),
        ("search.folds.0.clips", True, "clips: input should be a valid integer"),
        ("search.folds.0.clips", 10**40, "64 bits"),
        ("data.classes", [], "at least 1 item"),
        ("data.counts", {"clips": -4}, "greater than or equal to 0"),
        ("mine", 1, "no setting is called 'mine'"),
    ],
)
def test_a_changed_origin_is_refused_with_the_place(
    tmp_path: Path, path: str, value: Any, found: str
) -> None:
    tree = origin().model_dump(mode="json")
    file = tmp_path / "origin.json"
    file.write_text(json.dumps(tree))
    assert StudyFolder(tmp_path).origin() == origin()
    node, keys = tree, path.split(".")
    for key in keys[:-1]:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node[keys[-1]] = value
    file.write_text(json.dumps(tree))
    with pytest.raises(MerNasError, match=rf"^{file}.*{found}"):
        StudyFolder(tmp_path).origin()


def test_sessions_add_up_and_one_that_was_cut_short_counts_nothing(tmp_path: Path) -> None:
    folder, file = StudyFolder(tmp_path), tmp_path / "sessions.jsonl"
    assert sessions(folder) == (0, None, ())
    file.write_text('{"seconds": 60.0, "command": "an older version wrote this"}\n')
    add_session(folder, 1.26, "mer-nas resume s", workers=3)
    assert sessions(folder) == (61.3, 3, ())
    file.write_text(file.read_text() + '{"seconds": 5.0, "wor')
    assert sessions(folder) == (61.3, 3, ())
    add_session(folder, 2.0, "mer-nas resume s", workers=2)
    assert sessions(folder) == (63.3, 3, ())
    assert len(file.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"nonsense", "line 2 is damaged: "),
        (b"[1]", "line 2 is damaged: "),
        (b'{"workers": 2}', "line 2 is damaged: seconds: "),
        (b'{"seconds": "60"}', "line 2 is damaged: seconds: "),
        (b'{"seconds": -1}', "line 2 is damaged: seconds: "),
        (b'{"seconds": Infinity}', "line 2 is damaged: seconds: "),
        (b'{"seconds": 1e400}', "line 2 is damaged: seconds: "),
        (b'{"seconds": 1, "workers": true}', "line 2 is damaged: workers: "),
        (b"[" * 10_000, "line 2 is damaged: "),
        (b"\xff", "line 2 is damaged: "),
    ],
)
def test_a_damaged_line_of_sessions_is_left_out_and_named(
    tmp_path: Path, line: bytes, found: str
) -> None:
    file = tmp_path / "sessions.jsonl"
    file.write_bytes(b'{"seconds": 1}\n' + line + b'\n{"seconds": 2}\n')
    add_session(StudyFolder(tmp_path), 4.0, "mer-nas resume s", workers=1, note="a note")
    seconds, workers, (noted, damaged) = sessions(StudyFolder(tmp_path))
    assert (seconds, workers, noted) == (7.0, 1, "a note")
    assert damaged.startswith(f"sessions.jsonl: {found.replace(': ', ' (', 1)}")
    assert damaged.endswith("), so the time of its session is not counted")
    assert "\n" not in damaged


def scores(confusion: Any, subjects: Any = ()) -> SeedScores:
    return SeedScores(uf1=0.5, uar=0.5, accuracy=0.5, confusion=confusion, subjects=subjects)


def test_scores_of_other_classes_or_subjects_than_their_data_are_refused() -> None:
    data = DataSummary(
        name="x", fingerprint="f", classes=("n", "p"), counts={}, subjects={"a": 1, "b": 1}
    )
    two, three = ((1, 0), (0, 1)), ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    data.check([scores(two), scores(two, (two, two))])
    for wrong in (scores(three), scores(two, (two,)), scores(two, (two, three))):
        with pytest.raises(ValueError, match="not of the 2 classes and the 2 subjects"):
            data.check([wrong])
    with pytest.raises(ValueError, match="as many columns as rows"):
        scores(((1, 0), (1,)))


def test_looks_of_ragged_maps_or_other_experts_are_refused() -> None:
    seen = (((0.1, 0.2),), ((0.3, 0.4),))
    expert = ExpertAttribution(layer="stage 1", experts=2, chosen=1, use=((0.5, 0.5), (1, 0)))

    def looks(**changes: Any) -> Attribution:
        tree = {"key": "k", "clips": 2, "input": "flow_uvs", "seen": seen, "experts": (expert,)}
        return Attribution.model_validate({**tree, **changes})

    assert looks().classes == 2
    for wrong, found in (
        ({"seen": (((0.1,), (0.2, 0.3)), ((1.0,),))}, "rows of one length"),
        ({"seen": ()}, "of 0 classes"),
        ({"seen": seen[:1]}, "of 1 classes"),
        ({"experts": (expert.model_copy(update={"experts": 3}),)}, "stage 1 has 3 experts"),
    ):
        with pytest.raises(ValueError, match=found):
            looks(**wrong)

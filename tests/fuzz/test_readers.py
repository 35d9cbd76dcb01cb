"""Every reader, given anything: it reads, or says in one message what is wrong with which file.

Hypothesis makes the inputs: bytes and words of its own, and files of ours with parts cut out,
doubled, swapped or replaced. No reader may raise anything else, run on, or write anywhere.

    MER_NAS_FUZZ=20000 pytest -n 0 tests/fuzz

asks for that many inputs of all readers together; by default there are a few hundred.
"""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_nas.config import overrides, presets
from mer_nas.data.annotations.sheets import Sheet
from mer_nas.data.preprocess.images import decode
from mer_nas.errors import MerNasError
from mer_nas.export.manifest import read_manifest
from mer_nas.report import read_report
from mer_nas.search.config import StudyConfig
from mer_nas.search.ledger import FOLDS, HINDSIGHT
from mer_nas.search.lock import refuse_driven
from mer_nas.search.storage import close_storage, open_study, sqlite_url
from mer_nas.search.trials import TRIALS, damage
from mer_nas.settings import Settings, resolve
from mer_nas.space import SearchSpace
from mer_nas.study.folder import StudyFolder
from mer_nas.study.sessions import sessions

ROOT = Path(__file__).parents[2]
MANY = int(os.environ.get("MER_NAS_FUZZ", "0"))


def space(file: Path) -> None:
    tree = presets.parse(file.read_text("utf-8", "replace"), str(file))
    SearchSpace.read(tree, str(file), file.parent)


def loaded(file: Path) -> None:
    Settings.load(presets.parse(file.read_text("utf-8", "replace"), str(file)), str(file))


def stored(file: Path) -> None:
    damage(file)
    close_storage(open_study(sqlite_url(file.parent), "search")[1])


def logged(file: Path) -> None:
    close_storage(open_study(str(file), "search")[1])


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "space": ("space.yaml", space),
    "settings": ("settings.yaml", loaded),
    "trainer": ("trainer.yaml", lambda file: resolve([f"trainer={file}"])),
    "study": ("study.yaml", lambda file: resolve([f"study={file}"])),
    "data": ("data.yaml", lambda file: resolve([f"data={file}"])),
    "origin": ("origin.json", lambda file: StudyFolder(file.parent).origin()),
    "sessions": ("sessions.jsonl", lambda file: sessions(StudyFolder(file.parent))),
    "ledger": ("ledger.jsonl", FOLDS.read),
    "hindsight": ("hindsight.jsonl", HINDSIGHT.read),
    "trials": ("trials.jsonl", TRIALS.read),
    "lock": ("driver.lock", lambda file: refuse_driven(file.parent)),
    "storage": ("study.db", stored),
    "journal": ("shared.log", logged),
    "report": ("report.json", read_report),
    "export": ("model.yaml", lambda file: read_manifest(file.parent)),
    "csv": ("table.csv", Sheet.read_all),
    "workbook": ("table.xlsx", Sheet.read_all),
    "image": ("face.png", decode),
}
"""Of each reader, the name that its file has, and what reads it."""
SLOW = ("storage", "report", "workbook", "trainer", "study", "data")


def line(format_: str, tree: dict[str, Any]) -> bytes:
    header = {"format": f"mer-nas {format_}", "version": 1}
    return f"{json.dumps(header)}\n{json.dumps(tree)}\n".encode()


FOLD = {
    "candidate": "a1", "fold": "f", "fold_name": "s1", "subjects": ["x/s1"], "repetition": 0,
    "seed": 0, "data": "d", "code": "c", "protocol": "LOSO", "clips": ["x/s1/c1", "x/s1/c2"],
    "labels": [0, 1], "probabilities": [[0.5, 0.5], [0.25, 0.75]], "epochs": 1, "seconds": 0.5,
}  # fmt: skip
TRIAL = {
    "study": "search", "number": 0, "state": "COMPLETE", "seconds": 1.0, "time": 1.0,
    "params": {"x": 0.5}, "values": [0.5], "steps": {"1": 0.5},
    "distributions": {"x": '{"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "log": false, "step": null}}'},
    "attributes": {"outcome": "complete", "tree": {}}, "system": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def examples(
    tmp_path_factory: pytest.TempPathFactory, write_tiny: Callable[[Path], list[str]]
) -> dict[str, bytes]:
    """Return a file that each reader takes, or nearly."""
    book, png = io.BytesIO(), np.zeros((4, 4, 3), np.uint8)
    sheet = openpyxl.Workbook()
    sheet.active.append(["Subject", "Onset"])  # type: ignore[union-attr]
    sheet.active.append(["s1", 3])  # type: ignore[union-attr]
    sheet.save(book)
    tiny = tmp_path_factory.mktemp("tiny")
    write_tiny(tiny)
    (journal := tiny / "shared.log").touch()
    close_storage(open_study(str(journal), "search", StudyConfig())[1])
    words = ["ray.workers=0", "study.pace={per_operation: 0.1, per_mac: 0, per_value: 0}"]
    back = {k: FOLD[k] for k in ("candidate", "fold", "repetition", "seed", "data", "code")}
    return {
        "space": (tiny / "space.yaml").read_bytes(),
        "settings": presets.dump(resolve(words).dump()).encode(),
        "trainer": (tiny / "trainer.yaml").read_bytes(),
        "study": (tiny / "study.yaml").read_bytes(),
        "data": (tiny / "data.yaml").read_bytes(),
        "origin": b'{"command": "c", "code": "0", "data": {"name": "x", "fingerprint": "f", "classes": ["n", "p"], "counts": {"clips": 4}}, "search": {"name": "LOSO", "folds": [{"name": "a", "key": "a", "clips": 2}], "blocks": [[0]]}}',
        "sessions": b'{"seconds": 1.5, "workers": 2, "command": "c"}\n' * 2,
        "ledger": line("fold ledger", FOLD),
        "hindsight": line(
            "hindsight", {**back, "epochs": [1], "predicted": [[0, 1]], "seconds": 0.5}
        ),
        "trials": line("trials", TRIAL),
        "lock": b'{"host": "h", "pid": 7, "started": "s", "since": "now"}\n',
        "storage": b"SQLite format 3\0" + bytes(84),
        "journal": journal.read_bytes(),
        "report": (ROOT / "studies" / "gates" / "report.json").read_bytes()[:20_000],
        "export": (ROOT / "tests" / "export" / "model_2" / "model.yaml").read_bytes(),
        "csv": b'Subject,Onset,Emotion\ns1,3,happy\n"s2",4,"sad"\n',
        "workbook": book.getvalue(),
        "image": cv2.imencode(".png", png)[1].tobytes(),
    }


ODD = [b"", b"\0", b"\xff\xfe", b"[" * 2000, b"{" * 300, b"&a [*a]", b"!!python/name:os.system", b": ",
       b"1e999", b"-1", b"NaN", b"null", b"true", b'"', b"\n", b"9" * 5000, b"../../..", b"~nobody/x", b"\xed\xa0\x80"]  # fmt: skip


@st.composite
def contents(draw: Any, example: bytes) -> bytes:
    """Draw bytes, or an example with a few parts cut out, doubled or replaced."""
    if draw(st.integers(0, 9)) == 0:
        return bytes(draw(st.binary(max_size=200)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(example)))
        end = min(len(example), start + draw(st.integers(0, 40)))
        part = draw(st.sampled_from([*ODD, example[start:end] * 2]) | st.binary(max_size=8))
        example = example[:start] + part + example[end:]
    return example


def refusal(read: Callable[[], object]) -> str | None:
    """Return the message with which something is refused; any other exception is a bug."""
    try:
        read()
    except MerNasError as error:
        return str(error)
    return None


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def inputs(name: str) -> int:
    """Return how many inputs a reader gets."""
    return max(MANY // len(READERS), 8 if name in SLOW else 24)


@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_or_says_what_is_wrong(
    name: str, examples: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_name, reader = READERS[name]
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = folder / file_name

    @settings(
        max_examples=inputs(name),
        deadline=None,  # whose machine is loaded must not fail
        database=None,
        derandomize=not MANY,
        suppress_health_check=list(HealthCheck),
    )
    @given(contents(examples[name]))
    def read(content: bytes) -> None:
        file.write_bytes(content)
        said = refusal(lambda: reader(file))
        assert said is None or 0 < len(said) < 20_000
        left = everything(tmp_path) - {"in", f"in/{file_name}"}
        assert all(each.startswith("in/study.db-") for each in left), left

    read()


@settings(max_examples=max(200, MANY // 4), deadline=None, database=None, derandomize=not MANY)
@given(
    st.lists(
        st.sampled_from(
            ["space", "trainer", "study.trials", "trainer.lr", "space.trainer.lr", "ray.workers"]
        )
        | st.text(max_size=12),
        max_size=3,
    ),
    st.lists(
        st.sampled_from(["=", "=[", "={a: ", "=~", "==", "=!!python/name:x", "=*a", "=9" * 3])
        | st.text(max_size=12).map("=".__add__),
        min_size=3,
        max_size=3,
    ),
)
def test_any_words_are_settings_or_a_message(keys: list[str], values: list[str]) -> None:
    words = [key + value for key, value in zip(keys, values, strict=False)]
    assert refusal(lambda: overrides.parse(words)) != ""

"""Which code and which machine a result comes from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mer_nas import provenance
from mer_nas.architectures import load_extensions
from mer_nas.sources import meaning


def test_another_process_finds_the_same_version_whatever_it_hashes_by() -> None:
    code = "from mer_nas.provenance import code_version; print(code_version())"
    other = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=other)
    assert found.stdout.strip() == provenance.code_version(), found.stderr


def version_of(file: Path, text: str) -> str:
    """Return the version of the code for a space that names a file which holds `text`."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    load_extensions([file], trust=True)
    return provenance.code_version([file])


def test_a_users_file_counts_for_the_space_that_names_it(tmp_path: Path) -> None:
    plain = provenance.code_version()
    versions = [
        version_of(tmp_path / folder / "block.py", text)
        for folder, text in (("one", "a = 1"), ("two", "a = 2"), ("three", "a = 1  # one"))
    ]
    assert versions[0] == versions[2]  # the same code, wherever it lies
    assert len({plain, *versions}) == 3
    assert provenance.code_version() == plain  # another space, in the same process


def test_a_users_file_counts_as_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    before = version_of(tmp_path / "block.py", "a = 1")
    assert version_of(tmp_path / "block.py", "a = 2") == before


def test_two_files_of_one_name_count_both(tmp_path: Path) -> None:
    files = [tmp_path / name / "block.py" for name in ("one", "two")]
    alone = [version_of(file, f"a = '{file.parent.name}'") for file in files]
    assert provenance.code_version(files) not in alone


def test_a_module_that_a_users_file_brings_in_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "my_factors.py"
    helper.write_text("factor = 3")
    monkeypatch.syspath_prepend(tmp_path)
    version = version_of(tmp_path / "block.py", "from my_factors import factor")
    found = provenance.code([tmp_path / "block.py"])
    assert found["my_factors.py"] == meaning(b"factor = 3")
    changed = provenance.version_of(found | {"my_factors.py": meaning(b"factor = 4")})
    assert provenance.version_of(found) == version != changed


def test_what_decides_scores_counts_and_what_is_said_of_them_does_not() -> None:
    names = set(provenance.code())
    assert {
        "mer_nas.architectures.layers.experts",
        "mer_nas.training.augment",
        "mer_nas.training.fit",
        "mer_nas.evaluation.metrics",
        "mer_nas.rank_pooling",
    } <= names
    parts = {name.split(".")[1] for name in names}
    assert not parts & {"report", "search", "study", "cli", "space", "export", "provenance"}


def test_the_environment_can_be_written_down() -> None:
    found = provenance.environment()
    assert json.loads(json.dumps(found)) == found
    assert {"python", "cpu", "gpu", "packages", "code"} <= set(found)
    assert "torch" in found["packages"]  # type: ignore[operator]


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert provenance._checkout(tmp_path) == {}


@pytest.mark.parametrize("word", ["rev-parse", "no-such-verb"])
def test_a_git_that_fails_says_nothing(tmp_path: Path, word: str) -> None:
    assert provenance._git(tmp_path, word, "HEAD") is None

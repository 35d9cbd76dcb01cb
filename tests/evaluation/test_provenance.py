"""Which code and which machine a result comes from."""

import json
from pathlib import Path

import pytest

from mer_nas import provenance
from mer_nas.architectures import load_extensions


def test_the_code_version_is_the_same_twice() -> None:
    assert provenance.code_version() == provenance.code_version()
    assert len(provenance.code_version()) == 12


def test_a_users_file_counts_for_the_space_that_names_it_as_it_was_when_it_was_loaded(
    tmp_path: Path,
) -> None:
    plain, versions = provenance.code_version(), []
    for folder, text in (("one", "a = 1"), ("two", "a = 2"), ("three", "a = 1")):
        file = tmp_path / folder / "block.py"
        file.parent.mkdir()
        file.write_text(text)
        load_extensions([file])
        file.write_text("a = 3")
        versions.append(provenance.code_version([file]))
    assert versions[0] == versions[2]  # the same code, wherever it lies
    assert len({plain, *versions}) == 3
    assert provenance.code_version() == plain  # another space, in the same process


def test_every_part_whose_code_can_change_a_score_counts() -> None:
    names = {name for name, _ in provenance._scoring_files()}
    assert {name.split("/")[0] for name in names} == set(provenance.SCORING)
    assert {"rank_pooling.py", "training/fit.py", "architectures/experts.py"} <= names


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

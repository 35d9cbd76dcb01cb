"""Layouts keep what is promised of every layout, and a broken one is found out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.locate import Location
from mer_nas.data.annotations.read_records import DataSet
from mer_nas.data.checks.check import CheckReport
from mer_nas.data.synthesis import Synthesis
from mer_nas.data.synthesis.official import synthesize
from mer_nas.errors import ConfigError
from mer_nas.testing import check_layout, layout_checks, layouts

WRITTEN = get_args(Synthesis.model_fields["layout"].annotation)
"""Layouts of which there is a writer."""


def write(layout: str, root: Path) -> int:
    return synthesize(Synthesis(layout=layout, out=root, frames=5, size=32))  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", WRITTEN)
def test_our_layouts_keep_what_is_promised(layout: str) -> None:
    check_layout(layout, partial(write, layout))


@pytest.mark.parametrize("layout", Layout.names())
def test_the_counts_of_every_layout_add_up(layout: str) -> None:
    (check,) = [
        c for c in layout_checks(layout, partial(write, layout)) if c.name == "is_consistent"
    ]
    check()


def _miscounted(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Layout.read

    def wrong(name: str) -> Any:
        layout = read(name)
        return layout.model_copy(
            update={"official": layout.official.model_copy(update={"clips": 1})}
        )

    monkeypatch.setattr(Layout, "read", wrong)


def _bound_to_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    read = DataSet.read

    def less(location: Location) -> DataSet:
        found = read(location)
        elsewhere = "elsewhere" in str(location.folder)
        return replace(found, records=found.records[1:]) if elsewhere else found

    monkeypatch.setattr(DataSet, "read", less)


def _lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "labelled", lambda config: None)


def _blind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "check_data", lambda config: CheckReport({}, (), ()))


def _sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave everything as it is."""


def _one_more(root: Path) -> int:
    return write("casme2", root) + 1


def _one_damaged(root: Path) -> int:
    clips = write("casme2", root)
    next(root.rglob("*.jpg")).write_bytes(b"no image")
    return clips


Break = Callable[[pytest.MonkeyPatch], None]
BROKEN: list[tuple[Break, Callable[[Path], int], str]] = [
    (_miscounted, partial(write, "casme2"), "is_consistent"),
    (_sound, _one_more, "reads_what_is_written"),
    (_bound_to_a_folder, partial(write, "casme2"), "reads_the_same_elsewhere"),
    (_sound, _one_damaged, "passes_the_check"),
    (_lenient, partial(write, "casme2"), "names_a_clip_without_frames"),
    (_lenient, partial(write, "casme2"), "names_an_empty_image"),
    (_blind, partial(write, "casme2"), "names_a_damaged_image"),
    (_lenient, partial(write, "casme2"), "refuses_a_damaged_table"),
    (_lenient, partial(write, "casme2"), "refuses_an_empty_folder"),
]


@pytest.mark.parametrize(("spoil", "writer", "name"), BROKEN, ids=[name for *_, name in BROKEN])
def test_a_broken_layout_is_found_out(
    spoil: Break, writer: Callable[[Path], int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    (check,) = [check for check in layout_checks("casme2", writer) if check.name == name]
    with pytest.raises(AssertionError, match=f"^{name}: "):
        check()


def test_every_promise_is_broken_by_some_layout() -> None:
    checks = layout_checks("casme2", partial(write, "casme2"))
    assert {check.name for check in checks} == {name for *_, name in BROKEN}


def test_a_layout_that_is_not_there_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'casme2'"):
        check_layout("casme22", partial(write, "casme2"))

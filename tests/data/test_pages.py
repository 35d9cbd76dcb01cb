"""The page of a data set says what its layout and the files in its form say."""

import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from mer_nas.config import presets
from mer_nas.data.annotations.label_maps import LabelMap
from mer_nas.data.annotations.layouts import Layout, Release
from mer_nas.data.synthesis import Synthesis
from mer_nas.data.synthesis.official import synthesize

DOCS = Path(__file__).parents[2] / "docs"
SYNTHETIC = Synthesis.model_fields["layout"].annotation.__args__  # type: ignore[union-attr]
RECORDED = [name for name in Layout.names() if name != "manifest"]


@cache
def page(name: str) -> str:
    """The page of a layout: one for all data sets of the same people."""
    file = DOCS / "data_sets" / f"{Layout.read(name).people}.md"
    return file.read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def tree(text: str) -> list[str]:
    """The paths of the tree, without what is said beside them."""
    lines = re.findall(r"^    (\S.*)$", section(text, "The tree as it unpacks"), re.MULTILINE)
    return [re.split(r"  +", line)[0] for line in lines]


def numbers(name: str) -> dict[str, str]:
    """The column of a layout in the table of its page, by the words before each row."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section(page(name), "In numbers").splitlines()
        if line.startswith("| ")
    ]
    column = rows[0].index(f"`{name}`")
    return {row[0]: row[column] for row in rows[1:]}


@pytest.mark.parametrize("name", Layout.names())
def test_the_numbers_of_a_page_are_those_of_its_layout(name: str) -> None:
    layout, told = Layout.read(name), numbers(name)
    official = layout.official
    counted = [f"{emotion} {clips}" for emotion, clips in official.emotions.items()]
    expected = {
        "title": layout.title,
        "clips": f"{official.clips:,}" if official.clips else "not known",
        "subjects": f"{official.subjects:,}" if official.subjects else "not known",
        "frames a second": f"{layout.fps:g}" if layout.fps else "of each clip",
        "emotions": ", ".join(counted or layout.emotions or ["any"]),
        "counted in": official.source or "not known",
        "paper": layout.paper,
        "terms": layout.terms,
    }
    videos = told.pop("long videos", "none")
    assert told == expected
    assert videos == (f"{official.videos:,}" if official.videos else "none")


def test_the_numbers_of_the_flow_images_are_those_of_their_preset() -> None:
    text = (DOCS / "data_sets" / "megc2019_flow.md").read_text(encoding="utf-8")
    preset = presets.read("data", "megc2019_flow")
    told = dict(re.findall(r"^\| (\w+) \| (\d+) \|$", text, re.MULTILINE))
    assert {name: int(number) for name, number in told.items()} == preset["official"]
    assert preset["csv"] in tree(text)
    assert any(line.startswith(f"{preset['images']}/") for line in tree(text))


def shape(path: str) -> str:
    """A path whose numbers, and whose one letter for a film, may be any."""
    return re.sub(r"/[a-m]/", "/a/", re.sub(r"\d+", "0", path))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_what_is_written_in_the_form_of_a_data_set_is_in_the_tree_of_its_page(
    name: str, tmp_path: Path
) -> None:
    synthesize(Synthesis(layout=name, out=tmp_path / name, size=16, frames=3))
    files = [file for file in (tmp_path / name).rglob("*") if file.is_file()]
    written = {shape(file.relative_to(tmp_path / name).as_posix()) for file in files}
    assert written
    assert written <= {shape(line) for line in tree(page(name))}


def fits(layout: Layout, release: Release, line: str) -> bool:
    """Whether the folder of a line is one in which that release keeps a clip."""
    for folder in release.folders:
        for pattern in release.clips:
            parts = PurePosixPath(folder, pattern).parts
            found = PurePosixPath(line).parent.parts
            if len(parts) == len(found) and all(
                layout.matcher(part).fullmatch(name)
                for part, name in zip(parts, found, strict=True)
            ):
                return True
    return False


@pytest.mark.parametrize("name", RECORDED)
def test_a_page_shows_every_release_and_the_table_where_the_reader_looks(name: str) -> None:
    layout, lines = Layout.read(name), tree(page(name))
    for release in layout.releases:
        assert any(fits(layout, release, line) for line in lines), release.folders
    if layout.table is not None:
        assert any(fnmatch(PurePosixPath(line).name, layout.table.files[0]) for line in lines)


@pytest.mark.parametrize("name", RECORDED)
def test_a_page_says_how_to_apply_what_the_reader_does_and_where_it_is_from(name: str) -> None:
    text = page(name)
    for row in ("institution", "address", "form", "who signs", "usual wait"):
        assert re.search(rf"^\| {row} \| \S", section(text, "How to apply"), re.MULTILINE), row
    reader = section(text, "What the reader does")
    assert re.search(r"^State: \S", reader, re.MULTILINE)
    people = {other for other in RECORDED if page(other) == text}
    assert re.search(rf"data=({'|'.join(people)}) data\.root=DIR", reader)
    # Every number in brackets is a source, and every source is called for.
    told = {
        int(number) for cell in re.findall(r"\[([\d, ]+)\]", text) for number in cell.split(",")
    }
    listed = re.findall(r"^(\d+)\. \S", section(text, "Sources"), re.MULTILINE)
    assert told == {int(number) for number in listed}


@pytest.mark.parametrize("name", RECORDED)
def test_a_page_names_the_label_maps_of_its_layout(name: str) -> None:
    text = page(name)
    (said,) = re.findall(r"^\* Label maps?: (.*?)(?=^\* |^$|\Z)", text, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"`(\w+)`", said)) & set(LabelMap.names())
    here = {other for other in RECORDED if page(other) == text}
    assert told == {
        label for label in LabelMap.names() if here & set(LabelMap.read(label).emotions)
    }


@pytest.mark.parametrize("name", RECORDED)
def test_a_page_names_the_known_faults_of_its_layout(name: str) -> None:
    layout = Layout.read(name)
    faults = section(page(name), "Known faults")
    for quirk in layout.quirks:
        assert quirk.subject in faults
        assert all(value in faults for value in quirk.then.values())


def test_the_overview_leads_to_every_page() -> None:
    overview = (DOCS / "data_sets.md").read_text(encoding="utf-8")
    pages = {f"data_sets/{file.name}" for file in (DOCS / "data_sets").iterdir()}
    assert pages == set(re.findall(r"\]\((data_sets/\w+\.md)\)", overview))
    listed = re.findall(r"^(data_sets/\w+)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert pages == {f"{name}.md" for name in listed}

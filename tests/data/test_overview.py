"""What the documentation says of data sets is what their layouts say."""

import re
from pathlib import Path

import pytest
import yaml
from trees import images

from mer_nas.config import presets
from mer_nas.data.annotations import layouts
from mer_nas.data.annotations.label_maps import LabelMap
from mer_nas.data.annotations.layouts import Layout
from mer_nas.data.annotations.read_records import labelled
from mer_nas.data.checks.overview import overview
from mer_nas.data.config import RecordedData

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "data_sets.md").read_text(encoding="utf-8")


def test_the_table_is_current() -> None:
    head = "| data | data set | clips | subjects | fps | frames | apex | AUs | labels |"
    rule = "|---|---|---|---|---|---|---|---|---|"
    rows = [f"| {' | '.join(row)} |" for row in overview()]
    assert "\n".join([head, rule, *rows]) in TEXT


@pytest.mark.parametrize("name", layouts.Layout.names())
def test_every_layout_has_a_preset_of_its_own(name: str) -> None:
    tree = presets.read("data", name)
    assert (tree["kind"], tree["layouts"]) == ("recorded", [name])


def test_official_counts_add_up() -> None:
    for name in layouts.Layout.names():
        official = Layout.read(name).official
        for counts in (official.emotions, official.per_subject):
            assert sum(counts.values()) in {0, official.clips}, name
        assert len(official.per_subject) in {0, official.subjects}, name
    assert Layout.read("casme2").official.emotions["disgust"] == 63  # the table of 2014-05-08
    assert Layout.read("samm").official.per_subject["011"] == 20


@pytest.mark.parametrize("name", LabelMap.names())
def test_official_counts_of_label_maps_add_up_and_name_known_emotions(name: str) -> None:
    labels = LabelMap.read(name)
    assert labels.emotions
    for dataset, classes in labels.emotions.items():
        known = Layout.read(dataset).emotions
        assert {emotion for emotions in classes.values() for emotion in emotions} <= set(known)
    for dataset, counts in labels.official.items():
        assert list(counts) == ["clips", "subjects", *labels.emotions[dataset]]
        assert sum(counts.values()) == 2 * counts["clips"] + counts["subjects"]
    for dataset, per_subject in labels.per_subject.items():
        assert sum(per_subject.values()) == labels.official[dataset]["clips"]
        assert len(per_subject) == labels.official[dataset]["subjects"]


def test_the_label_map_of_the_documentation_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    shown = LabelMap.model_validate(yaml.safe_load(text))
    assert shown.classes(["casme2", "samm"]) == ("tense", "other")


def test_the_manifest_of_the_documentation_is_read(tmp_path: Path) -> None:
    page = (DOCS / "data_sets" / "manifest.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"(    path,subject.*\n    .*\n)", page)
    (tmp_path / "manifest.csv").write_text(re.sub("^    ", "", lines, flags=re.MULTILINE))
    images(tmp_path, "monday/clip1/f12..31.jpg")
    config = RecordedData(layouts=("manifest",), root=tmp_path, labels="as_annotated")
    (record,) = labelled(config).records
    assert (record.subject, record.apex, record.fps) == ("anna", 20, 60)

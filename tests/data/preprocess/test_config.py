"""The settings of the pipeline that the documentation names are those that there are."""

import re
from pathlib import Path

from mer_nas.config import presets
from mer_nas.data.preprocess.config import Magnification, Pipeline
from mer_nas.settings import resolve

DOCUMENT = (Path(__file__).parents[3] / "docs" / "preparing.md").read_text(encoding="utf-8")


def test_the_table_names_every_setting_and_its_default() -> None:
    table = DOCUMENT.partition("| step | setting |")[2].partition("\n\n")[0]
    cells = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")]
    told = {re.search(r"`([a-z]+):", cell)[1]: cell for cell in cells}  # type: ignore[index]
    assert set(told) == set(Pipeline.model_fields)
    assert f"`face: {Pipeline().face}`" in told["face"]
    assert f"`flow: {{kind: {Pipeline().flow.kind}}}`" in told["flow"]
    assert f"`apex: [{', '.join(Pipeline().apex)}]`" in told["apex"]
    for name, value in Magnification().model_dump().items():
        assert f"{name}: {value:g}" in told["magnify"]


def test_every_preset_of_recorded_clips_declares_its_pipeline() -> None:
    recorded = [
        name for name in presets.names("data") if presets.read("data", name)["kind"] == "recorded"
    ]
    assert {"casme2", "samm", "smic", "manifest"} <= set(recorded)
    for name in recorded:
        assert "pipeline" in presets.read("data", name)
        assert resolve([f"data={name}", "data.pipeline.align=none"]).data.pipeline.align is None  # type: ignore[union-attr]

"""Synthetic clips in the form of CASME II.

Odd as there: columns C and G without a header, frame numbers without padding, single action units
as numbers, five `?`, a `/` for an apex, an apex that is the onset, irregular names.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import RESERVED, Scene
from mer_nas.data.synthesis.studio import Cell, Studio, save_workbook

HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
    "Estimated Emotion",
)  # fmt: skip

NAMED = dict(zip(RESERVED["casme2"], ("EP12_01f", "EP09_05f"), strict=True))
"""By subject and emotion, the name of the clip that MEGC 2019 leaves out."""


def write(studio: Studio, scenes: Sequence[Scene], progress: Progress) -> None:
    """Write the frames and the coding file."""
    rows: list[Sequence[Cell]] = [HEADER]
    left = dict(NAMED)
    for scene in scenes:
        name = left.pop((scene.subject, scene.emotion), None) or _name(scene)
        onset = 261 if name == "EP12_01f" else 1 + 37 * scene.count % 200
        folder = studio.out / "CASME2_RAW_selected" / scene.subject / name
        take = studio.take(scene, onset, folder, "img{}.jpg")
        odd: dict[str, Cell] = {"EP12_01f": "/", "EP09_05f": take.onset}
        apex = odd.get(name, take.apex)
        units = "?" if scene.index % 50 == 10 else "+".join(take.units)
        rows.append(
            (
                f"{scene.number:02d}", name, None, take.onset, apex, take.offset, None,
                int(units) if units.isdecimal() else units, scene.emotion,
            )
        )  # fmt: skip
        progress(scene.index + 1, len(scenes))
    sheets = {"Sheet1": rows, "Sheet2": [], "Sheet3": []}
    save_workbook(studio.out / "CASME2-coding-20140508.xlsx", sheets)


def _name(scene: Scene) -> str:
    film = 1 + scene.count % 19
    if scene.index % 50 == 20:
        return f"EP{film:02d}_{scene.count}"
    return f"EP{film:02d}_{scene.count:02d}{'f' if scene.index % 2 else ''}"

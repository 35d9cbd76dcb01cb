"""Synthetic clips in the form of CASME II.

Odd as there: columns C and G without a header, frame numbers without padding, single action units
as numbers, five `?`, a `/` for an apex, an apex that is the onset, irregular names.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import RESERVED, PlannedClip
from mer_nas.data.synthesis.synthetic_writer import Cell, SyntheticWriter, save_workbook

HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
    "Estimated Emotion",
)  # fmt: skip

NAMED = dict(zip(RESERVED["casme2"], ("EP12_01f", "EP09_05f"), strict=True))
"""By subject and emotion, the name of the clip that MEGC 2019 leaves out."""


def write(writer: SyntheticWriter, clips: Sequence[PlannedClip], progress: Progress) -> None:
    """Write the frames and the coding file."""
    rows: list[Sequence[Cell]] = [HEADER]
    left = dict(NAMED)
    for clip in clips:
        name = left.pop((clip.subject, clip.emotion), None) or _name(clip)
        onset = 261 if name == "EP12_01f" else 1 + 37 * clip.count % 200
        folder = writer.out / "CASME2_RAW_selected" / clip.subject / name
        written = writer.write(clip, onset, folder, "img{}.jpg")
        odd: dict[str, Cell] = {"EP12_01f": "/", "EP09_05f": written.onset}
        apex = odd.get(name, written.apex)
        units = "?" if clip.index % 50 == 10 else "+".join(written.units)
        rows.append(
            (
                f"{clip.number:02d}", name, None, written.onset, apex, written.offset, None,
                int(units) if units.isdecimal() else units, clip.emotion,
            )
        )  # fmt: skip
        progress(clip.index + 1, len(clips))
    sheets = {"Sheet1": rows, "Sheet2": [], "Sheet3": []}
    save_workbook(writer.out / "CASME2-coding-20140508.xlsx", sheets)


def _name(clip: PlannedClip) -> str:
    film = 1 + clip.count % 19
    if clip.index % 50 == 20:
        return f"EP{film:02d}_{clip.count}"
    return f"EP{film:02d}_{clip.count:02d}{'f' if clip.index % 2 else ''}"

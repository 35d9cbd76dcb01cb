"""Synthetic clips in the form of SAMM.

Odd as there: the header in row 14, a formula for the duration, four digits in some clips and five
in others, action units with `or`, apexes outside their clips.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import PlannedClip
from mer_nas.data.synthesis.synthetic_writer import Cell, SyntheticWriter, save_workbook

TOP: tuple[Sequence[Cell], ...] = (
    ("Synthetic clips in the form of SAMM",),
    *[()] * 7,
    ("Key", "Meaning"),
    ("/", "or"),
    ("?", "unclear offset"),
    ("L2/R2", "one side only"),
    ("A2", "asymmetric"),
)
"""Rows 1 to 13."""

HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
    "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip

OUTSIDE = ("028_4_1", "032_3_1")
"""Clips whose apex is no frame of theirs."""


def write(writer: SyntheticWriter, clips: Sequence[PlannedClip], progress: Progress) -> None:
    """Write the frames and the codes."""
    rows: list[Sequence[Cell]] = [*TOP, HEADER]
    for clip in clips:
        name = f"{clip.subject}_{clip.count + 1}_1"
        digits = 4 if clip.index % 3 == 0 else 5
        pattern = f"{clip.subject}_{{:0{digits}d}}.jpg"
        folder = writer.out / "SAMM" / clip.subject / name
        written = writer.write(clip, 10 + 53 * clip.count, folder, pattern, grey=True)
        line = len(rows) + 1
        rows.append(
            (
                clip.subject, name, 1 + clip.count % 7, written.onset,
                written.apex + 1000 * (name in OUTSIDE), written.offset, f"=F{line}-D{line}+1",
                "Micro - 1/2", _units(clip, written.units), _spelled(clip.emotion), 7, None,
            )
        )  # fmt: skip
        progress(clip.index + 1, len(clips))
    save_workbook(writer.out / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": rows})


def _units(clip: PlannedClip, units: Sequence[str]) -> Cell:
    if clip.index % 32 == 5:
        return f"R{units[0]} or R15"
    text = "+".join(units)
    return int(text) if text.isdecimal() else text + " " * (clip.index % 11 == 4)


def _spelled(emotion: str) -> str:
    return "Other" if emotion == "others" else emotion.capitalize()

"""Synthetic clips in the form of SAMM.

Odd as there: the header in row 14, a formula for the duration, four digits in some clips and five
in others, action units with `or`, apexes outside their clips.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import Scene
from mer_nas.data.synthesis.studio import Cell, Studio, save_workbook

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


def write(studio: Studio, scenes: Sequence[Scene], progress: Progress) -> None:
    """Write the frames and the codes."""
    rows: list[Sequence[Cell]] = [*TOP, HEADER]
    for scene in scenes:
        name = f"{scene.subject}_{scene.count + 1}_1"
        digits = 4 if scene.index % 3 == 0 else 5
        pattern = f"{scene.subject}_{{:0{digits}d}}.jpg"
        folder = studio.out / "SAMM" / scene.subject / name
        take = studio.take(scene, 10 + 53 * scene.count, folder, pattern, grey=True)
        line = len(rows) + 1
        rows.append(
            (
                scene.subject, name, 1 + scene.count % 7, take.onset,
                take.apex + 1000 * (name in OUTSIDE), take.offset, f"=F{line}-D{line}+1",
                "Micro - 1/2", _units(scene, take.units), _spelled(scene.emotion), 7, None,
            )
        )  # fmt: skip
        progress(scene.index + 1, len(scenes))
    save_workbook(studio.out / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": rows})


def _units(scene: Scene, units: Sequence[str]) -> Cell:
    if scene.index % 32 == 5:
        return f"R{units[0]} or R15"
    text = "+".join(units)
    return int(text) if text.isdecimal() else text + " " * (scene.index % 11 == 4)


def _spelled(emotion: str) -> str:
    return "Other" if emotion == "others" else emotion.capitalize()

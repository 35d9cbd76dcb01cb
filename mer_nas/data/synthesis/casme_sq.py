"""Synthetic clips in the form of CAS(ME)^2.

Odd as there: no headers, people and films named by rules in further sheets, a code that Excel
would take for a number, macro-expressions among the rows, offsets of 0, one video in the folder of
someone else.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import CASME_SQ_SUBJECTS, PlannedClip
from mer_nas.data.synthesis.synthetic_writer import Cell, SyntheticWriter, save_workbook

FILMS = {
    "disgust1": ("0101", "disgustingteeth"),
    "disgust2": ("0102", "eatingworms"),
    "anger1": ("0401", "girlcrashing"),
    "anger2": ("0402", "beatingpregnantwoman"),
    "happy1": ("0502", "funnyerrors"),
    "happy2": ("0503", "unnyfarting"),
    "happy3": ("0505", "funnyinnovations"),
    "happy4": ("0507", "climbingthewall"),
    "happy5": ("0508", "funnydunkey"),
}
"""What was watched: its code and the end of its folder's name."""

MACRO = 300
"""Rows of macro-expressions in the official table, beside 57 of micro-expressions."""


def write(writer: SyntheticWriter, clips: Sequence[PlannedClip], progress: Progress) -> None:
    """Write the frames and the code."""
    rows: list[Sequence[Cell]] = []
    films = list(FILMS)
    for clip in clips:
        film = films[(3 + clip.count) % len(films)]
        code, title = FILMS[film]
        misfiled = clip.subject == "s23" and film == "happy1"
        owner = "s19" if misfiled else clip.subject
        folder = writer.out / "rawpic" / owner / f"{clip.number}_{code}{title}"
        written = writer.write(clip, 8 + 40 * clip.count, folder, "img{:03d}.jpg")
        offset = 0 if clip.index % 19 == 7 else written.offset
        units = ("\uff0c" if clip.index % 9 == 2 else "+").join(written.units)
        person = CASME_SQ_SUBJECTS.index(clip.number) + 1
        rows.append(
            (
                person, f"{film}_{clip.count}", written.onset, written.apex, offset, units,
                clip.emotion, "micro-expression", film.rstrip("12345"),
            )
        )  # fmt: skip
        progress(clip.index + 1, len(clips))
    people = [(number, f"s{number}", index) for index, number in enumerate(CASME_SQ_SUBJECTS, 1)]
    sheets: dict[str, Sequence[Sequence[Cell]]] = {
        "CASFEcode_final": [*_macro(len(clips)), *rows],
        "naming rule1": people,
        "naming rule2": [(code, film) for film, (code, _) in FILMS.items()],
    }
    save_workbook(writer.out / "CAS(ME)^2code_final(Updated).xlsx", sheets)


def _macro(micro: int) -> list[Sequence[Cell]]:
    """Return rows that are no micro-expressions, in the official proportion."""
    return [
        (
            1 + index % 22, f"happy1_{index}", 10 * index + 1, 10 * index + 5, 10 * index + 40,
            "12", "positive", "macro-expression", "happiness",
        )
        for index in range(MACRO * micro // 57)
    ]  # fmt: skip

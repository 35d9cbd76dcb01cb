"""Synthetic clips in the form of CAS(ME)^2.

Odd as there: no headers, people and films named by rules in further sheets, a code that Excel
would take for a number, macro-expressions among the rows, offsets of 0, one video in the folder of
someone else.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import CASME_SQ_SUBJECTS, Scene
from mer_nas.data.synthesis.studio import Cell, Studio, save_workbook

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


def write(studio: Studio, scenes: Sequence[Scene], progress: Progress) -> None:
    """Write the frames and the code."""
    rows: list[Sequence[Cell]] = []
    films = list(FILMS)
    for scene in scenes:
        film = films[(3 + scene.count) % len(films)]
        code, title = FILMS[film]
        misfiled = scene.subject == "s23" and film == "happy1"
        owner = "s19" if misfiled else scene.subject
        folder = studio.out / "rawpic" / owner / f"{scene.number}_{code}{title}"
        take = studio.take(scene, 8 + 40 * scene.count, folder, "img{:03d}.jpg")
        offset = 0 if scene.index % 19 == 7 else take.offset
        units = ("\uff0c" if scene.index % 9 == 2 else "+").join(take.units)
        person = CASME_SQ_SUBJECTS.index(scene.number) + 1
        rows.append(
            (
                person, f"{film}_{scene.count}", take.onset, take.apex, offset, units,
                scene.emotion, "micro-expression", film.rstrip("12345"),
            )
        )  # fmt: skip
        progress(scene.index + 1, len(scenes))
    people = [(number, f"s{number}", index) for index, number in enumerate(CASME_SQ_SUBJECTS, 1)]
    sheets: dict[str, Sequence[Sequence[Cell]]] = {
        "CASFEcode_final": [*_macro(len(scenes)), *rows],
        "naming rule1": people,
        "naming rule2": [(code, film) for film, (code, _) in FILMS.items()],
    }
    save_workbook(studio.out / "CAS(ME)^2code_final(Updated).xlsx", sheets)


def _macro(micro: int) -> list[Sequence[Cell]]:
    """Return rows that are no micro-expressions, in the official proportion."""
    return [
        (
            1 + index % 22, f"happy1_{index}", 10 * index + 1, 10 * index + 5, 10 * index + 40,
            "12", "positive", "macro-expression", "happiness",
        )
        for index in range(MACRO * micro // 57)
    ]  # fmt: skip

"""Synthetic clips in the form of part A of CAS(ME)^3.

Odd as there: every cell a text, frames without padding in long videos of several clips, `Others`
beside `others`, offsets of 0, one film with a capital letter, and clips with known faults.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import Scene
from mer_nas.data.synthesis.studio import Cell, Studio, Take, save_workbook

HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")

FILMS = "abcdefghijklm"

SPELLED = {"sadness": "sad", "happiness": "happy"}

FAULTY = {("spNO.216", 1): "d", ("spNO.149", 1): "d", ("spNO.214", 1): "c"}
"""Film of the clips that are written with their known faults."""


def write(studio: Studio, scenes: Sequence[Scene], progress: Progress) -> None:
    """Write the frames and the labels."""
    rows: list[Sequence[Cell]] = [HEADER]
    root = studio.out / "part_A" / "data" / "part_A_split" / "part_A"
    capital = 0
    for scene in scenes:
        film = _film(scene)
        take = studio.take(scene, _onset(scene), root / scene.subject / film / "color", "{}.jpg")
        onset, apex, offset = _written(scene, take)
        emotion = SPELLED.get(scene.emotion, scene.emotion)
        if emotion == "others" and capital < 3:
            emotion, capital = "Others", capital + 1
        rows.append(
            (scene.subject, film, onset, apex, offset, "+".join(take.units), "VII", emotion)
        )
        progress(scene.index + 1, len(scenes))
    table = studio.out / "annotation" / "partA" / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    save_workbook(table, {"label": rows})


def _film(scene: Scene) -> str:
    film = FAULTY.get((scene.subject, scene.count))
    if film is None and scene.subject == "spNO.40":
        film = "e"
    film = film or FILMS[scene.count // 2 % len(FILMS)]
    return "J" if (scene.subject, scene.count) == ("spNO.3", 2) else film


def _onset(scene: Scene) -> int:
    known = {"spNO.216": 2647, "spNO.149": 122, "spNO.214": 30}
    return known.get(scene.subject, 355) + 60 * (scene.count - 1)


def _written(scene: Scene, take: Take) -> tuple[str, str, str]:
    """Return onset, apex and offset as the table has them, faults and all."""
    onset, apex, offset = take.onset, take.apex, take.offset
    match scene.subject, scene.count:
        case "spNO.216", 1:
            onset += 1000
        case "spNO.149", 1:
            apex = 83
        case "spNO.214", 1:
            offset = 3460
        case "spNO.40", 1 | 2:
            offset = 0
    return str(onset), str(apex), str(offset)

"""Synthetic clips in the form of part A of CAS(ME)^3.

Odd as there: every cell a text, frames without padding in long videos of several clips, `Others`
beside `others`, offsets of 0, one film with a capital letter, and clips with known faults.
"""

from collections.abc import Sequence

from mer_nas.data.synthesis import Progress
from mer_nas.data.synthesis.population import PlannedClip
from mer_nas.data.synthesis.synthetic_writer import (
    Cell,
    SyntheticWriter,
    WrittenClip,
    save_workbook,
)

HEADER = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")

FILMS = "abcdefghijklm"

SPELLED = {"sadness": "sad", "happiness": "happy"}

FAULTY = {("spNO.216", 1): "d", ("spNO.149", 1): "d", ("spNO.214", 1): "c"}
"""Film of the clips that are written with their known faults."""


def write(writer: SyntheticWriter, clips: Sequence[PlannedClip], progress: Progress) -> None:
    """Write the frames and the labels."""
    rows: list[Sequence[Cell]] = [HEADER]
    root = writer.out / "part_A" / "data" / "part_A_split" / "part_A"
    capital = 0
    for clip in clips:
        film = _film(clip)
        written = writer.write(clip, _onset(clip), root / clip.subject / film / "color", "{}.jpg")
        onset, apex, offset = _written(clip, written)
        emotion = SPELLED.get(clip.emotion, clip.emotion)
        if emotion == "others" and capital < 3:
            emotion, capital = "Others", capital + 1
        rows.append(
            (clip.subject, film, onset, apex, offset, "+".join(written.units), "VII", emotion)
        )
        progress(clip.index + 1, len(clips))
    table = writer.out / "annotation" / "partA" / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    save_workbook(table, {"label": rows})


def _film(clip: PlannedClip) -> str:
    film = FAULTY.get((clip.subject, clip.count))
    if film is None and clip.subject == "spNO.40":
        film = "e"
    film = film or FILMS[clip.count // 2 % len(FILMS)]
    return "J" if (clip.subject, clip.count) == ("spNO.3", 2) else film


def _onset(clip: PlannedClip) -> int:
    known = {"spNO.216": 2647, "spNO.149": 122, "spNO.214": 30}
    return known.get(clip.subject, 355) + 60 * (clip.count - 1)


def _written(clip: PlannedClip, written: WrittenClip) -> tuple[str, str, str]:
    """Return onset, apex and offset as the table has them, faults and all."""
    onset, apex, offset = written.onset, written.apex, written.offset
    match clip.subject, clip.count:
        case "spNO.216", 1:
            onset += 1000
        case "spNO.149", 1:
            apex = 83
        case "spNO.214", 1:
            offset = 3460
        case "spNO.40", 1 | 2:
            offset = 0
    return str(onset), str(apex), str(offset)

"""The official forms of the licensed data sets, each with what is odd about it."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from mer_nas.data.synthesis import Synthesis
from mer_nas.data.synthesis.population import (
    CASME_SQ_SUBJECTS,
    RESERVED_CLIPS,
    PlannedClip,
    population,
)
from mer_nas.data.synthesis.synthetic_writer import Cell, SyntheticWriter
from mer_nas.errors import DataError, system_said

_Progress = Callable[[int, int], None]
"""Is told how many of how many clips are written."""


def synthesize(synthesis: Synthesis, progress: _Progress = lambda done, of: None) -> int:
    """Write the data set and return how many clips it has.

    Raises:
        DataError: The folder holds something, or cannot be written.
    """
    write = {
        "casme2": _write_casme2,
        "samm": _write_samm,
        "smic": _write_smic,
        "casme_sq": _write_casme_sq,
        "casme3": _write_casme3,
    }[synthesis.layout]
    out = synthesis.out.expanduser()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError(f"out: {out} is not empty; a folder that is, or a new one, would be right")
    clips = population(synthesis.layout, official=synthesis.counts == "official")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write(SyntheticWriter(synthesis, out), _told(clips, progress))
    except OSError as error:
        raise DataError(f"out: {out} cannot be written: {system_said(error)}") from None
    return len(clips)


def _told(clips: Sequence[PlannedClip], progress: _Progress) -> Iterator[PlannedClip]:
    """Yield each clip, and say so once it is written."""
    for done, clip in enumerate(clips, start=1):
        yield clip
        progress(done, len(clips))


_CASME2_HEADER = (
    "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
    "Estimated Emotion",
)  # fmt: skip

_CASME2_NAMED = dict(zip(RESERVED_CLIPS["casme2"], ("EP12_01f", "EP09_05f"), strict=True))
"""By subject and emotion, the name of the clip that MEGC 2019 leaves out."""


def _write_casme2(writer: SyntheticWriter, clips: Iterable[PlannedClip]) -> None:
    """Write the frames and the coding file of CASME II.

    Odd as there: columns C and G without a header, frame numbers without padding, single action
    units as numbers, five `?`, a `/` for an apex, an apex that is the onset, irregular names.
    """
    rows: list[Sequence[Cell]] = [_CASME2_HEADER]
    left = dict(_CASME2_NAMED)
    for clip in clips:
        name = left.pop((clip.subject, clip.emotion), None) or _casme2_name(clip)
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
    sheets = {"Sheet1": rows, "Sheet2": [], "Sheet3": []}
    writer.save_workbook("CASME2-coding-20140508.xlsx", sheets)


def _casme2_name(clip: PlannedClip) -> str:
    film = 1 + clip.count % 19
    if clip.index % 50 == 20:
        return f"EP{film:02d}_{clip.count}"
    return f"EP{film:02d}_{clip.count:02d}{'f' if clip.index % 2 else ''}"


_SAMM_TOP: tuple[Sequence[Cell], ...] = (
    ("Synthetic clips in the form of SAMM",),
    *[()] * 7,
    ("Key", "Meaning"),
    ("/", "or"),
    ("?", "unclear offset"),
    ("L2/R2", "one side only"),
    ("A2", "asymmetric"),
)
"""Rows 1 to 13."""

_SAMM_HEADER = (
    "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
    "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
)  # fmt: skip

_SAMM_OUTSIDE = ("028_4_1", "032_3_1")
"""Clips whose apex is no frame of theirs."""


def _write_samm(writer: SyntheticWriter, clips: Iterable[PlannedClip]) -> None:
    """Write the frames and the codes of SAMM.

    Odd as there: the header in row 14, a formula for the duration, four digits in some clips and
    five in others, action units with `or`, apexes outside their clips.
    """
    rows: list[Sequence[Cell]] = [*_SAMM_TOP, _SAMM_HEADER]
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
                written.apex + 1000 * (name in _SAMM_OUTSIDE), written.offset,
                f"=F{line}-D{line}+1", "Micro - 1/2", _samm_units(clip, written.units),
                _samm_spelled(clip.emotion), 7, None,
            )
        )  # fmt: skip
    writer.save_workbook("SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": rows})


def _samm_units(clip: PlannedClip, units: Sequence[str]) -> Cell:
    if clip.index % 32 == 5:
        return f"R{units[0]} or R15"
    text = "+".join(units)
    return int(text) if text.isdecimal() else text + " " * (clip.index % 11 == 4)


def _samm_spelled(emotion: str) -> str:
    return "Other" if emotion == "others" else emotion.capitalize()


_SMIC_SHORT = {"negative": "ne", "positive": "po", "surprise": "sur"}


def _write_smic(writer: SyntheticWriter, clips: Iterable[PlannedClip]) -> None:
    """Write the frames, which say everything of SMIC-HS.

    Odd as there: no table, frames that are counted on from clip to clip in six digits, and in
    eight for one subject, folders of clips without an expression beside the others.
    """
    counted = 92367
    for clip in clips:
        person = writer.out / "SMIC_all_raw" / "HS" / clip.subject
        name = f"{clip.subject}_{_SMIC_SHORT[clip.emotion]}_{clip.count:02d}"
        pattern = "image{:08d}.bmp" if clip.subject == "s20" else "image{:06d}.bmp"
        writer.write(clip, counted, person / "micro" / clip.emotion / name, pattern)
        if clip.count == 1:
            still = person / "non_micro" / f"{clip.subject}_non_01"
            writer.write(clip, 1, still, pattern)
        counted += writer.frames + 100


_CASME_SQ_FILMS = {
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

_CASME_SQ_MACRO = 300
"""Rows of macro-expressions in the official table, beside 57 of micro-expressions."""


def _write_casme_sq(writer: SyntheticWriter, clips: Iterable[PlannedClip]) -> None:
    """Write the frames and the code of CAS(ME)^2.

    Odd as there: no headers, people and films named by rules in further sheets, a code that Excel
    would take for a number, macro-expressions among the rows, offsets of 0, one video in the
    folder of someone else.
    """
    rows: list[Sequence[Cell]] = []
    films = list(_CASME_SQ_FILMS)
    for clip in clips:
        film = films[(3 + clip.count) % len(films)]
        code, title = _CASME_SQ_FILMS[film]
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
    people = [(number, f"s{number}", index) for index, number in enumerate(CASME_SQ_SUBJECTS, 1)]
    sheets: dict[str, Sequence[Sequence[Cell]]] = {
        "CASFEcode_final": [*_casme_sq_macro(len(rows)), *rows],
        "naming rule1": people,
        "naming rule2": [(code, film) for film, (code, _) in _CASME_SQ_FILMS.items()],
    }
    writer.save_workbook("CAS(ME)^2code_final(Updated).xlsx", sheets)


def _casme_sq_macro(micro: int) -> list[Sequence[Cell]]:
    """Return rows that are no micro-expressions, in the official proportion."""
    return [
        (
            1 + index % 22, f"happy1_{index}", 10 * index + 1, 10 * index + 5, 10 * index + 40,
            "12", "positive", "macro-expression", "happiness",
        )
        for index in range(_CASME_SQ_MACRO * micro // 57)
    ]  # fmt: skip


_CASME3_HEADER = (
    "Subject",
    "Filename",
    "Onset",
    "Apex",
    "Offset",
    "AU",
    "Objective class",
    "emotion",
)

_CASME3_FILMS = "abcdefghijklm"

_CASME3_SPELLED = {"sadness": "sad", "happiness": "happy"}

_CASME3_FAULTY = {("spNO.216", 1): "d", ("spNO.149", 1): "d", ("spNO.214", 1): "c"}
"""Film of the clips that are written with their known faults."""


def _write_casme3(writer: SyntheticWriter, clips: Iterable[PlannedClip]) -> None:
    """Write the frames and the labels of CAS(ME)^3.

    Odd as there: every cell a text, frames without padding in long videos of several clips,
    `Others` beside `others`, offsets of 0, one film with a capital letter, and clips with known
    faults.
    """
    rows: list[Sequence[Cell]] = [_CASME3_HEADER]
    root = writer.out / "part_A" / "data" / "part_A_split" / "part_A"
    capital = 0
    for clip in clips:
        film = _casme3_film(clip)
        written = writer.write(
            clip, _casme3_onset(clip), root / clip.subject / film / "color", "{}.jpg"
        )
        moments = _casme3_written(clip, written.onset, written.apex, written.offset)
        emotion = _CASME3_SPELLED.get(clip.emotion, clip.emotion)
        if emotion == "others" and capital < 3:
            emotion, capital = "Others", capital + 1
        rows.append((clip.subject, film, *moments, "+".join(written.units), "VII", emotion))
    table = "annotation/partA/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    writer.save_workbook(table, {"label": rows})


def _casme3_film(clip: PlannedClip) -> str:
    film = _CASME3_FAULTY.get((clip.subject, clip.count))
    if film is None and clip.subject == "spNO.40":
        film = "e"
    film = film or _CASME3_FILMS[clip.count // 2 % len(_CASME3_FILMS)]
    return "J" if (clip.subject, clip.count) == ("spNO.3", 2) else film


def _casme3_onset(clip: PlannedClip) -> int:
    known = {"spNO.216": 2647, "spNO.149": 122, "spNO.214": 30}
    return known.get(clip.subject, 355) + 60 * (clip.count - 1)


def _casme3_written(clip: PlannedClip, onset: int, apex: int, offset: int) -> tuple[str, str, str]:
    """Return onset, apex and offset as the table has them, faults and all."""
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

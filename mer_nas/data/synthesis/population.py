"""Who shows which emotion: a handful of clips, or the counts of a real data set.

The official counts are those of the layouts and label maps: clips of each subject, of each
emotion, and of each subject in the composite of MEGC 2019. Which subject shows which emotion is
dealt out so that all of them hold; it is not that of the real set.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mer_nas.data.annotations.label_maps import LabelMap
from mer_nas.data.annotations.layouts import Layout

_FEW = {
    "casme2": ("sub01", "sub02", "sub04", "sub05"),
    "samm": ("006", "007", "028", "032"),
    "smic": ("s1", "s3", "s9", "s20"),
    "casme_sq": ("s15", "s19", "s23"),
    "casme3": ("spNO.1", "spNO.3", "spNO.40", "spNO.216"),
}
"""Subjects of a small set; among them those with odd clips."""

RESERVED_CLIPS = {"casme2": (("sub04", "disgust"), ("sub05", "disgust"))}
"""Clips that MEGC 2019 leaves out although their emotion is in its map."""

_ONLY = {"samm": {"024": ("fear",), "036": ("sadness",)}}
"""Two subjects of SAMM have no clip in the map of five classes."""

_CASME_SQ = {"negative": 21, "others": 18, "surprise": 9, "positive": 9}
"""Emotions of CAS(ME)^2's 57 clips: assumed, for the real ones are not published."""

CASME_SQ_SUBJECTS = (15, 16, *range(19, 28), *range(29, 39), 40)
"""Numbers of its subjects' folders, in the order of its first naming rule."""

_CASME3_SUBJECTS = (*range(1, 92), 149, 214, 216)
"""94 numbers of subjects, among them all that a known fault names."""

_CASME3_OTHERS_ONLY = 6
"""Subjects of CAS(ME)^3 without a clip in the map of three classes."""


@dataclass(frozen=True)
class PlannedClip:
    """A clip that is to be made."""

    subject: str
    emotion: str
    """In the layout's spelling."""
    index: int
    """Among all clips."""
    count: int
    """Among those of its subject, from 1."""

    @property
    def number(self) -> int:
        """The number of the subject."""
        return int("".join(filter(str.isdecimal, self.subject)))


def population(name: str, *, official: bool) -> list[PlannedClip]:
    """Return the clips of a data set, by subject.

    Args:
        name: The layout.
        official: Whether it is as large as the real one.
    """
    dealt = _official(Layout.read(name)) if official else _few(Layout.read(name))
    counts: Counter[str] = Counter()
    clips = []
    for index, (subject, emotion) in enumerate(sorted(dealt, key=lambda pair: pair[0])):
        counts[subject] += 1
        clips.append(PlannedClip(subject, emotion, index, counts[subject]))
    return clips


def _few(layout: Layout) -> list[tuple[str, str]]:
    emotions = list(layout.emotions)
    reserved = RESERVED_CLIPS.get(layout.name, ())
    dealt = [
        (subject, emotions[(4 * place + turn) % len(emotions)])
        for place, subject in enumerate(_FEW[layout.name])
        for turn in range(4)
    ]
    return [*reserved, *dealt]


def _official(layout: Layout) -> list[tuple[str, str]]:
    pool = layout.official.emotions or _CASME_SQ
    sizes = _sizes(layout)
    reserved = RESERVED_CLIPS.get(layout.name, ())
    taken = Counter(subject for subject, _ in reserved)
    inside, mapped = _composite(layout, sizes)
    within = {name: number for name, number in pool.items() if name in mapped}
    without = {name: number for name, number in pool.items() if name not in mapped}
    outside = {
        subject: sizes[subject] - inside.get(subject, 0) - taken[subject] for subject in sizes
    }
    for _, emotion in reserved:
        within[emotion] -= 1
    return [
        *reserved,
        *_deal(within, inside, _ONLY.get(layout.name, {})),
        *_deal(without, outside),
    ]


def _sizes(layout: Layout) -> Mapping[str, int]:
    """Return how many clips each subject has."""
    if layout.official.per_subject:
        return layout.official.per_subject
    numbers = _CASME3_SUBJECTS if layout.name == "casme3" else CASME_SQ_SUBJECTS
    people = [layout.subject.format(number) for number in numbers]
    assert layout.official.clips is not None
    return dict(zip(people, _even(layout.official.clips, len(people)), strict=True))


def _composite(layout: Layout, sizes: Mapping[str, int]) -> tuple[Mapping[str, int], set[str]]:
    """Return how many clips of each subject have one of three classes, and which emotions do."""
    labels = LabelMap.read("megc2019")
    if layout.name in labels.emotions:
        mapped = {name for names in labels.emotions[layout.name].values() for name in names}
        return labels.per_subject[layout.name], mapped
    if layout.name != "casme3":
        return sizes, set(layout.emotions)
    three = LabelMap.read("three")
    mapped = {name for names in three.emotions["casme3"].values() for name in names}
    some = list(sizes)[:-_CASME3_OTHERS_ONLY]
    total = three.official["casme3"]["clips"]
    return dict(zip(some, _even(total, len(some)), strict=True)), mapped


def _even(total: int, parts: int) -> list[int]:
    """Divide `total` into whole numbers that differ by 1 at most.

    >>> _even(8, 3)
    [3, 3, 2]
    """
    return [total // parts + (place < total % parts) for place in range(parts)]


def _deal(
    pool: Mapping[str, int],
    sizes: Mapping[str, int],
    only: Mapping[str, Collection[str]] | None = None,
) -> Iterable[tuple[str, str]]:
    """Deal the emotions of a pool out to subjects, those with few clips first.

    Each clip takes the emotion of which most are left, so that large subjects show several.

    >>> list(_deal({"fear": 1, "anger": 2}, {"a": 2, "b": 1}, only={"b": ("fear",)}))
    [('b', 'fear'), ('a', 'anger'), ('a', 'anger')]
    """
    left = dict(pool)
    limits = only or {}
    assert sum(left.values()) == sum(sizes.values())
    first = sorted(sizes, key=lambda subject: (subject not in limits, sizes[subject], subject))
    for subject in first:
        for _ in range(sizes[subject]):
            allowed = [name for name in left if name in limits.get(subject, left)]
            emotion = max(allowed, key=lambda name: (left[name], name))
            left[emotion] -= 1
            yield subject, emotion

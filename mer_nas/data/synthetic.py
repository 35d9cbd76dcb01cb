"""Clips of faces that nobody has, whose expressions are known.

Each clip is two frames, onset and apex, of a rendered face; between them the skin moves by the
action units of its class, the head moves as a whole, the light changes and the sensor adds noise.
What a network sees is the optical flow that OpenCV finds between the two. The class proportions
are those of the MEGC 2019 composite, and the subjects have unequal numbers of clips, as there.

What tells the classes apart is the form of a motion, not its place or its direction: every class
has a form around the eyes and one around the mouth, and some clips catch the expression on its
way back. So no weighting of single pixels separates them, but a network that looks for patterns
can.

Subjects have identity, as people have: a face, a place in the picture, a more mobile side, an
unequal share of the classes, a habit of the head that goes with each expression (one nods where
another draws back), and whether they are mostly caught as it comes or as it goes. Who has seen a
subject can use that; who meets a new one cannot. So clips must not be divided at random, and a
test shows by how much that would flatter.

Everything is drawn from the seed; a subject and a clip have generators of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import FLOW, Clip, ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.faces import Face, Field, Motion, draw_face, frame, portrait
from mer_nas.data.flow import flow_uvs, one_thread
from mer_nas.data.motions import BLINK, EXPRESSIONS, expression, head, sway
from mer_nas.errors import DataError

CLASSES = tuple(EXPRESSIONS)

COMPOSITE = (250, 109, 83)
"""Clips of each class in the MEGC 2019 composite."""

UNIT = (1.0, 1.0, 0.2)
"""What u, v (in pixels of the frames) and strain are divided by, to come out of the order of 1."""

KNOTS = 4
"""A head's motion in depth is given at this many points along each side of the image."""

Image = NDArray[np.uint8]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Difficulty:
    """What the one knob of the data set means."""

    motion: float
    """Typical size of an expression's motion, in pixels of the frames."""
    head: float
    """Standard deviation of the head's motion, in pixels."""
    habit: float
    """The same of the part of it that goes with a subject's expression, in pixels."""
    place: float
    """Largest distance of a subject's face from the middle of the picture, in pixels."""
    noise: float
    """Standard deviation of the sensor's noise, in grey levels."""
    blinks: float
    """Share of the clips in which the subject happens to blink."""

    @classmethod
    def at(cls, knob: float) -> "Difficulty":
        """Return the meaning of `knob`, in [0, 1]."""
        return cls(
            motion=6 - 4 * knob**2,
            head=0.4 * knob,
            habit=0.25 * knob,
            place=27 * knob,
            noise=3 * knob,
            blinks=0.4 * knob,
        )


@dataclass(frozen=True)
class Subject:
    """A person: a face and ways of moving it."""

    name: str
    face: Face
    balance: float
    """Which side moves more; see `motions.expression`."""
    place: NDArray[np.float64]
    """(4,): where the face is in the picture (two), its turn and zoom, each in [-1, 1]."""
    habits: NDArray[np.float64]
    """(classes, 2, KNOTS, KNOTS): the head's motion with each expression, deviation about 1."""
    fading: NDArray[np.float64]
    """(classes,): share of the clips that catch the expression on its way back."""
    leaning: NDArray[np.float64]
    """(classes,): how readily this person shows each class."""


def load(config: SyntheticData) -> ClipSet:
    """Render the set and compute its flow.

    Raises:
        DataError: Fewer than two clips a subject.
    """
    if config.clips < 2 * config.subjects:
        raise DataError(
            f"{config.name}: data.clips={config.clips} leaves fewer than 2 clips for each of "
            f"{config.subjects} subjects; at least {2 * config.subjects}"
        )
    people = [draw_subject(config, index) for index in range(config.subjects)]
    owners, labels = _schedule(config, people)
    hardness = Difficulty.at(config.difficulty)
    clips: list[Clip] = []
    flows = []
    with one_thread():
        portraits = [portrait(person.face) for person in people]
        for index, (owner, label) in enumerate(zip(owners, labels, strict=True)):
            rng = np.random.default_rng([config.seed, 2, index])
            pair = record(people[owner], portraits[owner], label, hardness, rng)
            flows.append(flow_uvs(*pair, config.size))
            name = f"{CLASSES[label][:3]}_{index:03d}"
            clips.append(
                Clip(config.name, people[owner].name, name, label, emotion=CLASSES[label])
            )
    scaled = np.stack(flows) / np.array(UNIT, dtype=np.float32)[:, None, None]
    return ClipSet(
        config.name,
        CLASSES,
        tuple(clips),
        {FLOW: scaled.astype(np.float32)},
        scaling={FLOW: f"u, v (pixels of the frame) and strain divided by {UNIT}"},
    )


def draw_subject(config: SyntheticData, index: int) -> Subject:
    """Return the subject of that index."""
    rng = np.random.default_rng([config.seed, 1, index])
    return Subject(
        name=f"s{index + 1:02d}",
        face=draw_face(rng),
        balance=float(rng.uniform(-0.3, 0.3)),
        place=rng.uniform(-1, 1, 4),
        habits=rng.standard_normal((len(CLASSES), 2, KNOTS, KNOTS)),
        fading=rng.choice([0.2, 0.8], size=len(CLASSES)),
        leaning=rng.gamma(2.0, size=len(CLASSES)),
    )


def record(
    person: Subject, image: Field, label: int, hard: Difficulty, rng: np.random.Generator
) -> tuple[Image, Image]:
    """Return the onset and the apex frame of one clip.

    Args:
        person: Who shows the expression.
        image: The person's portrait.
        label: Which class is shown.
        hard: How hard it is to see.
        rng: Draws what differs from clip to clip.
    """
    place = hard.place * person.place + 4 * rng.uniform(-1, 1, 4)
    start = head((place[0], place[1]), turn=place[2] / 4, zoom=place[3] / 4)
    knots = hard.head * rng.standard_normal((2, KNOTS, KNOTS))
    motions = [
        start,
        sway(knots + hard.habit * person.habits[label]),
        _skin(person, label, hard, rng),
    ]
    gains = 1 + 0.02 * rng.standard_normal(2)
    onset = frame(image, start, gains[0], hard.noise, rng)
    apex = frame(image, _sum(motions), gains[1], hard.noise, rng)
    return onset, apex


def _skin(person: Subject, label: int, hard: Difficulty, rng: np.random.Generator) -> Motion:
    """Return the motion of the skin: the expression, and perhaps a blink."""
    ways = EXPRESSIONS[CLASSES[label]]
    units = ways[rng.integers(len(ways))]
    size = hard.motion * np.exp(rng.uniform(-0.4, 0.4))
    if rng.random() < person.fading[label]:
        size = -size
    skin = expression(person.face, units, size, person.balance)
    if rng.random() < hard.blinks:
        skin = _sum([skin, expression(person.face, (BLINK,), 1.5, balance=0.0)])
    return skin


def _sum(motions: Sequence[Motion]) -> Motion:
    right, down = zip(*motions, strict=True)
    return np.sum(right, axis=0), np.sum(down, axis=0)


def _schedule(config: SyntheticData, people: list[Subject]) -> tuple[list[int], list[int]]:
    """Return the subject and the class of every clip."""
    rng = np.random.default_rng([config.seed, 0])
    shares = 1 / np.arange(2, config.subjects + 2) ** 0.8
    sizes = 2 + _portions(config.clips - 2 * config.subjects, shares)
    left = _portions(config.clips, np.array(COMPOSITE, dtype=np.float64))
    owners = np.repeat(np.arange(config.subjects), sizes)
    labels = np.zeros(len(owners), dtype=np.int64)
    for slot in rng.permutation(len(owners)):
        wish = left * people[owners[slot]].leaning
        labels[slot] = rng.choice(len(CLASSES), p=wish / wish.sum())
        left[labels[slot]] -= 1
    return owners.tolist(), labels.tolist()


def _portions(total: int, shares: NDArray[np.float64]) -> Counts:
    """Divide `total` by `shares` into whole numbers, the largest remainders rounded up.

    >>> _portions(442, np.array([250.0, 109.0, 83.0])).tolist()
    [250, 109, 83]
    >>> _portions(5, np.array([1.0, 1.0, 1.0])).tolist()
    [2, 2, 1]
    """
    exact = total * shares / shares.sum()
    whole: Counts = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole

"""Clips of faces that nobody has, whose expressions are known.

Each clip shows a rendered face whose skin moves by the action units of its class, from rest at
the onset to the apex and back at the offset; meanwhile the head moves as a whole, the light
changes and the sensor adds noise. What a network sees is computed from the frames by `inputs`, as
for recorded clips; frames that nothing asks for are not rendered. The class proportions are those
of the MEGC 2019 composite, and the subjects have unequal numbers of clips, as there.

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

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mer_nas.data.clips import ClipSet
from mer_nas.data.config import SyntheticData
from mer_nas.data.needs import Needs
from mer_nas.data.preprocess.config import Farneback, Pipeline, Preparation
from mer_nas.data.preprocess.flow import one_thread
from mer_nas.data.preprocess.make_inputs import SCALING, Moment, Share, make_inputs
from mer_nas.data.records import Record
from mer_nas.data.sources.faces import FINE, PIXELS, Face, Field, Tint
from mer_nas.data.sources.motions import BLINK, EXPRESSIONS, Motion
from mer_nas.errors import DataError
from mer_nas.inputs import FLOW

CLASSES = tuple(EXPRESSIONS)

_COMPOSITE = (250, 109, 83)
"""Clips of each class in the MEGC 2019 composite."""

_UNIT = (1.0, 1.0, 0.2)
"""What u, v (in pixels of a frame of 112) and strain are divided by, to be of the order of 1."""

_KNOTS = 4
"""A head's motion in depth is given at this many points along each side of the image."""

_Image = NDArray[np.uint8]
_Counts = NDArray[np.int64]


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
    """Which side moves more; see `Motion.of_units`."""
    place: NDArray[np.float64]
    """(4,): where the face is in the picture (two), its turn and zoom, each in [-1, 1]."""
    habits: NDArray[np.float64]
    """(classes, 2, _KNOTS, _KNOTS): the head's motion with each expression, deviation about 1."""
    fading: NDArray[np.float64]
    """(classes,): share of the clips that catch the expression on its way back."""
    leaning: NDArray[np.float64]
    """(classes,): how readily this person shows each class."""
    tint: Tint

    @classmethod
    def draw(cls, seed: int, index: int) -> Self:
        """Return the subject of that index among those of a seed."""
        rng = np.random.default_rng([seed, 1, index])
        return cls(
            name=f"s{index + 1:02d}",
            face=Face.draw(rng),
            balance=float(rng.uniform(-0.3, 0.3)),
            place=rng.uniform(-1, 1, 4),
            habits=rng.standard_normal((len(CLASSES), 2, _KNOTS, _KNOTS)),
            fading=rng.choice([0.2, 0.8], size=len(CLASSES)),
            leaning=rng.gamma(2.0, size=len(CLASSES)),
            tint=Tint.draw(rng),
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """One clip as a camera would have it, rendered as far as it is asked for."""

    name: str
    person: Subject
    label: int
    """Which class is shown."""
    units: tuple[str, ...]
    """The action units that move."""
    image: Field
    """The person's portrait."""
    start: Motion
    """From the portrait to the onset."""
    drift: Motion
    """Of the head, from onset to apex; it goes on to the offset."""
    skin: Motion
    """Of the expression, from onset to apex; it comes as slowly as it starts, and goes back."""
    gains: tuple[float, float]
    """Brightness at the onset and from the apex on."""
    noise: float
    """Standard deviation of the sensor's noise, in grey levels."""
    grain: int
    """Seed of that noise, but for onset and apex."""
    taken: dict[float, _Image] = field(default_factory=dict)
    """The frames that have been asked for, by moment."""

    @classmethod
    def draw(
        cls,
        name: str,
        person: Subject,
        image: Field,
        label: int,
        hard: Difficulty,
        rng: np.random.Generator,
    ) -> Self:
        """Return one clip, of which onset and apex are rendered.

        Args:
            name: The clip's.
            person: Who shows the expression.
            image: The person's portrait.
            label: Which class is shown.
            hard: How hard it is to see.
            rng: Draws what differs from clip to clip.
        """
        place = hard.place * person.place + 4 * rng.uniform(-1, 1, 4)
        knots = hard.head * rng.standard_normal((2, _KNOTS, _KNOTS))
        units, skin = _skin(person, label, hard, rng)
        gains = 1 + 0.02 * rng.standard_normal(2)
        recording = cls(
            name,
            person,
            label,
            units,
            image,
            start=Motion.of_head((place[0], place[1]), turn=place[2] / 4, zoom=place[3] / 4),
            drift=Motion.in_depth(knots + hard.habit * person.habits[label]),
            skin=skin,
            gains=(gains[0], gains[1]),
            noise=hard.noise,
            grain=int(rng.spawn(1)[0].integers(2**31)),
        )
        for moment in (0.0, 1.0):
            recording._take(moment, rng)
        return recording

    def grey(self, moments: Sequence[Moment]) -> _Image:
        """Return the frames at these moments, (T, H, W)."""
        return np.stack([self._frame(_by_key_frames(moment)) for moment in moments])

    def colour(self, moments: Sequence[Moment]) -> _Image:
        """Return the frames at these moments in colour, (T, H, W, 3)."""
        return self.person.tint(self.grey(moments))

    def _take(self, moment: float, rng: np.random.Generator) -> None:
        shown = (1 - math.cos(math.pi * moment)) / 2
        parts = [self.start]
        if moment:
            parts += [self.drift.times(moment), self.skin.times(shown)]
        gain = np.interp(moment, (0, 1), self.gains)  # of float64, and so is all that it scales
        motion = Motion.together(parts)
        self.taken[moment] = motion.render(self.image, gain, self.noise, rng)

    def _frame(self, moment: float) -> _Image:
        if moment not in self.taken:
            # Of its own seed, so that a frame does not depend on which others were asked for.
            self._take(moment, np.random.default_rng([self.grain, round(1e6 * moment)]))
        return self.taken[moment]


def load_synthetic(config: SyntheticData, needs: Needs) -> ClipSet:
    """Render the set and compute what is needed of it.

    Raises:
        DataError: Fewer than two clips a subject.
    """
    records: list[Record] = []
    seen = []
    with one_thread():
        for recording in recordings(config):
            seen.append(make_inputs(needs.inputs, recording, config.size, config.frames))
            units = recording.units if needs.action_units else None
            records.append(_record(config, recording, units))
    arrays = {name: np.stack([clip[name] for clip in seen]) for name in seen[0]}
    scaling = {
        name: SCALING.get(name, "as the user's function gives it")
        for name in needs.inputs
        if name != FLOW
    }
    wider = _side(config) / PIXELS
    unit = np.array([wider, wider, 1], dtype=np.float32) * np.array(_UNIT, dtype=np.float32)
    if FLOW in arrays:
        arrays[FLOW] = (arrays[FLOW] / unit[:, None, None]).astype(np.float32)
        scaling[FLOW] = f"u, v (pixels of the frame) and strain divided by {_UNIT}"
    return ClipSet(
        config.name,
        CLASSES,
        tuple(records),
        arrays,
        scaling=scaling,
        units={FLOW: tuple(unit.tolist())} if FLOW in arrays else {},
        how=_preparation(config),
    )


def recordings(config: SyntheticData) -> Iterator[Recording]:
    """Yield every clip of the set, each rendered only as far as it is asked for.

    Raises:
        DataError: Fewer than two clips a subject.
    """
    if config.clips < 2 * config.subjects:
        raise DataError(
            f"{config.name}: data.clips={config.clips} leaves fewer than 2 clips for each of "
            f"{config.subjects} subjects; at least {2 * config.subjects}"
        )
    people = [Subject.draw(config.seed, index) for index in range(config.subjects)]
    portraits = [person.face.portrait(_side(config)) for person in people]
    hardness = Difficulty.at(config.difficulty)
    for index, (owner, label) in enumerate(zip(*_schedule(config, people), strict=True)):
        rng = np.random.default_rng([config.seed, 2, index])
        name = f"{CLASSES[label][:3]}_{index:03d}"
        yield Recording.draw(name, people[owner], portraits[owner], label, hardness, rng)


def _by_key_frames(moment: Moment) -> float:
    """Return a moment by its key frames; the apex lies midway from onset to offset."""
    return 2 * moment.of_clip if isinstance(moment, Share) else moment


def _skin(
    person: Subject, label: int, hard: Difficulty, rng: np.random.Generator
) -> tuple[tuple[str, ...], Motion]:
    """Return the action units of a clip, perhaps a blink among them, and their motion."""
    ways = EXPRESSIONS[CLASSES[label]]
    units = ways[rng.integers(len(ways))]
    size = hard.motion * np.exp(rng.uniform(-0.4, 0.4))
    if rng.random() < person.fading[label]:
        size = -size
    skin = Motion.of_units(person.face, units, size, person.balance)
    if rng.random() < hard.blinks:
        skin = Motion.together([skin, Motion.of_units(person.face, (BLINK,), 1.5, balance=0.0)])
        units = (*units, BLINK)
    return units, skin


def _record(config: SyntheticData, recording: Recording, units: tuple[str, ...] | None) -> Record:
    return Record(
        config.name,
        recording.person.name,
        recording.name,
        recording.label,
        onset=0,
        apex=config.frames - 1,
        offset=2 * (config.frames - 1),
        apex_source="annotated",
        emotion=CLASSES[recording.label],
        action_units=units,
    )


def _preparation(config: SyntheticData) -> Preparation:
    """Return the pipeline that makes the same inputs of the frames, once they are on disk."""
    pipeline = Pipeline(align=None, face=_side(config), flow=Farneback())
    return Preparation(pipeline=pipeline, size=config.size, frames=config.frames)


def _side(config: SyntheticData) -> int:
    """Return height and width of the frames: as few pixels as show the size asked for."""
    return PIXELS if config.size <= PIXELS else FINE


def _schedule(config: SyntheticData, people: list[Subject]) -> tuple[list[int], list[int]]:
    """Return the subject and the class of every clip."""
    rng = np.random.default_rng([config.seed, 0])
    shares = 1 / np.arange(2, config.subjects + 2) ** 0.8
    sizes = 2 + _portions(config.clips - 2 * config.subjects, shares)
    left = _portions(config.clips, np.array(_COMPOSITE, dtype=np.float64))
    owners = np.repeat(np.arange(config.subjects), sizes)
    labels = np.zeros(len(owners), dtype=np.int64)
    for slot in rng.permutation(len(owners)):
        wish = left * people[owners[slot]].leaning
        labels[slot] = rng.choice(len(CLASSES), p=wish / wish.sum())
        left[labels[slot]] -= 1
    return owners.tolist(), labels.tolist()


def _portions(total: int, shares: NDArray[np.float64]) -> _Counts:
    """Divide `total` by `shares` into whole numbers, the largest remainders rounded up.

    >>> _portions(442, np.array([250.0, 109.0, 83.0])).tolist()
    [250, 109, 83]
    >>> _portions(5, np.array([1.0, 1.0, 1.0])).tolist()
    [2, 2, 1]
    """
    exact = total * shares / shares.sum()
    whole: _Counts = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole

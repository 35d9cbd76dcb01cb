"""What a search proposes and an evaluation measures: an architecture and its training recipe."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_nas import files
from mer_nas.architectures import Architecture, parse
from mer_nas.config.base import Tree, validate
from mer_nas.data.clips import Array, ClipSet
from mer_nas.data.needs import Needs
from mer_nas.errors import ConfigError, unknown
from mer_nas.inputs import COUNTED, INPUTS
from mer_nas.training.config import TrainerConfig
from mer_nas.wording import brief

PARTS = ("architecture", "trainer")


@dataclass(frozen=True)
class Candidate:
    """An architecture and how it is trained."""

    architecture: Architecture
    trainer: TrainerConfig

    def __repr__(self) -> str:
        """Return its key, what it reads and how it is trained."""
        facts = [("key", self.key), ("inputs", self.architecture.inputs)]
        return brief(self, [*facts, ("trainer", self.trainer.name), ("lr", self.trainer.lr)])

    @property
    def key(self) -> str:
        """12 hexadecimal digits; equal where the same network would be trained the same way.

        The device and the name of the recipe are left out: neither changes what is learned.
        """
        tree = self.dump()
        for word in ("device", "name"):
            del tree["trainer"][word]
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
        return files.digest(text)[:12]

    def needs(self, place: str) -> Needs:
        """Return what the network reads of a clip; `place` is how the user knows it."""
        ways = self.architecture.ways
        return Needs(
            place,
            self.architecture.inputs,
            tuple(dict.fromkeys(way.size for way in ways)),
            max((way.frames for way in ways if COUNTED & set(way.inputs)), default=0),
            action_units=self.architecture.losses.au > 0,
        )

    def inputs_for(
        self, clips: ClipSet, indices: Sequence[int] | NDArray[np.int64]
    ) -> dict[str, Array]:
        """Return the inputs of the network for some clips, in the order in which it takes them.

        Each is (N, C, H, W), or (N, T, C, H, W) of a sequence, T being as many frames as the
        network takes.
        """
        arrays = {}
        for name in self.architecture.inputs:
            array = clips.inputs[name][np.asarray(indices)]
            if INPUTS[name].timed and len(taken := self.frames(clips, name)) < array.shape[1]:
                array = array[:, list(taken)]
            arrays[name] = array
        return arrays

    def frames(self, clips: ClipSet, name: str) -> tuple[int, ...]:
        """Return which frames of an input the network takes; none where the input has no time."""
        if not INPUTS[name].timed:
            return ()
        taken, given = self.architecture.shapes[name][0], clips.inputs[name].shape[1]
        return tuple(INPUTS[name].chosen(taken, given)) if taken < given else tuple(range(given))

    def dump(self) -> Tree:
        """Return the plain tree from which `parse` makes an equal candidate."""
        return {part: getattr(self, part).model_dump(mode="json") for part in PARTS}

    @classmethod
    def parse(cls, tree: Tree, place: str) -> "Candidate":
        """Return `tree` as a candidate.

        Args:
            tree: {architecture, trainer}; without a trainer, the default one.
            place: How the user knows the tree, for messages.

        Raises:
            ConfigError: The tree is not a candidate.
            Infeasible: Its architecture breaks a rule of the grammar.
        """
        for word in tree:
            if word not in PARTS:
                raise ConfigError(f"{place}: {unknown('setting', word, PARTS)}")
        if "architecture" not in tree:
            raise ConfigError(f"{place}: the setting 'architecture' is missing")
        return cls(
            parse(tree["architecture"], f"{place}.architecture"),
            validate(TrainerConfig, tree.get("trainer", {}), f"{place}.trainer"),
        )

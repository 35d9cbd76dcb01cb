"""What a search proposes and an evaluation measures: an architecture and its training recipe."""

import hashlib
import json
from dataclasses import dataclass

from mer_nas.architectures import Architecture, parse
from mer_nas.config.base import Tree, validate
from mer_nas.errors import ConfigError, unknown
from mer_nas.training.config import TrainerConfig

PARTS = ("architecture", "trainer")


@dataclass(frozen=True)
class Candidate:
    """An architecture and how it is trained."""

    architecture: Architecture
    trainer: TrainerConfig

    @property
    def key(self) -> str:
        """12 hexadecimal digits; equal where the same network would be trained the same way.

        The device and the name of the recipe are left out: neither changes what is learned.
        """
        tree = self.dump()
        for word in ("device", "name"):
            del tree["trainer"][word]
        text = json.dumps(tree, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

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

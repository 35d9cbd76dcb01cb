"""What is planned, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mer_nas.config.base import Tree
from mer_nas.wording import brief


@dataclass(frozen=True)
class Plan:
    """What would be done and how long it would take."""

    text: str
    """For people, in about ten lines: the data, the protocol, the times."""
    settings: str
    """What all words resolved to, as YAML."""
    tree: Tree
    """Both, for programs; times in seconds."""

    def __repr__(self) -> str:
        """Return what is planned, in a line."""
        facts = ("name", "protocol", "trials", "seeds", "total_seconds", "seconds")
        return brief(self, [(name, self.tree[name]) for name in facts if name in self.tree])

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    @property
    def full(self) -> str:
        """What all words resolved to, and then the text."""
        return f"{self.settings}\n{self.text}"

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(self.tree, indent=2)

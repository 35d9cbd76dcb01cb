"""A scripted search, which needs no networks, for all tests of the search."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
# Ray's workers and killed drivers are processes of their own and import `scripted` too.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
)

from mer_nas.search.events import Event  # noqa: E402


class Heard(list[Event]):
    """Events in the order in which they came."""

    def of(self, kind: type[Event]) -> list[Event]:
        """Return those of one kind."""
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def heard() -> Heard:
    """Takes what a search has to say: pass `heard.append`."""
    return Heard()

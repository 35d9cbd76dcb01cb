"""Named moments at which a test can have the process killed as `kill -9` would.

`MER_NAS_CRASH_AT=after_ledger:3` kills this process with SIGKILL the third time it passes the
point `after_ledger`; without the variable the points do nothing. Nothing is flushed, told or
closed: what a resumed search finds is what had reached the disk.
"""

import os
import signal
from collections import Counter

VARIABLE = "MER_NAS_CRASH_AT"

_passed: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die here if the environment asks for it."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    point, _, times = wanted.partition(":")
    if point == name:
        _passed[name] += 1
        if _passed[name] == int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)

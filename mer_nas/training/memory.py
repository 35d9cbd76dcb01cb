"""Memory that one step of training frees and the next one takes again."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
_KEPT, _PIECE = 2**26, 2**25
"""Bytes: what may be free before the system gets it back, and the largest piece that is kept."""


@cache
def keep_freed() -> None:
    """Let this process keep up to 64 MB that it has freed, as glibc does where pieces are large.

    Else the system would clear every page anew in every step of a small network. Where the C
    library is not glibc, nothing happens.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_MMAP_THRESHOLD, _PIECE)

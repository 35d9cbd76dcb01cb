"""Why a job came to nothing: what its study keeps of an error, and whether memory was short."""

import gc
import json
import sys
import traceback
from dataclasses import asdict, dataclass
from typing import Self

from mer_nas.architectures.user_blocks import describe

MOST = 8_000
"""Characters of a traceback that are kept, the last ones."""
_SHORT = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "Cannot allocate memory",
)
"""What torch's allocators, and those of the libraries that it calls, say in a RuntimeError."""


@dataclass(frozen=True)
class Failure:
    """What a fold, or its worker, failed of."""

    reason: str
    """One line, which a failed trial keeps."""
    traceback: str = ""
    """Where it was raised; empty where nothing was."""
    memory: bool = False
    """Whether there was too little memory, so that it may go well with nothing beside it."""

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return what is kept of an exception."""
        text = "".join(traceback.format_exception(error))[-MOST:]
        return cls(describe(error), text, out_of_memory(error))

    def to_json(self) -> str:
        """Return one line from which `from_json` makes an equal one."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return what `to_json` wrote."""
        return cls(**json.loads(line))


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of the machine or of a GPU, was short."""
    if isinstance(error, MemoryError):
        return True
    said = f"{type(error).__name__}: {error}".replace("OutOfMemoryError", "out of memory")
    return isinstance(error, RuntimeError) and any(words in said for words in _SHORT)


def free_memory() -> None:
    """Give back what a failed fold held, as far as nobody holds it any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()

"""The weights of a network after each epoch, for whoever looks back at a training."""

import contextlib
import io
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO

import torch
from torch import Tensor, nn

from mer_nas.errors import system_said

_MAX_BYTES = 2**30
"""Bytes that the epochs of one training may take."""
_MAX_SHARE = 8
"""They also take at most one part in so many of what is free where temporary files lie."""


class EpochWeights:
    """Keeps the weights of chosen epochs in a temporary file, which goes when the process does.

    They lie on the disk and not in memory, because at published size the weights of all epochs do
    not fit there. Where they would take too much room, every second epoch is kept, or every third
    and so on; the last always is.

    Args:
        epochs: How many epochs the training has.
    """

    def __init__(self, epochs: int) -> None:
        self.lost = ""
        """Why nothing is kept; empty while all is well."""
        self._epochs = epochs
        self._every = 0
        self._places: list[tuple[int, int]] = []
        self._file: IO[bytes] | None = None

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that are kept, counted from 1."""
        return tuple(epoch for epoch, _ in self._places)

    def keep(self, epoch: int, network: nn.Module) -> None:
        """Write down the weights of `network` if this is a chosen epoch; change nothing in it."""
        if self.lost or (self._every and epoch % self._every and epoch != self._epochs):
            return
        written = io.BytesIO()
        torch.save(network.state_dict(), written)
        try:
            if self._file is None:
                self._every = _stride(self._epochs, written.tell())
                if self._every >= self._epochs > 1:
                    raise OSError(f"weights of {written.tell()} bytes an epoch leave no choice")
                self._file = tempfile.TemporaryFile(prefix="mer-nas-epochs-")  # noqa: SIM115
            if epoch % self._every == 0 or epoch == self._epochs:
                self._places.append((epoch, self._file.write(written.getbuffer())))
                self._file.flush()
        except OSError as error:  # the training goes on; only the look back is lost
            self.close()
            self.lost = system_said(error)

    def __iter__(self) -> Iterator[Mapping[str, Tensor]]:
        """Go through the weights of the epochs that are kept, earliest first."""
        if self._file is None:
            return
        self._file.seek(0)
        for _, size in tuple(self._places):
            yield torch.load(io.BytesIO(self._file.read(size)), weights_only=True)

    def close(self) -> None:
        """Give the room back."""
        self._places.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is buffered may not fit on a full disk
                self._file.close()
            self._file = None

    def __del__(self) -> None:
        """Give the room back where nobody has looked."""
        self.close()


def _stride(epochs: int, size: int) -> int:
    """Return after how many epochs weights of `size` bytes may be kept once more."""
    room = min(_MAX_BYTES, shutil.disk_usage(tempfile.gettempdir()).free // _MAX_SHARE)
    return max(1, math.ceil(epochs * size / max(room, 1)))

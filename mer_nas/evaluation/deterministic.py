"""Let what is computed depend on the seed alone.

A worker trains many candidates one after another, and a score must not tell which came before, in
which process, or on how many threads. Several threads sum in another order than one, so one thread
is part of what a score means, and the evaluator sets it rather than trusting its surroundings.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def deterministic(seed: int, device: torch.device) -> Iterator[None]:
    """Run the block with one thread, known settings and fresh random states; put all back after.

    Args:
        seed: Of every global random state that a block of a network may draw from; below 2**32.
        device: Where the block computes.
    """
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    python, legacy = random.getstate(), np.random.get_state()
    devices = [device.index or 0] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=devices),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        torch.enable_grad(),
    ):
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
            random.setstate(python)
            np.random.set_state(legacy)

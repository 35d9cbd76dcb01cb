"""Where a network is trained."""

import torch

from mer_nas.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """Return the device that `trainer.device` names; auto is a GPU where this process has one.

    Raises:
        ConfigError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ConfigError(
            f"trainer.device: {name!r} is no device of this machine; it has: {', '.join(_found())}"
        ) from None
    return device


def _found() -> list[str]:
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["auto", "cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]

"""How a machine or a cluster is divided among workers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mer_nas.errors import ConfigError
from mer_nas.search.config import RayConfig

TRIALS_PER_GPU = 4


@dataclass(frozen=True)
class Shares:
    """What each worker gets."""

    workers: int
    """Jobs at a time."""
    cpu: float
    gpu: float


def share(resources: Mapping[str, float], config: RayConfig) -> Shares:
    """Divide what a cluster has among the workers.

    >>> share({"CPU": 16, "GPU": 2}, RayConfig(workers=3))
    Shares(workers=3, cpu=1.0, gpu=0.5)

    Raises:
        ConfigError: The workers ask for more than there is.
    """
    cpus, gpus = resources.get("CPU", 1.0), math.floor(resources.get("GPU", 0.0))
    wanted = config.gpu
    if wanted and not gpus:
        raise ConfigError(
            f"ray.gpu={wanted:g}: Ray finds no GPU here; ray.gpu=0 trains on the CPU"
        )
    if wanted is None and gpus:
        workers = config.workers or TRIALS_PER_GPU * gpus
        gpu = _floor(1 / math.ceil(workers / gpus))
    elif wanted:
        most = gpus * math.floor(1 / wanted + 1e-9)
        workers, gpu = config.workers or most, wanted
        if workers > most:
            raise ConfigError(
                f"ray.workers={workers} with ray.gpu={wanted:g} is more than the {gpus} GPUs here "
                f"hold; at most {most} workers, or "
                f"ray.gpu={_floor(1 / math.ceil(workers / gpus)):g}"
            )
    else:
        workers, gpu = config.workers or max(math.floor(cpus), 1), 0.0
    return Shares(workers, _floor(min(1.0, cpus / workers)), gpu)


def _floor(value: float) -> float:
    """Round down to what Ray can tell apart."""
    return math.floor(value * 10_000) / 10_000

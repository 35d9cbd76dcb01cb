"""What a search may spend, how it measures, proposes and prunes, and what follows it."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    Tag,
    model_validator,
)

from mer_nas.config.base import Config, Name, Place, Share, Tree
from mer_nas.data.clips import ClipSet
from mer_nas.data.protocols import Protocol, Scheme, divide
from mer_nas.errors import ConfigError, shown, unknown
from mer_nas.search.objectives import Objectives
from mer_nas.search.pace import Pace
from mer_nas.statistics import RuleName

SamplerName = Literal["tpe", "random", "gp", "evolutionary", "grid", "points"]
PrunerName = Literal[
    "bootstrap",
    "bound",
    "wilcoxon",
    "median",
    "percentile",
    "halving",
    "hyperband",
    "patient",
    "none",
]
TrackerName = Literal["tensorboard", "mlflow", "wandb"]
ClassPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
"""The path of a class: "optuna.samplers.QMCSampler"."""


def _form(name: object) -> str:
    return "form[class]" if isinstance(name, str) and "." in name else "form[name]"


Sampler = Annotated[
    Annotated[SamplerName, Tag("form[name]")] | Annotated[ClassPath, Tag("form[class]")],
    Discriminator(_form),
]
PrunerChoice = Annotated[
    Annotated[PrunerName, Tag("form[name]")] | Annotated[ClassPath, Tag("form[class]")],
    Discriminator(_form),
]
JOURNAL = ".log"
"""How the file of a storage ends that is a journal of Optuna's."""
PROXY = "grpc://"
"""How a storage begins that is behind Optuna's gRPC proxy."""
CLOSED: tuple[SamplerName, ...] = ("grid", "points")
"""Samplers that know beforehand what they will try, every candidate of it once."""

Folds = Literal["loso", "lodo"] | Annotated[int, Interval(ge=2)]


def _none(value: object) -> object:
    """Read the word none as YAML's null."""
    return None if value == "none" else value


def _null(value: object) -> object:
    """Read what stands under `name`, and is a text therefore, as YAML's null where it says so."""
    return None if value == "null" else value


def _several(value: object) -> object:
    """Read one tracker as a list of it, and guess what an unknown one meant."""
    words = [value] if isinstance(value, str) else value
    for word in words if isinstance(words, list | tuple) else ():
        if word not in (known := get_args(TrackerName)):
            raise ValueError(unknown("tracker", word, known))
    return words


def _known_storage(text: str) -> str:
    """Refuse what names no kind of storage; whether it is there, opening it tells."""
    if text.startswith(PROXY):
        host, _, port = text.removeprefix(PROXY).rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{PROXY}HOST:PORT would be right, not {shown(text)}")
    elif not text.endswith(JOURNAL):
        from sqlalchemy.engine import make_url  # takes long to import
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        try:
            make_url(text).get_dialect()
        except (ArgumentError, NoSuchModuleError):
            right = f"a URL such as sqlite:///FILE, a file NAME{JOURNAL}, or {PROXY}HOST:PORT"
            raise ValueError(f"{right} would be right, not {shown(text)}") from None
    return text


class EnsembleConfig(Config):
    """Complete candidates as one: a weighted mean of their class probabilities."""

    rule: RuleName = "weights"
    """weights: the best ones, weights by least squares, shrunk towards equal ones. mean: the best
    ones, equal weights.
    greedy: selection with replacement (Caruana et al. 2004), which takes the limit of members as
    the number of its steps."""
    members: Annotated[int, Interval(ge=2)] = 5
    """How many there are at most."""
    macs: PositiveInt | None = None
    """Nominal multiply-accumulates for one clip that all members together may cost; null: no
    limit. The next best that fits takes the place of one that does not."""
    params: PositiveInt | None = None
    """Weights that all members together may have; null: no limit."""

    @property
    def limited(self) -> bool:
        """Whether members are chosen by what they cost, too."""
        return self.macs is not None or self.params is not None


class FinalConfig(Config):
    """The final stage: the best candidates under full LOSO with several seeds."""

    candidates: PositiveInt = 3
    """How many of the best complete candidates are retrained."""
    warm_starts: NonNegativeInt = 1
    """How many of the points that the search began with are retrained, to be compared with the
    winner under one protocol: the best ones, those among the candidates counted. Each costs as
    much as a candidate; 0 turns it off."""
    seeds: PositiveInt = 3
    """Repetitions of the whole protocol for each of them that stays in the race."""
    chance: Share = 0.05
    """Share of draws of the subjects in which a finalist must be at least as good as the leader to
    get further seeds; the first is for all, and members of the ensemble get all of them. 0:
    everybody does."""
    ensemble: Annotated[
        EnsembleConfig | None,
        BeforeValidator(_none, json_schema_input_type=EnsembleConfig | Literal["none"] | None),
    ] = Field(default_factory=EnsembleConfig)
    """What is handed over in place of the best candidate; its members go through the final stage
    too. none: the best candidate alone. Never with several objectives, nor in a closed list of
    candidates (grid, points)."""
    folds: Folds = "loso"
    """loso, lodo, or a number of subject groups."""
    trainer: Tree = Field(default_factory=dict)
    """Changes to the search's trainer, such as {epochs: 60}."""
    best_epoch: bool = False
    """Whether each fold that the stage trains is looked back at, once its result is kept: what the
    scores would have been had the epoch been chosen on the held-out clips, as much public code
    does. Leaky, told apart in the report, and used for nothing else."""


class StudyConfig(Config):
    """A search: its budget, its protocol, its sampler and pruner, its final stage."""

    name: Annotated[Name | None, BeforeValidator(_null)] = None
    """Folder name under `runs`; by default <space>-<data>-<next free number>."""
    folder: Place | None = None
    """Where the study lies; takes the place of runs/<name>."""
    storage: Annotated[str, AfterValidator(_known_storage)] | None = None
    """URL of an Optuna storage; a file NAME.log for its journal, which a folder on a network can
    hold; or grpc://HOST:PORT for Optuna's proxy. By default SQLite in the study folder."""
    seed: Annotated[int, Interval(ge=0, lt=2**32)] = 0
    """Decides proposals, groups and the seed of every fold."""
    trials: PositiveInt | None = 60
    """Total number of trials, complete, pruned and failed ones counted; null: no bound."""
    minutes: PositiveFloat | None = None
    """Total minutes of search, over all its sessions; null: no bound. What is in flight by then is
    finished, unless it hangs."""
    fold_minutes: PositiveFloat | None = None
    """Minutes that a fold may take, or several that are trained together, before it is ended and
    its trial has failed; null: as long as its epochs end, each within 30 minutes or within 20
    times the slowest epoch of its candidate, whichever is longer."""
    folds: Folds = "loso"
    """loso: leave one subject out; lodo: leave one data set out; a number: so many stratified
    groups of subjects, cheaper."""
    block: Annotated[float, Interval(gt=0, le=1)] = 0.1
    """Share of the clips after which the pruner is asked, in whole folds."""
    objectives: Objectives = ("uf1",)
    """What is looked for: [uf1], or a front of UF1 against macs, params or both, as nominal
    multiply-accumulates and weights of the deployed network."""
    sampler: Sampler = "tpe"
    """tpe, random, gp and evolutionary: how Optuna proposes candidates. grid: every combination of
    the choices of the space, once. points: the points of the space, each once. Any other of
    Optuna's by the path of its class, such as optuna.samplers.QMCSampler."""
    pruner: PrunerChoice = "bootstrap"
    """When a trial is stopped before its last fold; never with several objectives, nor in a closed
    list of candidates (grid, points). Any other of Optuna's by the path of its class."""
    chance: Share = 0.05
    """Share of draws of its subjects in which a trial must be at least as good as the best for the
    bootstrap to let it go on."""
    margin: NonNegativeFloat = 0.02
    """How far below the best UF1 the bound may fall before it prunes, in units of UF1."""
    startup: NonNegativeInt = 8
    """Trials that are drawn at random before the sampler models anything."""
    alternatives: Annotated[int, Interval(ge=1, le=1000)] = 2
    """Draws for each trial, of which the one is trained that promises most for its predicted
    seconds; 1: costs do not weigh. Without effect on closed lists (grid, points) and on several
    objectives."""
    pace: Pace | None = None
    """What seconds are predicted from; null: measured once, when the study is made, and kept in
    its settings. The same seed and pace give the same proposals, on any machine."""
    final: Annotated[
        FinalConfig | None,
        BeforeValidator(_none, json_schema_input_type=FinalConfig | Literal["none"] | None),
    ] = Field(default_factory=FinalConfig)
    """The final stage; none skips it."""

    track: Annotated[
        tuple[TrackerName, ...],
        BeforeValidator(_several, json_schema_input_type=tuple[TrackerName, ...] | TrackerName),
    ] = ()
    """Trackers that are told of each trial while the search runs, and of the winner: tensorboard,
    mlflow, wandb. One that fails stops nothing; `mer-nas track` tells them afterwards."""

    outer: Annotated[int, Interval(ge=2)] | None = None
    """Nested estimate: so many groups of subjects, each left out of a further search with the
    whole budget, whose winner is then asked about them; null: none."""

    @property
    def fold_seconds(self) -> float | None:
        """Seconds that a fold may take; None where epochs are waited for."""
        return None if self.fold_minutes is None else 60 * self.fold_minutes

    def divided(self, clips: ClipSet, folds: Scheme | None = None) -> Protocol:
        """Return how clips are divided: as the search does it, or by other folds.

        Raises:
            DataError: They cannot be divided so.
        """
        return divide(clips, folds or self.folds, self.seed, self.block)

    @property
    def closed(self) -> bool:
        """Whether what will be tried is known beforehand."""
        return self.sampler in CLOSED

    @property
    def weighs_cost(self) -> bool:
        """Whether a trial is the cheapest of several draws."""
        return self.alternatives > 1 and not self.closed and len(self.objectives) == 1

    @property
    def unpruned(self) -> str:
        """Why the pruner has nothing to do; empty where it is at work."""
        if len(self.objectives) > 1:
            return "with several objectives there is no best trial to fall behind"
        if self.closed:
            return f"every row of a {self.sampler} study goes through all folds"
        return "none was asked for" if self.pruner == "none" else ""

    @property
    def ensemble(self) -> EnsembleConfig | None:
        """The ensemble that is looked for; None where there is to be none.

        Without a final stage its members are measured by the folds of the search.
        """
        if self.unensembled:
            return None
        return self.final.ensemble if self.final else EnsembleConfig()

    @property
    def unensembled(self) -> str:
        """Why there is to be no ensemble; empty where there is."""
        if len(self.objectives) > 1:
            return "with several objectives there is a front and no best few"
        if self.closed:
            return f"a {self.sampler} study compares its rows"
        return "none was asked for" if self.final and self.final.ensemble is None else ""

    def final_jobs(self, points: int) -> int:
        """Return how many repetitions the final stage has at most.

        Args:
            points: How many the space has.
        """
        if self.final is None:
            return 0
        finalists, ensemble = self.final.candidates, self.ensemble
        if ensemble is not None and (ensemble.rule == "greedy" or ensemble.limited):
            finalists += ensemble.members  # any complete candidates, not only the best ones
        elif ensemble is not None:
            finalists = max(finalists, ensemble.members)
        return (finalists + min(self.final.warm_starts, points)) * self.final.seeds

    @property
    def spares(self) -> bool:
        """Whether the pruner leaves the runners-up without which optimism is underestimated.

        The limits are those of `benchmarks/pruners.py`.
        """
        limits = {
            "bootstrap": self.chance <= 0.05,
            "bound": self.margin >= 0.04,
            "wilcoxon": True,
        }
        return bool(self.unpruned) or limits.get(self.pruner, False)

    @property
    def pruning(self) -> str:
        """The pruner with its setting, as people read it: "bootstrap, chance 0.05"."""
        if self.unpruned:
            return f"none: {self.unpruned}"
        setting = {"bootstrap": f", chance {self.chance:g}", "bound": f", margin {self.margin:g}"}
        return self.pruner + setting.get(self.pruner, "")


WORKERS_A_GPU = 4
"""At most: each keeps a core of the host busy with launching."""
WORKER_BYTES = 2 * 2**30
"""Of a GPU's memory, what a worker has at least: a context of CUDA, and folds beside it."""
GPU_BYTES = "GPU bytes"
"""Beside what Ray counts: the memory of the smallest GPU."""


@dataclass(frozen=True)
class Shares:
    """What each worker gets."""

    workers: int
    """Jobs at a time."""
    cpu: float
    gpu: float


class RayConfig(Config):
    """How trials share the machine or the cluster."""

    address: str | None = None
    """Address of a running Ray cluster; by default Ray starts on this machine."""
    workers: Annotated[int, Interval(ge=0, le=10_000)] | None = None
    """Jobs at a time; by default one a CPU core that the process may use, or where there are GPUs
    one for every 2 GiB of theirs, at most four a GPU and one a core. 0: one fold after
    another in the process of the command, without Ray."""
    gpu: Share | None = None
    """Share of a GPU that a trial takes; by default the GPUs divided by the workers."""
    dashboard: bool = True
    """Whether the Ray dashboard is started, bound to 127.0.0.1."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.address is not None and self.workers == 0:
            raise ValueError(
                f"address={self.address} is a cluster of Ray's, and workers=0 does without Ray; "
                "one of them would be right"
            )
        return self

    def alone(self) -> bool:
        """Whether one worker without a GPU is all that is asked for on this machine."""
        if self.address is not None or self.gpu or (self.workers or cores_here()) != 1:
            return False
        import torch  # takes long to import

        return self.gpu == 0 or not torch.cuda.is_available()

    @property
    def own_share(self) -> float:
        """Of the memory of a GPU, what the process of the command itself may train with."""
        return 0.0 if self.gpu == 0 else 1.0

    def refuse_numbered(self, device: str) -> None:
        """Refuse one GPU of several by its number: a worker sees no other than its own.

        Raises:
            ConfigError: `trainer.device` is such as cuda:1.
        """
        kind, _, number = device.partition(":")
        if kind == "cuda" and number:
            raise ConfigError(
                f"trainer.device={device}: a worker of Ray's is given its GPU and sees no other; "
                f"CUDA_VISIBLE_DEVICES={number} in the environment, with trainer.device=cuda, "
                f"leaves them just that one, and ray.workers=0 trains on {device} in this process"
            )

    def share(self, resources: Mapping[str, float], device: str = "auto") -> Shares:
        """Divide what a cluster has among the workers.

        Args:
            resources: CPU and GPU, as Ray counts them, and `GPU_BYTES` where they are known.
            device: What the recipe trains on; on the CPU, GPUs count for nothing.

        >>> RayConfig(workers=3).share({"CPU": 16, "GPU": 2})
        Shares(workers=3, cpu=1.0, gpu=0.5)

        Raises:
            ConfigError: The workers ask for more than there is.
        """
        cpus, gpus = resources.get("CPU", 1.0), math.floor(resources.get("GPU", 0.0))
        wanted = self.gpu
        if device == "cpu":
            if wanted:
                raise ConfigError(
                    f"ray.gpu={wanted:g}: trainer.device=cpu trains on no GPU; ray.gpu=0, or "
                    "trainer.device=auto, would be right"
                )
            gpus = 0
        if wanted and not gpus:
            raise ConfigError(
                f"ray.gpu={wanted:g}: Ray finds no GPU here; ray.gpu=0 trains on the CPU"
            )
        if wanted is None and gpus:
            room = resources.get(GPU_BYTES, math.inf) // WORKER_BYTES
            each = min(WORKERS_A_GPU, room, cpus // gpus)
            workers = self.workers or int(max(1, each)) * gpus
            gpu = _floor(1 / math.ceil(workers / gpus))
        elif wanted:
            most = gpus * math.floor(1 / wanted + 1e-9)
            workers, gpu = self.workers or most, wanted
            if workers > most:
                raise ConfigError(
                    f"ray.workers={workers} with ray.gpu={wanted:g} is more than the {gpus} GPUs "
                    f"here hold; at most {most} workers, or "
                    f"ray.gpu={_floor(1 / math.ceil(workers / gpus)):g}"
                )
        else:
            workers, gpu = self.workers or max(math.floor(cpus), 1), 0.0
        return Shares(workers, _floor(min(1.0, cpus / workers)), gpu)


def cores_here() -> int:
    """Return the number of cores that this process may use, which a job's may be few of."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus_here() -> dict[str, float]:
    """Return the number of GPUs that this process sees, and the memory of the smallest."""
    import torch  # takes long to import

    gpus = range(torch.cuda.device_count())
    memory = [torch.cuda.get_device_properties(gpu).total_memory for gpu in gpus]
    return {"GPU": float(len(gpus)), **({GPU_BYTES: float(min(memory))} if memory else {})}


def _floor(value: float) -> float:
    """Round down to what Ray can tell apart."""
    return math.floor(value * 10_000) / 10_000

"""Backbones of timm (github.com/huggingface/pytorch-image-models), used whole, pretrained or not.

Weights come from a file, or from timm's hub where the machine reaches it. What the numbers of a
candidate depend on is its fingerprint: it is part of the closed form, and so of a candidate's key.

A file is safetensors, or what `torch.load` reads with weights_only. Its first layer is summed or
repeated to the channels of the input, as timm does, and its classifier is left out.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Interval
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from mer_nas import files
from mer_nas.architectures.blocks.base import NETWORKS, BuildContext
from mer_nas.architectures.blocks.network import WholeNetwork
from mer_nas.errors import ConfigError, unknown
from mer_nas.inputs import READABLE
from mer_nas.wording import some

Weights = dict[str, Tensor]


class Backbone(nn.Module):
    """A model of timm, of which the first stages may rest.

    Args:
        model: The model.
        resting: Names of its parameters that are not trained.
        lr_share: Learning rate of what was pretrained, in learning rates of the rest.
        pretrained: Names of those.
    """

    def __init__(
        self, model: nn.Module, resting: set[str], lr_share: float, pretrained: set[str]
    ) -> None:
        super().__init__()
        self.model = model
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in resting)
            if name in pretrained and lr_share != 1:
                parameter.lr_share = lr_share  # type: ignore[attr-defined]
        self.resting = [
            name
            for name, module in model.named_modules()
            if (own := {f"{name}.{inner}" for inner, _ in module.named_parameters()})
            and own <= resting
        ]

    def train(self, mode: bool = True) -> "Backbone":
        """Leave what rests in evaluation mode: its norms follow no batch."""
        super().train(mode)
        for name in self.resting:
            self.model.get_submodule(name).eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.model(x)
        return logits


@NETWORKS.register
class Timm(WholeNetwork):
    """A backbone of timm, from random weights or from pretrained ones."""

    kind: Literal["timm"] = "timm"
    model: str = "resnet18"
    """Its name there, as `timm.list_models()` has it."""
    pretrained: bool | str = False
    """false: random weights; true: those of timm's hub; else a file with weights of the model."""
    frozen: NonNegativeInt = 0
    """Groups of layers from the input on that are not trained, the stem being the first."""
    lr_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Learning rate of pretrained weights, in learning rates of the new ones."""
    weights: Annotated[str, Field(exclude_if=lambda weights: not weights)] = ""
    """Fingerprint of the pretrained weights; filled in, and held against what is found."""

    module: ClassVar[type[nn.Module]] = Backbone
    given: ClassVar[dict[str, Any]] = {"channels": int, "classes": int, "size": int}
    source: ClassVar[str] = "timm: github.com/huggingface/pytorch-image-models"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the model with its weights; on the meta device there are none to load."""
        model = self._made(READABLE[self.reads[0]].channels, context.width)
        loaded: set[str] = set()
        if self.pretrained and not next(model.parameters()).is_meta:
            weights = fit_weights(self._found(context.place), model, context.place, self._whence)
            model.load_state_dict(weights, strict=False)
            loaded = set(weights)
        return Backbone(model, self._resting(model, context.place), self.lr_share, loaded)

    def check(self, context: BuildContext) -> None:
        """Refuse models that there are none of, files of others, and more rest than there is."""
        super().check(context)
        import timm

        if self.model not in (known := timm.list_models()):
            raise ConfigError(
                f"{context.place}.model: {unknown('model of timm', self.model, known)}"
            )
        if len(self.reads) > 1 or READABLE[self.reads[0]].timed:
            found = f"a backbone of timm that reads {', '.join(self.reads)}"
            raise context.refuse(found, "one input that is an image")
        with torch.device("meta"):
            model = self._made(READABLE[self.reads[0]].channels, context.width)
        self._resting(model, context.place)
        if isinstance(self.pretrained, str) and not (self.weights and not self._file.is_file()):
            fit_weights(self._found(context.place), model, context.place, self._whence)

    def canonical(self, context: BuildContext) -> "Timm":
        """Name the weights; where there are none, nothing is of them, and nothing rests."""
        if self.pretrained is False:
            return self.model_copy(update={"weights": "", "frozen": 0, "lr_share": 1.0})
        if self.weights:
            return self
        if self.pretrained is True:
            return self.model_copy(update={"weights": _tag(self.model)})
        found = _fingerprint(*_stamp(self._file)) if self._file.is_file() else ""
        return self.model_copy(update={"weights": found})

    @property
    def _file(self) -> Path:
        return Path(str(self.pretrained)).expanduser()

    @property
    def _whence(self) -> str:
        return f"timm's hub ({self.weights})" if self.pretrained is True else str(self._file)

    def _made(self, channels: int, classes: int) -> nn.Module:
        """Return the model with random weights."""
        import timm

        settings = {"in_chans": channels, "num_classes": classes}
        try:  # those that look at patches must know how many
            made: nn.Module = timm.create_model(self.model, img_size=self.size, **settings)
        except TypeError:
            made = timm.create_model(self.model, **settings)
        return made

    def _resting(self, model: nn.Module, place: str) -> set[str]:
        """Return the names of the parameters that are not trained."""
        from timm.models import group_parameters

        if not self.frozen:
            return set()
        groups = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
        if self.frozen >= len(groups):
            raise ConfigError(
                f"{place}.frozen: {self.frozen} of {self.model!r}, which has {len(groups)} groups "
                f"of layers; up to {len(groups) - 1} would be right"
            )
        return {name for group in list(groups.values())[: self.frozen] for name in group}

    def _found(self, place: str) -> Weights:
        """Return the pretrained weights.

        Raises:
            ConfigError: They are not there, damaged, or not those that the candidate names.
        """
        if self.pretrained is True:
            return _fetched(self.model, place)
        if not self._file.is_file():
            raise ConfigError(
                f"{place}.pretrained: there is no file {self._file}; the weights of "
                f"{self.model!r} as safetensors, true for timm's hub, or false would be right"
            )
        stamp = _stamp(self._file)
        if self.weights and (found := _fingerprint(*stamp)) != self.weights:
            raise ConfigError(
                f"{place}.pretrained: {self._file} has other weights than the candidate was made "
                f"with, {found} and not {self.weights}; the file of then would be right"
            )
        return _read(*stamp, place)


def fit_weights(weights: Weights, model: nn.Module, place: str, whence: str) -> Weights:
    """Return weights as a model takes them: without a classifier, of its number of channels.

    Raises:
        ConfigError: They are those of another model.
    """
    from timm.models import adapt_input_conv

    known = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    config: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    heads = tuple(f"{name}." for name in _names(config.get("classifier")))
    firsts = {f"{name}.weight" for name in _names(config.get("first_conv"))}
    taken = {name: value for name, value in weights.items() if not name.startswith(heads or "\0")}
    for name in firsts & taken.keys() & known.keys():
        if taken[name].ndim == 4 and taken[name].shape[1] != known[name][1]:
            taken[name] = adapt_input_conv(known[name][1], taken[name])
    needed = {name for name in known if not name.startswith(heads or "\0")}
    wrong = sorted(n for n in needed & taken.keys() if tuple(taken[n].shape) != known[n])
    lacking = sorted(n for n in needed - taken.keys() if not n.endswith("num_batches_tracked"))
    strange = sorted(taken.keys() - known.keys())
    if wrong or lacking or strange:
        parts = {"lacks": lacking, "has besides": strange, "has in other sizes": wrong}
        said = "; ".join(f"{what} {some(names, 3)}" for what, names in parts.items() if names)
        raise ConfigError(
            f"{place}.pretrained: {whence} holds the weights of another model: it {said}"
        )
    return taken


def _names(named: object) -> tuple[str, ...]:
    """Return the names of layers that timm names by one, by several or by none."""
    if isinstance(named, str):
        return (named,)
    return tuple(map(str, named)) if isinstance(named, Iterable) else ()


def _tag(model: str) -> str:
    """Return which weights of timm's hub are a model's: "resnet18.a1_in1k"."""
    import timm

    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    return f"{config.architecture}.{config.tag}" if config is not None else model


def _fetched(model: str, place: str) -> Weights:
    """Return the weights of timm's hub."""
    import timm

    try:
        with torch.random.fork_rng(devices=[]):
            weights: Weights = timm.create_model(model, pretrained=True).state_dict()
    except Exception as error:  # of the network, the hub, the disk: each library has its own
        config = timm.get_pretrained_cfg(model, allow_unregistered=True)
        where = f"https://huggingface.co/{config.hf_hub_id or f'timm/{_tag(model)}'}"
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"{place}.pretrained: the weights of {model!r} cannot be fetched from timm's hub "
            f"({said[0]}); where it is reached, download model.safetensors from {where}, bring it "
            "here, and say pretrained: PATH of that file"
        ) from None
    return weights


def _stamp(file: Path) -> tuple[Path, int, int]:
    """Return a file with what changes when it is written anew."""
    state = file.stat()
    return file.resolve(), state.st_size, state.st_mtime_ns


@lru_cache(maxsize=64)
def _fingerprint(file: Path, size: int, time: int) -> str:
    """Return 12 hexadecimal digits of the content of a file."""
    return files.digest(file)[:12]


@lru_cache(maxsize=2)
def _read(file: Path, size: int, time: int, place: str) -> Weights:
    """Return the weights in a file.

    Raises:
        ConfigError: It is damaged, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each of the two libraries has errors of its own
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"{place}.pretrained: {file} cannot be read as weights: {said[0]}; a safetensors "
            "file, or one that torch.load reads with weights_only=True, would be right"
        ) from None
    for key in ("state_dict", "model"):
        found = (
            found[key] if isinstance(found, dict) and isinstance(found.get(key), dict) else found
        )
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ConfigError(f"{place}.pretrained: {file} holds no weights by name")
    return found

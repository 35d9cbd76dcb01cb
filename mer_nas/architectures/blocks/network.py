"""Networks that are used whole: any `nn.Module`, whose arguments become settings.

    @network("ststnet")
    class STSTNet(nn.Module):
        def __init__(self, channels: int, classes: int, width: int = 16): ...

    architecture: {network: {kind: ststnet, width: {choice: [16, 32]}}}

A network takes its inputs in their order, or by name, and gives logits (B, K). In training it may
give (logits, {name: loss}) or a `ModelOutput` instead; its own losses weigh 1 each. As one path of
two it gives what the fusion is to take: numbers (B, C) or a map (B, C, H, W).

Shapes speak of B clips, T frames, C channels, H x W maps and K classes.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from annotated_types import Interval
from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from mer_nas.architectures.blocks.base import (
    NETWORKS,
    Block,
    BuildContext,
    OneOf,
    Shape,
    non_empty,
)
from mer_nas.architectures.shapes import constructed, outlined
from mer_nas.architectures.signature import Signature
from mer_nas.architectures.state import ModelOutput
from mer_nas.errors import ConfigError, shown, unknown
from mer_nas.inputs import FLOW, READABLE, whole_input
from mer_nas.registry import place_of

M = TypeVar("M", bound=type[nn.Module])
_SHAPES: dict[tuple[object, ...], tuple[int, ...]] = {}
"""What networks in paths give of a clip, found once a process."""

InputName = Annotated[str, OneOf(READABLE)]


def _in_order(names: dict[str, str]) -> dict[str, str]:
    """Return what is read by name, which has no order of its own."""
    return dict(sorted(non_empty(names).items()))


InputNames = Annotated[
    Annotated[tuple[InputName, ...], AfterValidator(non_empty), Tag("form[list]")]
    | Annotated[dict[str, InputName], AfterValidator(_in_order), Tag("form[names]")],
    Discriminator(lambda names: "form[names]" if isinstance(names, dict) else "form[list]"),
]
FrameCount = Annotated[int, Interval(ge=1, le=1024)]
Pixels = Annotated[int, Interval(ge=1, le=4096)]


class WholeNetwork(Block):
    """A network that is used whole."""

    model_config = ConfigDict(serialize_by_alias=True, protected_namespaces=())

    inputs: InputNames = (FLOW,)
    """What it reads, in the order in which `forward` takes them, or by name of its argument."""
    size: Pixels = 28
    """Height and width of the inputs, in pixels."""
    taken: FrameCount = Field(1, alias="frames")
    """Frames that it takes of inputs that are sequences; 1 for images."""

    module: ClassVar[type[nn.Module]]
    """What it builds."""
    signature: ClassVar[Signature] = Signature({}, {}, one_channel=False)
    """Its arguments."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of what it reads, in its order; one may stand there twice."""
        return tuple(self.inputs.values() if isinstance(self.inputs, dict) else self.inputs)

    def call(self, module: nn.Module, inputs: Sequence[Tensor]) -> Any:
        """Return what a module of it gives for its inputs."""
        if isinstance(self.inputs, dict):
            return module(**dict(zip(self.inputs, inputs, strict=True)))
        return module(*inputs)

    def build(self, context: BuildContext) -> nn.Module:
        """Return the module."""
        channels = tuple(READABLE[name].channels for name in self.reads)
        facts = {
            "channels": channels[0] if self.signature.one_channel else channels,
            "size": self.size,
            "frames": self.taken,
            "classes": context.width,
        }
        own = {  # its own copy of lists: what a constructor does to them is no setting
            field.alias or name: copy.deepcopy(getattr(self, name))
            for name, field in type(self).model_fields.items()
            if name not in WholeNetwork.model_fields
        }
        return self.module(**{name: facts[name] for name in self.signature.given}, **own)

    def shape(self, context: BuildContext) -> Shape:
        """Return what leaves it: an answer a class, or what the module gives as part of a path."""
        if context.whole:
            return Shape(context.width, (1, 1))
        key = type(self), self.model_dump_json(), context.width
        if key not in _SHAPES:
            with _aside(), torch.no_grad():
                _SHAPES[key] = outlined(
                    lambda: self._shape_of(constructed(lambda: self.build(context)))
                )
        channels, *size = _SHAPES[key]
        return Shape(channels, (size[0], size[1]))

    def _shape_of(self, module: nn.Module) -> tuple[int, ...]:
        """Return the shape of what a module of it gives for a clip, as a map."""
        found = self.call(module.eval(), self.clip())
        return tuple(as_map(output_of(found, module).logits).shape[1:])

    def clip(self) -> list[Tensor]:
        """Return one clip of noise, as the network takes it."""
        shapes = ((READABLE[name].channels, self.size, self.size) for name in self.reads)
        return [
            torch.rand(1, *((self.taken,) * READABLE[name].timed), *shape)
            for name, shape in zip(self.reads, shapes, strict=True)
        ]

    def frames(self, context: BuildContext) -> int:
        """Return 1: it brings frames together itself."""
        return 1

    def check(self, context: BuildContext) -> None:
        """Refuse frames that the inputs do not have, and channels that are no one number."""
        every = {READABLE[name].channels for name in self.reads}
        if len(every) > 1 and self.signature.one_channel:
            found = f"inputs of {' and '.join(map(str, sorted(every)))} channels for channels: int"
            raise context.refuse(found, "channels: tuple[int, ...], or inputs of one kind")
        if self.taken != self._possible_frames():
            found = f"frames: {self.taken} of {', '.join(map(repr, self.reads))}"
            raise context.refuse(found, f"frames: {self._possible_frames()}")
        for name in self.reads:
            if (size := context.sizes.get(whole_input(name), self.size)) != self.size:
                found = f"{name!r} read at size {self.size}, by an earlier path at {size}"
                raise context.refuse(found, "one size for one input")

    def repair(self, context: BuildContext) -> "WholeNetwork":
        """Take as many frames as the inputs have, at the size of an earlier path."""
        read = map(whole_input, self.reads)
        sizes = [context.sizes[name] for name in read if name in context.sizes]
        return self.model_copy(
            update={"taken": self._possible_frames(), "size": [*sizes, self.size][0]}
        )

    def canonical(self, context: BuildContext) -> "WholeNetwork":
        """One image is one frame."""
        timed = any(READABLE[name].timed for name in self.reads)
        return self if timed else self.model_copy(update={"taken": 1})

    def _possible_frames(self) -> int:
        """Return the number of frames that it can take next to what it asks for."""
        timed = [READABLE[name] for name in self.reads if READABLE[name].timed]
        longest = min((read.length for read in timed if read.length), default=self.taken)
        return min(max(2, self.taken), max(2, longest)) if timed else 1


def output_of(found: object, module: nn.Module) -> ModelOutput:
    """Return what a network gave, with its own losses where it has some.

    Args:
        found: What it gave.
        module: The network, for the message.

    Raises:
        ConfigError: It is nothing of what a network may give.
    """
    match found:
        case ModelOutput():
            return found
        case Tensor():
            return ModelOutput(found)
        case (Tensor() as logits, Mapping() as losses):
            return ModelOutput(logits, losses)
    parts = [type(part).__name__ for part in found] if isinstance(found, tuple | list) else []
    given = f"{type(found).__name__} ({', '.join(parts)})" if parts else shown(found)
    raise ConfigError(
        f"{place_of(type(module).forward)}: forward of {type(module).__name__} gives {given}; "
        "logits, or (logits, {name: loss}) would be right"
    )


class Part(NamedTuple):
    """A module inside a network that is used whole, as a drawing shows it."""

    name: str
    """Its path in the network: "features.0"."""
    kind: str
    """Its class."""
    shape: tuple[int, ...]
    """Of what leaves it for one clip, (C, H, W) mostly; empty of what is no tensor."""


MOST_PARTS = 24
"""Modules that a drawing shows; where there are more, those around them stand for them."""


def parts_of(block: WholeNetwork, context: BuildContext) -> list[Part]:
    """Return the modules of a network in the order in which a clip leaves them.

    They are the innermost ones, up to the depth at which they are too many for a drawing.
    """

    def left() -> list[Part]:
        shapes: dict[str, tuple[int, ...]] = {}
        module = constructed(lambda: block.build(context)).eval()
        modules = _level(module)
        for name, inner in modules.items():

            def note(_: nn.Module, __: object, found: object, name: str = name) -> None:
                if isinstance(found, tuple) and found:  # a recurrent layer gives its state, too
                    found = found[0]
                shapes[name] = tuple(found.shape[1:]) if isinstance(found, Tensor) else ()

            inner.register_forward_hook(note)
        block.call(module, block.clip())
        return [Part(name, type(modules[name]).__name__, shape) for name, shape in shapes.items()]

    with _aside(), torch.no_grad():
        return outlined(left)


def _level(module: nn.Module) -> dict[str, nn.Module]:
    """Return the modules at the deepest level at which they are few enough, by name."""
    found = _children(module)
    while True:
        deeper = {
            f"{name}.{child}" if child else name: inner
            for name, outer in found.items()
            for child, inner in (_children(outer) or {"": outer}).items()
        }
        if len(deeper) > MOST_PARTS or deeper.keys() == found.keys():
            return found
        found = deeper


def _children(module: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that a clip goes through in a module, and not those of its weights."""
    return {name: child for name, child in module.named_children() if name != "parametrizations"}


def as_map(numbers: Tensor) -> Tensor:
    """Return what a network gives as part of a path, numbers (B, C) or a map, as a map."""
    return numbers[:, :, None, None] if numbers.ndim == 2 else numbers


@contextmanager
def _aside() -> Iterator[None]:
    """Let nobody count, and no stream of chance see, what is done."""
    with _disable_current_modes(), torch.random.fork_rng(devices=[]):
        yield


def network(
    kind: str,
    *,
    inputs: Sequence[str] | Mapping[str, str] = (FLOW,),
    size: int | None = None,
    frames: int | None = None,
    source: str = "",
) -> Callable[[M], M]:
    """Return a decorator that makes a class of modules a network of every space.

    Its arguments become settings, but for `channels`, `size`, `frames` and `classes`, which the
    data decide.

    Args:
        kind: What YAML calls it.
        inputs: What it reads where YAML does not say, in the order in which `forward` takes them,
            or by the name of its argument.
        size: Their height and width where YAML does not say, in pixels; None: the default of the
            argument `size`, or else 28.
        frames: Frames that it takes of sequences where YAML does not say; None: the default of the
            argument `frames`, or else 2.
        source: Where it comes from, for `mer-nas list`.

    Raises:
        ConfigError: An argument is no setting, `classes` is missing, or the name is taken.
    """

    def register(module: M) -> M:
        if not (isinstance(module, type) and issubclass(module, nn.Module)):
            raise ConfigError(f"the network {kind!r} is {module!r}, and no class of nn.Module")
        NETWORKS.register(_block(kind, module, _checked(kind, inputs), size, frames, source))
        return module

    return register


def _checked(kind: str, inputs: Sequence[str] | Mapping[str, str]) -> Any:
    """Return the inputs of a network as its settings have them.

    Raises:
        ConfigError: There is none of that name.
    """
    named = dict(inputs) if isinstance(inputs, Mapping) else None
    names = (inputs,) if isinstance(inputs, str) else tuple(named.values() if named else inputs)
    for name in names:
        if name not in READABLE:
            raise ConfigError(f"the network {kind!r}: {unknown('input', name, READABLE)}")
    return named or names


def _like(name: str, default: Any) -> Any:
    """Return a setting that every network has, with another default."""
    field = WholeNetwork.model_fields[name]
    return Field(default, alias=field.alias)


def _block(
    kind: str,
    module: type[nn.Module],
    inputs: tuple[str, ...] | dict[str, str],
    size: int | None,
    frames: int | None,
    source: str,
) -> type[WholeNetwork]:
    """Return the block whose settings are the arguments of a module."""
    signature = Signature.of(module, taken=frozenset({"kind", "inputs"}))

    def usual(name: str, said: int | None, kind: Any, otherwise: int) -> int:
        """Return a default: of the decorator, of the argument, or else of every network."""
        values = (said, signature.given.get(name), otherwise)
        value = next(value for value in values if value is not None)
        try:
            return TypeAdapter[int](kind).validate_python(value)
        except ValidationError as error:
            found = f"{name} of {module.__name__} is {shown(value)} where YAML does not say"
            raise ConfigError(
                f"{place_of(module.__init__)}: {found}: {error.errors()[0]['msg']}"
            ) from None

    fields: dict[str, Any] = {
        "kind": (Literal[kind], kind),
        "inputs": (InputNames, _like("inputs", inputs)),
        "size": (Pixels, _like("size", usual("size", size, Pixels, 28))),
        "taken": (FrameCount, _like("taken", usual("frames", frames, FrameCount, 1))),
    }
    for name, (annotation, default) in signature.settings.items():
        about = f"{name} of {module.__name__}."
        # Such as depth, which every block has.
        known = hasattr(WholeNetwork, name) or name in WholeNetwork.__annotations__
        taken = known or name.startswith("_")
        free, alias = (f"{name.strip('_')}_", name) if taken else (name, None)
        fields[free] = annotation, Field(default, alias=alias, description=about)
    made = create_model(
        module.__name__,
        __base__=WholeNetwork,
        __module__=module.__module__,
        __doc__=module.__doc__ or f"The network {module.__name__}.",
        **fields,
    )
    made.module, made.signature, made.source = module, signature, source
    return made

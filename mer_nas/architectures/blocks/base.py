"""What a block is, the slots it can stand in, and where in a network it stands.

A block is a frozen piece of configuration that can build its own module. Its slot is a registry;
registering a class is all it takes to make a new `kind` known to YAML, to the JSON schema and to
`mer-nas list`:

    @GATES.register
    class Brighten(Block):
        kind: Literal["brighten"] = "brighten"

        def build(self, context: BuildContext) -> nn.Module:
            return MyGate(context.channels)
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, GetCoreSchemaHandler, PositiveInt
from pydantic_core import CoreSchema, core_schema
from torch import nn

from mer_nas.config.base import Config
from mer_nas.errors import Infeasible, unknown
from mer_nas.registry import Registry

T = TypeVar("T")
C = TypeVar("C", bound=Collection[Any])


Size = tuple[int, int]
"""Height and width of a map."""


class Shape(NamedTuple):
    """What leaves a block."""

    channels: int
    size: Size
    stride: int = 1
    """Subsampling that the block leaves to the first local block of its stage."""


class StageBlocks(NamedTuple):
    """The blocks of a stage, in the order in which a map meets them."""

    down: "Block"
    local: "Block"
    global_: "Block"
    gate: "Block"


@dataclass(frozen=True)
class BuildContext:
    """Where in a network a block stands."""

    place: str
    """How messages call it: "paths.0.stages.1.gate"."""
    channels: int
    """Channels that come in."""
    width: int
    """Channels that should leave it; for a head, the number of classes."""
    size: Size
    """Height and width of the map that comes in."""
    stages: tuple[StageBlocks, ...] = ()
    """What stands in the stages of the path, for blocks that depend on their surroundings."""
    stage: int = 0
    """Index of the stage in the path."""
    stride: int = 1
    """Subsampling that the stage still expects from its first local block."""
    drop_path: tuple[float, ...] = ()
    """Rate of stochastic depth for every layer of the block."""
    frames: int = 1
    """Frames of a clip that come in, as neighbours in the batch: maps are (B T, C, H, W)."""
    path: int = 0
    """Index of the path; behind all paths, of the last one."""
    pools: tuple["Block", ...] = ()
    """The temporal pool of every path of the network."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """By input, at which height and width the first path that reads it does so."""
    ends: tuple[Shape, ...] = ()
    """What every path ends with, for a fusion, a head or an auxiliary task."""
    whole: bool = False
    """Whether it is a network that gives the answers itself, and no part of a path."""

    @property
    def around(self) -> StageBlocks:
        """The stage that the block belongs to."""
        return self.stages[self.stage]

    @property
    def before(self) -> tuple[StageBlocks, ...]:
        """The stages of the path before this one."""
        return self.stages[: self.stage]

    @property
    def after(self) -> tuple[StageBlocks, ...]:
        """The stages of the path after this one."""
        return self.stages[self.stage + 1 :]

    @property
    def windows(self) -> int:
        """Windows along a side in the pyramid that ends with one window in the last stage."""
        return int(2 ** len(self.after))

    @property
    def largest_kernel(self) -> int:
        """The largest useful kernel: from the middle of the map it reaches every position."""
        return 2 * min(self.size) - 1

    def check_kernels(self, kernels: Iterable[int]) -> None:
        """Refuse a kernel that reaches past the map from every position."""
        limit = self.largest_kernel
        if (found := max(kernels, default=1)) > limit:
            height, width = self.size
            raise self.refuse(
                f"a kernel of {found} is too large for a map of {height} x {width}",
                f"kernels up to {limit}",
            )

    def fitting_kernels(self, kernels: tuple[int, ...]) -> tuple[int, ...]:
        """Return `kernels` with the largest that fits for those too large, if 3 or more does."""
        limit = self.largest_kernel
        return tuple(min(kernel, limit) for kernel in kernels) if limit >= 3 else kernels

    def refuse(self, found: str, right: str) -> Infeasible:
        """Return the error that says what was found here and what would be right."""
        return Infeasible(f"{self.place}: {found}; right: {right}")


class Block(Config):
    """One choice for one slot of the grammar."""

    kind: str
    """Which block this is."""

    source: ClassVar[str] = ""
    """Where the block comes from, for `mer-nas list`."""
    resamples: ClassVar[frozenset[str]] = frozenset()
    """Kinds of down that this block carries out itself, as the first of its stage."""
    skips: ClassVar[bool] = True
    """Whether clips may skip its layers in training: stochastic depth."""

    def __init_subclass__(cls, **settings: Any) -> None:
        """Refuse the name that `canonical` once had: nobody would call the method."""
        super().__init_subclass__(**settings)
        if hasattr(cls, "settle"):
            raise TypeError(f"{cls.__name__}.settle is called canonical now; rename it")

    def build(self, context: BuildContext) -> nn.Module:
        """Return the module that stands there, freshly initialised."""
        raise NotImplementedError

    def shape(self, context: BuildContext) -> Shape:
        """Return what leaves the block; by default what comes in."""
        return Shape(context.channels, context.size, context.stride)

    def frames(self, context: BuildContext) -> int:
        """Return how many frames of a clip leave the block: all that come in, or 1."""
        return context.frames

    def check(self, context: BuildContext) -> None:
        """Raise Infeasible where the block breaks a rule there."""

    def repair(self, context: BuildContext) -> "Block":
        """Return the nearest block that fits; used for drawn candidates, not for written ones."""
        return self

    def check_searched(self, context: BuildContext) -> None:
        """Raise Infeasible where the block may be written there, but not searched."""

    def canonical(self, context: BuildContext) -> "Block":
        """Return the canonical form: settings without effect at `context` are neutral."""
        return self

    def describe(self, *, whole: bool = False) -> str:
        """Return the kind and the settings in which it differs from its defaults, or all.

        >>> from mer_nas.architectures import LOCALS
        >>> LOCALS["res_basic"](blocks=2).describe(), LOCALS["res_basic"]().describe()
        ('res_basic (blocks 2)', 'res_basic')
        """
        said = [
            f"{field.alias or name} {_shown(value, whole=whole)}"
            for name, field in type(self).model_fields.items()
            if name != "kind"
            and (
                (value := getattr(self, name)) != field.get_default(call_default_factory=True)
                or whole
            )
        ]
        return f"{self.kind} ({', '.join(said)})" if said else self.kind

    @property
    def depth(self) -> int:
        """Number of layers that count as blocks of the stage."""
        return 0

    @property
    def losses(self) -> frozenset[str]:
        """Names of the auxiliary losses that the block gives, or makes possible, in training."""
        return frozenset()

    @property
    def needs(self) -> frozenset[str]:
        """Names of the auxiliary losses without which the block would learn nothing."""
        return frozenset()


def _shown(value: object, *, whole: bool) -> str:
    if isinstance(value, Block):
        return value.describe(whole=whole)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    if isinstance(value, tuple | list):
        return "+".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


class Stem(Block):
    """The first block of a path; it sets the path's first width."""

    width: int

    def level(self, context: BuildContext) -> nn.Module | None:
        """Return what is added to the map before the global blocks of the stage."""
        return None


class Identity(Block):
    """The empty choice of a slot: what comes in leaves as it is."""

    kind: Literal["none"] = "none"

    def build(self, context: BuildContext) -> nn.Module:
        """Return the identity."""
        return nn.Identity()


def scale_width(width: int, growth: float) -> int:
    """Return `growth` times a width, rounded to a multiple of 8; 1 keeps the width."""
    return width if growth == 1 else max(8, 8 * int(growth * width / 8 + 0.5))


def shrink(size: Size, stride: int) -> Size:
    """Return the size of a map after a padded operation of that stride: rounded up."""
    return -(-size[0] // stride), -(-size[1] // stride)


def non_empty(items: C) -> C:
    """Refuse what is empty; as a length, pydantic would also count items that it refuses."""
    if not items:
        raise ValueError("at least one is needed")
    return items


STEMS = Registry[Stem]("stem")
MULTI_SCALES = Registry[Block]("multi-scale module")
DOWNS = Registry[Block]("down")
LOCALS = Registry[Block]("local block")
GLOBALS = Registry[Block]("global block")
GATES = Registry[Block]("gate")
TEMPORALS = Registry[Block]("temporal pool")
FUSIONS = Registry[Block]("fusion")
HEADS = Registry[Block]("head")
DYN_IMAGES = Registry[Block]("decoder of dynamic images")
ORTHS = Registry[Block]("orthogonality")
NETWORKS = Registry[Block]("network")

for _slot in (MULTI_SCALES, DOWNS, LOCALS, GLOBALS, GATES, TEMPORALS, DYN_IMAGES, ORTHS):
    _slot.register(Identity)

SLOTS: Mapping[str, Registry[Any]] = {
    "stem": STEMS,
    "multi_scale": MULTI_SCALES,
    "down": DOWNS,
    "local": LOCALS,
    "global": GLOBALS,
    "gate": GATES,
    "temporal": TEMPORALS,
    "fusion": FUSIONS,
    "head": HEADS,
    "dyn_image": DYN_IMAGES,
    "orth": ORTHS,
    "network": NETWORKS,
}
"""Every slot by the name that it has in YAML."""


@dataclass(frozen=True, eq=False)  # a table has no hash, which a part of a union needs
class Slot:
    """Annotates a field with the slot that fills it: one of the blocks registered by then."""

    registry: Registry[Any]

    @property
    def __args__(self) -> tuple[type[Block], ...]:
        return tuple(self.registry.values())

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {kind: handler.generate_schema(block) for kind, block in self.registry.items()}
        if choices:
            return core_schema.tagged_union_schema(choices, discriminator="kind")
        return core_schema.no_info_before_validator_function(
            self._refuse, core_schema.dict_schema()
        )

    def _refuse(self, tree: object) -> object:
        """Say that there is nothing to fill the slot with yet."""
        kind = tree.get("kind") if isinstance(tree, Mapping) else tree
        raise ValueError(unknown(self.registry.slot, kind, self.registry))


@dataclass(frozen=True, eq=False)
class OneOf:
    """Annotates a string field with the table whose keys it may take."""

    table: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.table))


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel has a middle, so it is odd, not {kernel}")
    return kernel


def _ascending(kernels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(kernels))


OddKernel = Annotated[PositiveInt, AfterValidator(_odd)]
"""Height and width of a kernel."""


KernelSet = Annotated[tuple[OddKernel, ...], AfterValidator(non_empty), AfterValidator(_ascending)]
"""Kernels whose order has no meaning."""

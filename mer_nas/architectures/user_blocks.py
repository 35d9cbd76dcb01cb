"""Mistakes of a user's own blocks, said with the block, its file, the line and the shapes."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mer_nas.architectures.beside import PREFIX
from mer_nas.architectures.blocks.base import SLOTS, Block, BuildContext, Shape
from mer_nas.architectures.blocks.network import WholeNetwork
from mer_nas.architectures.shapes import constructed
from mer_nas.errors import ConfigError, MerNasError, shown, told


class BlockError(ConfigError):
    """A block of the user's own cannot be built, fails, or does not do what it says."""


class _Built(NamedTuple):
    """The module of a user's own block."""

    module: nn.Module
    block: Block
    context: BuildContext


class _OwnModules(list[_Built]):
    """The modules of a user's own blocks in one network."""

    @contextmanager
    def checked(self, clips: int = 1) -> Iterator[None]:
        """Hold what they give for clips against what their blocks say.

        Args:
            clips: In a batch.

        Raises:
            BlockError: One fails, or gives another shape, or values that are no numbers.
        """
        running: list[tuple[_Built, str]] = []

        def before(each: _Built, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            running.append((each, _shapes((*given, *named.values()))))

        def after(each: _Built, found: Any) -> None:
            given = running.pop()[1]
            right, wrong = _right(each.block, each.context, clips), ""
            if isinstance(each.block, WholeNetwork) and isinstance(found, tuple) and found:
                found = found[0]  # beside its own losses
            if right is not None and _shapes(found) != _shapes(right):
                wrong = f"forward makes {_shapes(found)} of {given}; {_shapes(right)}"
            elif isinstance(found, Tensor) and not (found.is_meta or found.isfinite().all()):
                wrong = f"forward makes {_first_odd(found)} of noise {given}; numbers"
            if wrong:
                where = _forward(each.module)
                raise _error(each.block, each.context, f"{where}{wrong} would be right")

        for each in self:
            each.module.register_forward_pre_hook(
                lambda _, given, named, each=each: before(each, given, named), with_kwargs=True
            )
            each.module.register_forward_hook(lambda _, __, found, each=each: after(each, found))
        try:
            yield
        except MerNasError:
            raise
        except (Exception, SystemExit) as error:
            if not running and not (where := block_line(error)):
                raise
            if not running:
                first, *_ = self
                said = f"{where}: {told(error)}"
                raise _error(first.block, first.context, said) from error
            each, given = running[-1]
            raise _error(each.block, each.context, _failed(error, "forward", given)) from error


_built: ContextVar[_OwnModules | None] = ContextVar("built", default=None)


def is_user_block(part: object) -> TypeGuard[Block]:
    """Whether a part is a block that comes from outside of mer-nas."""
    return isinstance(part, Block) and not type(part).__module__.startswith("mer_nas.")


def ask_block(block: Block, context: BuildContext, method: str) -> Any:
    """Return what a method of a block answers, such as its `build`, `shape` or `repair`.

    Raises:
        BlockError: One of the user's own fails, or answers with something else than it should.
    """
    if not is_user_block(block):
        return getattr(block, method)(context)
    with _naming(block, context, method, f"{context.channels} channels of {_by(context.size)}"):
        answer = partial(getattr(block, method), context)
        found = constructed(answer) if method == "build" else answer()
    right = _wanted(block, method, found)
    if right:
        gives = type(found).__name__ if isinstance(found, nn.Module) else shown(found)
        raise _error(block, context, f"{method} gives {gives}; {right} would be right")
    if method == "build" and (built := _built.get()) is not None:
        built.append(_Built(found, block, context))
    return found


def _wanted(block: Block, method: str, found: object) -> str:
    """Return what a method should have given; empty where it has."""
    match method:
        case "build":
            return _wanted_of_module(found)
        case "shape":
            return "" if isinstance(found, Shape) else "a Shape"
        case "repair" | "canonical":
            slot = _slot_of(block)
            fits = _fits(found, slot) if slot else isinstance(found, Block)
            return "" if fits else f"a block of the slot {slot}"
    return ""


def _wanted_of_module(found: object) -> str:
    """Return what should have been built; empty for what can be counted, copied and drawn."""
    if not isinstance(found, nn.Module):
        return "a torch.nn.Module"
    if any(map(is_lazy, (*found.parameters(), *found.buffers()))):
        return "one without lazy layers, whose sizes nobody knows,"
    if any(isinstance(module, torch.jit.ScriptModule) for module in found.modules()):
        return "one of which torch.jit has compiled no part"
    return ""


def _fits(block: object, slot: str) -> bool:
    """Whether a slot offers a block."""
    kind = str(getattr(block, "kind", ""))
    return kind in SLOTS[slot] and SLOTS[slot][kind] is type(block)


def _slot_of(block: Block) -> str:
    """Return the slot that a user's own block is for; empty where it is for none."""
    return next((slot for slot in SLOTS if _fits(block, slot)), "")


@contextmanager
def record_built() -> Iterator[_OwnModules]:
    """Collect the user's own modules that are built."""
    built = _OwnModules()
    token = _built.set(built)
    try:
        yield built
    finally:
        _built.reset(token)


def block_line(error: BaseException) -> str:
    """Return where in a user's own file an error arose: "halves.py, line 31"; empty elsewhere.

    Of several own places it is the last: files beside the block's, which it imports, are own, too.
    """
    known = {
        type_.__module__
        for registry in SLOTS.values()
        for type_ in registry.values()
        if not type_.__module__.startswith("mer_nas.")
    }
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (name := str(frame.f_globals.get("__name__"))) in known or name.startswith(PREFIX)
    ]
    return _place(*frames[-1]) if frames else ""


def describe(error: BaseException) -> str:
    """Return an exception as one line, such as a failed trial keeps.

    Of one in a user's own block it names the file and the line.
    """
    own = block_line(error)
    return f"{own}: {told(error)}" if own else told(error)


@contextmanager
def _naming(block: Block, context: BuildContext, doing: str, given: str) -> Iterator[None]:
    try:
        yield
    except MerNasError:
        raise
    except (Exception, SystemExit) as error:
        raise _error(block, context, _failed(error, doing, given)) from error


def _failed(error: BaseException, doing: str, given: str) -> str:
    where = block_line(error)
    text = " ".join(str(error).split())
    if isinstance(error, NotImplementedError) and not text:
        text = f"the block has no {doing}"
    said = f"{doing} fails for {given}: {type(error).__name__}: {text}"
    return f"{where}: {said}" if where else said


def _error(block: Block, context: BuildContext, text: str) -> BlockError:
    what = "network" if isinstance(block, WholeNetwork) else "block"
    return BlockError(f"{context.place}: the {what} {block.kind!r} of {_file(block)}: {text}")


def _file(block: Block) -> str:
    module: ModuleType | None = sys.modules.get(type(block).__module__)
    return str(getattr(module, "__file__", None) or type(block).__module__)


def _place(frame: FrameType, line: int) -> str:
    return f"{Path(frame.f_code.co_filename).name}, line {line}"


def _forward(module: nn.Module) -> str:
    code = getattr(type(module).forward, "__code__", None)
    return f"line {code.co_firstlineno}: " if code is not None else ""


def _first_odd(found: Tensor) -> float:
    """Return the first value that is no number."""
    return float(found.detach().flatten()[~found.isfinite().flatten()][0])


def _right(block: Block, context: BuildContext, clips: int) -> tuple[int, ...] | None:
    """Return the shape that a block should give for clips; none where no block says so."""
    slot = _slot_of(block)
    if slot in {"dyn_image", "orth", "multi_scale", ""}:
        return None
    if slot == "head" or context.whole:
        return clips, context.width
    if slot == "network":
        return None
    shape: Shape = ask_block(block, context, "shape")
    return clips * block.frames(context), shape.channels, *shape.size


def _shapes(found: Any) -> str:
    """Return the shapes of the tensors among arguments or results, as people write them."""
    if isinstance(found, Tensor):
        found = tuple(found.shape)
    if isinstance(found, tuple) and found and not all(isinstance(n, int) for n in found):
        tensors = [x for x in found if isinstance(x, Tensor)]
        return " and ".join(map(_shapes, tensors)) or shown(found)
    return f"({', '.join(map(str, found))})" if isinstance(found, tuple) else shown(found)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"

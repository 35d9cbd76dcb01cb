"""What every block promises: built wherever it may stand, pure, counted, exported, written down.

A block is tried in small networks of the grammar: as the only one, first and last, on odd maps and
on one position, behind patches, on frames, in one of two paths. Where its `check` refuses a place
nothing more is asked of it there.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils.flop_counter import FlopCounterMode

from mer_nas.architectures import (
    SLOTS,
    Architecture,
    Block,
    Cost,
    ModelOutput,
    Network,
    State,
    Stateful,
    WholeNetwork,
    deployed,
    parse,
    parse_drawn,
)
from mer_nas.architectures.blocks.network import as_map, output_of
from mer_nas.architectures.walk import Visit, walk
from mer_nas.config.base import Tree
from mer_nas.config.presets import dump
from mer_nas.errors import Infeasible
from mer_nas.export.onnx import try_export
from mer_nas.testing.checks import Check, expect, no_global_chance, run_all, seeded

CLASSES = 3
CLIPS = 5
"""Clips of a batch."""
STARTS = 6
"""Starts of which one must let every weight learn something: a unit may start dead."""
WIDTHS = (16, 24, 48, 64)
"""Widths of the stem, of which the first is taken that the block fits."""
CLOSE = 1e-4
"""Largest difference, relative to the logits, that the order of sums explains."""


ONE_POSITION = "on one position"
"""A place where some blocks have nothing to do, and are drawn as none."""


def check_block(slot: str, kind: str, **settings: Any) -> None:
    """Hold a registered block to everything that is promised of blocks.

    Args:
        slot: As YAML calls it: "gate", "local", "global", "temporal", ...
        kind: The block.
        settings: Of the block, where it should be tried with others than its defaults.

    Raises:
        AssertionError: Every promise that it breaks, and where.
        ConfigError: The slot or the kind is unknown.
    """
    run_all(block_checks(slot, kind, **settings))


def block_checks(slot: str, kind: str, **settings: Any) -> list[Check]:
    """Return what is promised of a registered block, for `pytest.mark.parametrize`.

    Args:
        slot: As YAML calls it: "gate", "local", "global", "temporal", ...
        kind: The block.
        settings: Of the block, where it should be tried with others than its defaults.

    Raises:
        ConfigError: The slot or the kind is unknown.
    """
    case = _Case(slot, SLOTS[slot][kind], {"kind": kind, **settings})
    return Check.of_each(_PROMISES, case)


@dataclass(frozen=True)
class _Case:
    """A block and the networks that it is tried in."""

    slot: str
    type: type[Block]
    tree: Tree

    @cached_property
    def places(self) -> Mapping[str, Tree]:
        """Networks by what is special about the block's place, whether it may stand there or not.

        Each is given in the first width of the stem that the block fits.
        """
        return {name: self._fitting(name) for name in _networks(self.slot, self.tree, WIDTHS[0])}

    @cached_property
    def networks(self) -> Mapping[str, Architecture]:
        """Networks in which the block may stand."""
        found = {}
        for name, tree in self.places.items():
            try:
                found[name] = parse(tree)
            except Infeasible:
                continue
        expect(found, f"{self.tree} is refused in every network:\n{self._refusals()}")
        return found

    def visits(self, architecture: Architecture) -> list[Visit]:
        """Return where the block stands in a network."""
        every = walk(architecture, classes=CLASSES)
        return [
            visit
            for visit in every
            if visit.slot.rstrip("_") == self.slot and isinstance(visit.part, self.type)
        ]

    def _fitting(self, name: str) -> Tree:
        for width in WIDTHS:
            tree = _networks(self.slot, self.tree, width)[name]
            tree = self._with_needs(tree)
            try:
                parse(tree)
            except Infeasible:
                continue
            return tree
        return self._with_needs(_networks(self.slot, self.tree, WIDTHS[0])[name])

    def _with_needs(self, tree: Tree) -> Tree:
        """Give the losses that the block cannot do without some weight."""
        needs = self.type.model_validate(self.tree).needs
        if "network" in tree:
            return tree
        made = {name: {"kind": "small"} if name == "dyn_image" else 0.1 for name in needs}
        return {**tree, "losses": {**made, **tree.get("losses", {})}}

    def _refusals(self) -> str:
        said = []
        for tree in self.places.values():
            try:
                parse(tree)
            except Infeasible as error:
                said += str(error).splitlines()
        return "\n".join(f"  {line}" for line in dict.fromkeys(said))


_BASIC: Tree = {"local": {"kind": "res_basic"}}
_HALVED: Tree = {"growth": 2, "down": {"kind": "in_block"}, **_BASIC}
_FRAMES: Tree = {"input": "frames", "frames": 4}


def _networks(slot: str, block: Tree, width: int) -> Mapping[str, Tree]:
    conv: Tree = {"kind": "conv", "kernel": 3, "stride": 2, "pool": False, "width": width}
    match slot:
        case "down" | "local" | "global" | "gate":
            paths = _along_a_path(slot, block, conv, width)
        case "stem":
            paths = _with_stem({"width": width, **block})
        case "multi_scale":
            paths = _with_stem({**conv, "multi_scale": block})
        case "temporal":
            paths = _over_time(block, conv)
        case "network":
            return _whole(block, conv)
        case _:
            return _behind_paths(slot, block, conv)
    one: dict[str, Tree] = {name: {"paths": [path]} for name, path in paths.items()}
    if slot == "temporal":
        one["before rank features"]["head"] = {"kind": "rank_fc"}
    other = {"stem": conv, "stages": [_BASIC]}
    two = {"paths": [next(iter(paths.values())), other], "fusion": {"kind": "sum", "width": width}}
    return {**one, "in one of two paths": two}


def _whole(block: Tree, conv: Tree) -> Mapping[str, Tree]:
    paths = [{"network": block}, {"stem": conv, "stages": [_BASIC]}]
    return {
        "alone": {"network": block},
        "as one of two paths": {"paths": paths, "fusion": {"kind": "sum", "width": 8}},
        "before a head": {"paths": paths[:1]},
    }


def _along_a_path(slot: str, block: Tree, conv: Tree, width: int) -> Mapping[str, Tree]:
    held = {slot: block} if slot in {"local", "global"} else {**_BASIC, slot: block}
    deeper = {"growth": 2, **held} if slot == "down" else {**_HALVED, **held}
    if slot == "global":
        deeper = {"growth": 2, "down": {"kind": "conv_maxpool"}, **held}
    patch = {"kind": "patch", "patch": 4, "width": width}

    def path(*stages: Tree, stem: Tree = conv, **settings: Any) -> Tree:
        return {"stem": stem, "stages": list(stages), **settings}

    mean = {"kind": "mean"}
    embedded: Tree = {
        "growth": 2,
        "down": {"kind": "patch_merge"},
        "local": {"kind": "lra", "rounding": 8},
    }
    return {
        "in the first of two stages": path(held, _HALVED),
        "in the last of two stages": path(_BASIC, deeper),
        "in every stage": path(held, deeper),
        "alone": path(held),
        "where the width grows": path(_BASIC, {"growth": 1.5, **held}),
        "beside local and global blocks": path(
            {"local": {"kind": "res_basic"}, "global": {"kind": "mhsa"}, **held}
        ),
        "beside blocks that embed patches": path(_BASIC, {**embedded, **held, **_local(held)}),
        "behind a progressive gate": path(
            {**_BASIC, "gate": {"kind": "prog", "carry": "none"}}, deeper
        ),
        "on an odd map": path(held, deeper, stem={**patch, "patch": 3}, size=27),
        "behind patches": path(held, stem=patch),
        ONE_POSITION: path(held, stem=patch, size=4),
        "on frames that are pooled later": path(held, temporal=mean, **_FRAMES),
        "on frames that nothing else pools": path(held, **_FRAMES),
    }


def _local(held: Tree) -> Tree:
    """Return the local block that embeds patches, where the place is not the block's own."""
    own = held["local"] != _BASIC["local"] if "local" in held else False
    return {"local": held["local"]} if own else {"local": {"kind": "lra", "rounding": 8}}


def _with_stem(stem: Tree) -> Mapping[str, Tree]:
    path: Tree = {"stem": stem, "stages": [_BASIC, _HALVED]}
    return {
        "before two stages": path,
        "before global blocks": {**path, "stages": [{"global": {"kind": "mhsa"}}]},
        "on an odd image": {**path, "size": 27},
        "on a large image": {**path, "size": 56},
        "on frames": {**path, **_FRAMES, "temporal": {"kind": "mean"}},
        "on tiles": {**path, "layout": "tiles4"},
    }


def _over_time(pool: Tree, conv: Tree) -> Mapping[str, Tree]:
    path: Tree = {"stem": conv, "stages": [_BASIC, _HALVED], "temporal": pool, **_FRAMES}
    movable = "where" in SLOTS["temporal"][pool["kind"]].model_fields and "where" not in pool
    places = {"stem": "stem", "first stage": 0, "last stage": "end"} if movable else {}
    return {
        "over four frames": path,
        "over onset, apex and offset": {**path, "input": "keyframes", "frames": 3},
        "over two frames in colour": {**path, "input": "keyframes_rgb", "frames": 2},
        "over one image": {**path, "input": "flow_uvs", "frames": 1},
        "before rank features": path,
        **{
            f"behind the {name}": {**path, "temporal": {"where": where, **pool}}
            for name, where in places.items()
        },
    }


def _behind_paths(slot: str, block: Tree, conv: Tree) -> Mapping[str, Tree]:
    one: Tree = {"stem": conv, "stages": [_BASIC, _HALVED]}
    other: Tree = {"stem": conv, "stages": [_BASIC]}
    timed: Tree = {**one, **_FRAMES, "temporal": {"kind": "learned"}}
    small: Tree = {"stem": {**conv, "stride": 1}, "stages": [_BASIC], "size": 5}
    large: Tree = {**timed, "stem": {**conv, "stride": 1}, "stages": [_BASIC], "size": 32}
    ranked: Tree = {**timed, "temporal": {"kind": "conv3d"}}
    ways: dict[str, list[Tree]] = {
        "one path": [one],
        "two paths of unlike shape": [one, other],
        "two paths of one shape": [one, one],
        "a path of frames": [timed],
        "frames beside flow": [timed, other],
        "a small map": [small],
        "a large map of frames": [large],
        "rank features": [ranked],
    }
    merged: Tree = {"fusion": {"kind": "sum", "width": conv["width"]}}

    def tree(paths: list[Tree]) -> Tree:
        fused = merged if len(paths) == 2 else {}
        if slot in {"dyn_image", "orth"}:
            return {"paths": paths, **fused, "losses": {slot: block}}
        return {"paths": paths, **fused, slot: block}

    return {f"behind {name}": tree(paths) for name, paths in ways.items()}


def _network(architecture: Architecture, seed: int = 0) -> Network:
    """Return a network without near-zeros, in which every part makes a difference."""
    with seeded(seed):
        network = Network(architecture, CLASSES)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=min(parameter[0].numel() ** -0.5, 0.5))
        for module in network.modules():
            scale = getattr(module, "weight", None)  # of a norm that closes a residual block
            if isinstance(scale, nn.Parameter) and scale.ndim == 1 and not scale.any():
                nn.init.ones_(scale)
    return network


def _clips(architecture: Architecture, count: int = CLIPS, seed: int = 0) -> list[Tensor]:
    dice = torch.Generator().manual_seed(seed)
    shapes = [architecture.shapes[name] for name in architecture.inputs]
    return [torch.randn(count, *shape, generator=dice) for shape in shapes]


def _logits(network: nn.Module, clips: list[Tensor]) -> Tensor:
    with torch.no_grad():
        found = network.eval()(*clips)
    expect(isinstance(found, Tensor), f"in evaluation a network gives {type(found).__name__}")
    logits: Tensor = found
    return logits


def _expect_close(found: Tensor, right: Tensor, what: str) -> None:
    largest = float((found - right).abs().max())
    limit = CLOSE * (1 + float(right.abs().max()))
    expect(largest <= limit, f"{what}: differ by {largest:.2g}; at most {limit:.2g} is rounding")


def _says_what_it_is(case: _Case) -> None:
    """A block has a docstring, its settings have one each, and the schema knows its kind."""
    expect((case.type.__doc__ or "").strip(), f"{case.type.__name__} has no docstring")
    properties = case.type.model_json_schema()["properties"]
    for name, field in case.type.model_fields.items():
        said = name == "kind" or properties[field.alias or name].get("description")
        expect(said, f"the setting {name} has no docstring")
    kind = properties["kind"]
    expect(kind.get("const") == case.tree["kind"], f"the schema knows the kind as {kind}")


def _refuses_with_a_way_out(case: _Case) -> None:
    """A block stands somewhere; where it may not, the message says what would be right there."""
    for name in set(case.places) - set(case.networks):
        try:
            parse(case.places[name])
        except Infeasible as error:
            for line in str(error).splitlines():
                said = line.startswith("architecture.") and "right: " in line
                expect(said, f"{name}: the message names no place, or nothing right: {line}")


def _is_repaired_for_good(case: _Case) -> None:
    """What a search draws is repaired to what may stand there, and what fits is left as it is."""
    for name, tree in case.places.items():
        try:
            repaired = parse_drawn(tree)
        except Infeasible:
            expect(name not in case.networks, f"{name}: fits as written, and is refused as drawn")
            continue
        written = repaired.model_dump(mode="json")
        expect(parse(written) == repaired, f"{name}: what was repaired is not what it says")
        if name in case.networks and name != ONE_POSITION:  # there a block may be emptied
            same = repaired == case.networks[name]
            expect(same, f"{name}: what fits is changed by repair")


def _has_a_canonical_form(case: _Case) -> None:
    """Written to YAML and read again, a network is the same; read twice, it does not change."""
    for name, architecture in case.networks.items():
        tree = architecture.model_dump(mode="json")
        again = parse(yaml.safe_load(dump(tree)))
        expect(again == architecture, f"{name}: {again} is read for {architecture}")
        expect(again.model_dump(mode="json") == tree, f"{name}: is written otherwise again")


def _gives_the_shape_it_says(case: _Case) -> None:
    """Alone, for one clip and for many, a block's module gives the shape that `shape` says."""
    for name, architecture in case.networks.items():
        for visit in case.visits(architecture):
            if case.slot == "dyn_image" or (case.slot == "fusion" and not architecture.paths[1:]):
                continue  # none of these stands between two blocks
            for count in (1, 2, CLIPS):
                with seeded(0):
                    module = visit.build().eval()
                _expect_shape(f"{name}, {count} clips", visit, module, count)


def _expect_shape(where: str, visit: Visit, module: nn.Module, count: int) -> None:
    context, block = visit.context, visit.part
    assert isinstance(block, Block)
    given = torch.randn(count * context.frames, context.channels, *context.size)
    pair = (given, given) if visit.slot == "fusion" else (given,)
    with torch.no_grad():
        if isinstance(block, WholeNetwork):
            clips = [torch.randn(count, *clip.shape[1:]) for clip in block.clip()]
            found = output_of(block.call(module, clips), module).logits
            found = found if context.whole else as_map(found)
        elif isinstance(module, Stateful):
            found = module(*pair, _state(given))[0]
        else:
            found = module(*pair)
    right: tuple[int, ...] = (count, context.width)
    if visit.slot != "head" and not context.whole:
        shape = block.shape(context)
        right = (count * block.frames(context), shape.channels, *shape.size)
    expect(isinstance(found, Tensor), f"{where}: gives {type(found).__name__}, not a tensor")
    expect(tuple(found.shape) == right, f"{where}: gives {tuple(found.shape)}, says {right}")


def _answers_with_finite_logits(case: _Case) -> None:
    """Logits and slopes are numbers for clips of noise, without motion and of large values."""
    for name, architecture in case.networks.items():
        network, noise = _network(architecture), _clips(architecture)
        still = [torch.cat([torch.zeros_like(clip[:1]), clip[1:]]) for clip in noise]
        large = [100 * clip for clip in noise]
        for kind, clips in (("a still one", still), ("noise", noise), ("large values", large)):
            where = f"{name}, clips of {kind}"
            found = _logits(network, clips)
            expect(found.shape == (CLIPS, CLASSES), f"{where}: logits {tuple(found.shape)}")
            expect(found.isfinite().all(), f"{where}: logits that are no numbers")
            network.zero_grad(set_to_none=True)
            _loss(network.train()(*clips), 0).backward()  # type: ignore[no-untyped-call]
            for weight, parameter in network.named_parameters():
                whole = parameter.grad is None or parameter.grad.isfinite().all()
                expect(whole, f"{where}: the slope of {weight} is no number")


def _learns_in_every_weight(case: _Case) -> None:
    """A slope reaches every weight, in one of a few starts."""
    for name, architecture in case.networks.items():
        reached: set[str] = set()
        for start in range(STARTS):
            network = _network(architecture, seed=start).train()
            weights = dict(network.named_parameters())
            with seeded(start):
                output = network(*_clips(architecture, seed=start))
            _loss(output, start).backward()  # type: ignore[no-untyped-call]
            reached |= {
                weight
                for weight, parameter in weights.items()
                if parameter.grad is not None and parameter.grad.abs().max() > 0
            }
            if len(reached) == len(weights):
                break
        idle = sorted(set(weights) - reached)
        expect(not idle, f"{name}: no slope reaches {', '.join(idle)}")


def _loss(output: ModelOutput, seed: int) -> Tensor:
    """Return a scalar that depends on everything that a network is trained by."""
    dice = torch.Generator().manual_seed(seed)
    parts = [output.logits, *output.auxiliary_logits.values(), *output.losses.values()]
    weighed = [(torch.randn(part.shape, generator=dice) * part).sum() for part in parts]
    return torch.stack(weighed).sum()


def _state(given: Tensor) -> State:
    """Return what a gate before the block leaves."""
    return State(attention=torch.ones_like(given[:, :1]))


def _gives_the_losses_it_says(case: _Case) -> None:
    """A block's module adds no auxiliary loss that `losses` does not name."""
    for name, architecture in case.networks.items():
        for visit in case.visits(architecture):
            assert isinstance(visit.part, Block)
            module = visit.build().train()
            if not isinstance(module, Stateful) or visit.slot == "dyn_image":
                continue
            context = visit.context
            given = torch.randn(CLIPS * context.frames, context.channels, *context.size)
            _, state = module(given, _state(given))
            found = {loss for loss, _ in state.losses}
            unsaid = found - visit.part.losses
            expect(not unsaid, f"{name}: adds {sorted(unsaid)}, which `losses` does not name")


def _answers_the_same_twice(case: _Case) -> None:
    """In evaluation, a network answers the same each time and draws nothing."""
    for name, architecture in case.networks.items():
        network, clips = _network(architecture), _clips(architecture)
        buffers = {key: value.clone() for key, value in network.named_buffers()}
        with seeded(1), no_global_chance():
            before = torch.get_rng_state()
            first = _logits(network, clips)
            drawn = not torch.equal(before, torch.get_rng_state())
            second = _logits(network, clips)
        expect(torch.equal(first, second), f"{name}: two answers to the same clips")
        expect(not drawn, f"{name}: torch's global generator is drawn from in evaluation")
        for key, value in network.named_buffers():
            same = torch.equal(value, buffers[key])
            expect(same, f"{name}: the buffer {key} changes in evaluation")


def _keeps_clips_apart(case: _Case) -> None:
    """In evaluation, the answer to a clip does not depend on the other clips of its batch."""
    for name, architecture in case.networks.items():
        network, clips = _network(architecture), _clips(architecture)
        together = _logits(network, clips)
        alone = [_logits(network, [clip[n : n + 1] for clip in clips]) for n in range(CLIPS)]
        _expect_close(torch.cat(alone), together, f"{name}: clips alone and in a batch")
        turned = _logits(network, [clip.flip(0) for clip in clips])
        _expect_close(turned.flip(0), together, f"{name}: a batch and the same one turned round")


def _starts_from_torchs_seed_alone(case: _Case) -> None:
    """Built and trained from one seed of torch, networks are equal; no other chance is used."""
    for name, architecture in case.networks.items():
        found = []
        for _ in range(2):
            with seeded(7), no_global_chance():
                network = Network(architecture, CLASSES).train()
                output = network(*_clips(architecture))
            found.append((network.state_dict(), output.logits))
        for key, value in found[0][0].items():
            same = torch.equal(value, found[1][0][key])
            expect(same, f"{name}: two starts of {key} from one seed")
        expect(torch.equal(found[0][1], found[1][1]), f"{name}: two answers from one seed")


def _is_counted_exactly(case: _Case) -> None:
    """Weights and multiply-accumulates are counted as the built network has and does them."""
    for name, architecture in case.networks.items():
        cost = Cost.of(architecture, CLASSES)
        network = Network(architecture, CLASSES)
        for said, counted in ((cost.parameters, network), (cost.deployed, deployed(network))):
            has = sum(parameter.numel() for parameter in counted.parameters())
            expect(said == has, f"{name}: {said:,} weights are counted of {has:,}")
        done = _macs(deployed(network).eval(), _clips(architecture, 1))
        partly = any(
            isinstance(getattr(m, "active_share", None), float) for m in network.modules()
        )
        right = cost.macs <= done if partly else cost.macs == done
        expect(right, f"{name}: {cost.macs:,} multiply-accumulates are counted of {done:,}")


def _macs(network: nn.Module, clips: list[Tensor]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*clips)
    flops: int = counter.get_total_flops()
    return flops // 2


def _survives_its_state(case: _Case) -> None:
    """A network with the state of another gives the answers of the other; so does a copy."""
    for name, architecture in case.networks.items():
        clips, network = _clips(architecture), _network(architecture, seed=1)
        network.train()(*clips)  # so that what normalises has seen something
        other = _network(architecture, seed=2)
        with torch.no_grad():
            same = torch.equal(_logits(network, clips), _logits(other, clips))
        trained = any(True for _ in network.parameters())
        expect(not (same and trained), f"{name}: two starts give the same answers")
        other.load_state_dict(copy.deepcopy(network.state_dict()))
        right = _logits(network, clips)
        for taken, how in ((other, "loaded from its state"), (copy.deepcopy(network), "copied")):
            expect(torch.equal(_logits(taken, clips), right), f"{name}: {how}, answers otherwise")


def _runs_stacked(case: _Case) -> None:
    """Stacked copies, run as one by `torch.func`, give what each gives alone."""
    for name, architecture in _each_shape(case.networks):
        networks = [_network(architecture, seed) for seed in range(2)]
        for training in (False, True):
            if training and _draws(networks[0], _clips(architecture)):
                continue  # what is dropped out of a network differs, as it should
            for network in networks:
                network.train(training)
            _expect_stacked(networks, architecture, f"{name}, training {training}")


def _draws(network: Network, clips: list[Tensor]) -> bool:
    """Return whether training draws anything."""
    with seeded(0):
        before = torch.get_rng_state()
        copy.deepcopy(network).train()(*clips)
        return not torch.equal(before, torch.get_rng_state())


def _expect_stacked(networks: list[Network], architecture: Architecture, where: str) -> None:
    batches = [_clips(architecture, seed=seed) for seed in range(len(networks))]
    parameters, buffers = stack_module_state(networks)
    skeleton = copy.deepcopy(networks[0]).to("meta")

    def one(parameters: Tree, buffers: Tree, *clips: Tensor) -> Tensor:
        found = functional_call(skeleton, (parameters, buffers), clips)
        return found if isinstance(found, Tensor) else found.logits

    given = [torch.stack(images) for images in zip(*batches, strict=True)]
    with torch.no_grad():
        together = vmap(one)(parameters, buffers, *given)
        for index, network in enumerate(networks):
            found = network(*batches[index])
            alone = found if isinstance(found, Tensor) else found.logits
            _expect_close(together[index], alone, f"{where}: stacked and alone")


def _exports_to_onnx(case: _Case) -> None:
    """The exported graph answers as the network does, for one clip and for many."""
    # Exporting takes seconds, so the smallest network has to do.
    name, architecture = min(case.networks.items(), key=lambda item: len(str(item[1])))
    try:
        try_export(_network(architecture), architecture)
    except Exception as error:
        raise AssertionError(f"{name}: {error}") from error


def _each_shape(networks: Mapping[str, Architecture]) -> Iterator[tuple[str, Architecture]]:
    """Yield the first network of images, and the first of frames."""
    met = set()
    for name, architecture in networks.items():
        timed = any(path.frames > 1 for path in architecture.paths)
        if timed not in met:
            met.add(timed)
            yield name, architecture


_PROMISES: tuple[Callable[[_Case], None], ...] = (
    _says_what_it_is,
    _refuses_with_a_way_out,
    _is_repaired_for_good,
    _has_a_canonical_form,
    _gives_the_shape_it_says,
    _answers_with_finite_logits,
    _learns_in_every_weight,
    _gives_the_losses_it_says,
    _answers_the_same_twice,
    _keeps_clips_apart,
    _starts_from_torchs_seed_alone,
    _is_counted_exactly,
    _survives_its_state,
    _runs_stacked,
    _exports_to_onnx,
)

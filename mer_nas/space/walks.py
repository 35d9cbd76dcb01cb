"""The walks over a space: draw from it, find a point in it, narrow it.

A parameter's name is its path, with the option that activates it:
`architecture.paths.0.stages.1.routed.global.expert.blocks`. One name so never has two domains,
which Optuna refuses.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mer_nas.errors import ConfigError, Infeasible, shown, unknown
from mer_nas.space.domains import (
    SHARED,
    BlockChoice,
    BlockNode,
    Choice,
    Constant,
    Float,
    Int,
    Items,
    Leaf,
    Node,
    Pick,
    Repeat,
    label,
    same,
)
from mer_nas.space.settings import Setting


def fill(node: Node, pick: Pick, path: str) -> Any:
    """Return the closed tree that `pick` leads to.

    Raises:
        Infeasible: A `require` does not hold; the message names it.
    """
    match node:
        case Constant(value):
            return value
        case Choice() | Int() | Float():
            return _draw(node, pick, path)
        case Items(nodes):
            return [fill(item, pick, f"{path}.{index}") for index, item in enumerate(nodes)]
        case BlockChoice(options):
            kind = _draw(Choice(tuple(options)), pick, path)
            return {"kind": kind, **fill(options[kind], pick, f"{path}.{kind}")}
        case Repeat(count):
            times = count if isinstance(count, int) else fill(count, pick, f"{path}.repeat")
            return [fill(node.at(index), pick, f"{path}.{index}") for index in range(times)]
        case BlockNode():
            return _fill_block(node, pick, path)


def _fill_block(block: BlockNode, pick: Pick, path: str) -> dict[str, Any]:
    shared = block.entries.get(SHARED)
    last = {SHARED} if isinstance(shared, BlockNode) else set()
    tree = {k: fill(v, pick, f"{path}.{k}") for k, v in block.entries.items() if k not in last}
    if block.either:
        name = _draw(Choice(tuple(block.either)), pick, f"{path}.either")
        tree |= _fill_block(block.either[name], pick, f"{path}.{name}")
    if isinstance(shared, BlockNode):
        tree[SHARED] = _fill_block(_taken(shared, tree), pick, f"{path}.{SHARED}")
    for relation in block.require:
        if broken := relation.broken(tree):
            raise Infeasible(f"{path}: {relation.text!r} {broken}")
    return tree


def _taken(shared: BlockNode, tree: Any) -> BlockNode:
    """Return of settings by kind of block those that a block of the tree takes."""
    kinds = set(_kinds(tree))
    entries = {kind: child for kind, child in shared.entries.items() if kind in kinds}
    return BlockNode(entries, shared.either, shared.require)


def _kinds(tree: Any) -> Iterator[str]:
    """Yield the kinds of all blocks in a tree."""
    if isinstance(tree, list):
        for item in tree:
            yield from _kinds(item)
    elif isinstance(tree, dict):
        yield str(tree.get("kind"))
        yield from _kinds([value for key, value in tree.items() if key != SHARED])


def _draw(leaf: Leaf, pick: Pick, path: str) -> Any:
    if isinstance(leaf, Choice):
        return leaf.value(pick(path, leaf)) if leaf.is_open else leaf.values[0]
    return pick(path, leaf) if leaf.is_open else leaf.low


def encode(node: Node, value: Any, path: str) -> dict[str, Any]:
    """Return the parameters that `fill` would pick to arrive at `value`.

    Settings that a block leaves out stay open.

    Raises:
        ConfigError: The value lies outside the space; the message says where.
    """
    match node:
        case Constant(fixed):
            if not same(fixed, value):
                raise ConfigError(
                    f"{path}: fixed to {shown(fixed)} in this space, not {shown(value)}"
                )
            return {}
        case Choice(values):
            for option in values:
                if same(option, value):
                    return {path: label(option)} if node.is_open else {}
            raise ConfigError(f"{path}: one of {_list(values)} would be right, not {shown(value)}")
        case Int(low, high) | Float(low, high):
            if not _inside(node, value):
                kind = "a whole number" if isinstance(node, Int) else "a number"
                raise ConfigError(
                    f"{path}: {kind} in [{low}, {high}] would be right, not {shown(value)}"
                )
            number = float(value) if isinstance(node, Float) else int(value)
            return {path: number} if node.is_open else {}
        case Items(nodes):
            _want_list(value, path, [len(nodes)])
            return _merge(
                encode(n, v, f"{path}.{i}")
                for i, (n, v) in enumerate(zip(nodes, value, strict=True))
            )
        case Repeat(count):
            _want_list(value, path, None)
            opened = encode(
                Constant(count) if isinstance(count, int) else count, len(value), f"{path}.repeat"
            )
            items = (encode(node.at(i), v, f"{path}.{i}") for i, v in enumerate(value))
            return opened | _merge(items)
        case BlockChoice(options):
            only = next(iter(options)) if len(options) == 1 else None
            kind = str(_want_block(value, path).get("kind", only))
            if kind not in options:
                raise ConfigError(f"{path}: {unknown('option', kind, options)}")
            inner = {key: v for key, v in value.items() if key != "kind"}
            chosen = {path: kind} if len(options) > 1 else {}
            return chosen | encode(options[kind], inner, f"{path}.{kind}")
        case BlockNode():
            return _encode_block(node, value, path)


def _encode_block(block: BlockNode, value: Any, path: str) -> dict[str, Any]:
    tree = _want_block(value, path)
    for key in tree:
        if key not in block.names():
            raise ConfigError(f"{path}: {unknown('setting', key, block.names())}")
    parts = {
        key: encode(child, tree[key], f"{path}.{key}")
        for key, child in block.entries.items()
        if key in tree
    }
    if isinstance(block.entries.get(SHARED), BlockNode) and SHARED in parts:
        kinds = [f"{path}.{SHARED}.{kind}." for kind in _kinds(tree)]
        shared = parts[SHARED].items()
        parts[SHARED] = {k: v for k, v in shared if any(map(k.startswith, kinds))}
    own = _merge(iter(parts.values()))
    rest = {key: v for key, v in tree.items() if key not in block.entries}
    if not block.either or not rest:
        return own
    name, inner = _option(block, rest, path)
    chosen = {f"{path}.either": name} if len(block.either) > 1 else {}
    return own | chosen | inner


def _option(block: BlockNode, rest: dict[str, Any], path: str) -> tuple[str, dict[str, Any]]:
    """Return the option of `either` that these settings fit, and the parameters they are."""
    misfits = []
    for name, option in block.either.items():
        try:
            return name, _encode_block(option, rest, f"{path}.{name}")
        except ConfigError as error:
            misfits.append(str(error))
    raise ConfigError(f"{path}: fits none of {_list(block.either)}: " + "; ".join(misfits))


def fitting(node: Node, value: Any, path: str) -> dict[str, Any]:
    """Return the parameters of what lies inside of a value that may say more than the space asks.

    The rest stays open, and so does `either` where no option lies inside as a whole.
    """
    match node:
        case Items(nodes) if isinstance(value, list) and len(value) == len(nodes):
            pairs = zip(nodes, value, strict=True)
            return _merge(fitting(n, v, f"{path}.{i}") for i, (n, v) in enumerate(pairs))
        case BlockNode(entries, either) if isinstance(value, dict):
            known = ((key, child) for key, child in entries.items() if key in value)
            own = _merge(fitting(child, value[key], f"{path}.{key}") for key, child in known)
            for name, option in either.items():
                with suppress(ConfigError, KeyError):
                    inner = encode(option, _asked(option, value), f"{path}.{name}")
                    chosen = {f"{path}.either": name} if len(either) > 1 else {}
                    return own | chosen | inner
            return own
    with suppress(ConfigError):
        return encode(node, value, path)
    return {}


def _asked(node: Node, value: Any) -> Any:
    """Return of a value what a part of the space speaks of.

    Raises:
        KeyError: It says nothing of a setting.
    """
    if isinstance(node, BlockNode) and isinstance(value, dict):
        return {key: _asked(child, value[key]) for key, child in node.entries.items()}
    return value


def completed(node: Node, value: Any, path: str) -> Any:
    """Return a value that lies inside, with what the space fixes and the value leaves out."""
    match node:
        case Items(nodes):
            return [completed(n, v, path) for n, v in zip(nodes, value, strict=True)]
        case Repeat():
            return [completed(node.at(i), v, path) for i, v in enumerate(value)]
        case BlockChoice(options):
            kind = str(value.get("kind", next(iter(options))))
            inner = {key: v for key, v in value.items() if key != "kind"}
            return {"kind": kind, **completed(options[kind], inner, path)}
        case BlockNode(entries, either):
            tree = _fixed(entries, value, path)
            rest = {key: v for key, v in value.items() if key not in entries}
            if either and (rest or len(either) == 1):
                name = _option(node, rest, path)[0]
                return {**tree, **completed(either[name], rest, path)}
            return tree
    return value


def _fixed(entries: Mapping[str, Node], value: Any, path: str) -> dict[str, Any]:
    """Return the settings that a block's entries fix, or that the value has."""
    tree: dict[str, Any] = {}
    for key, child in entries.items():
        if key in value:
            tree[key] = completed(child, value[key], f"{path}.{key}")
        elif not any(setting.is_open for setting in Setting.of(child)):
            tree[key] = fill(child, lambda _, leaf: leaf, path)  # nothing is open, or picked
        elif (hollow := _hollow(child)) is not None:
            inner = completed(child, hollow, f"{path}.{key}")
            if inner != hollow:
                tree[key] = inner
    return tree


def _hollow(node: Node) -> Any:
    """Return a block that says nothing, or a list of such blocks; none for what is open itself."""
    match node:
        case BlockNode():
            return {}
        case Repeat(count) if isinstance(count, int):
            return [{}] * count
        case Items(nodes) if all(isinstance(item, BlockNode) for item in nodes):
            return [{}] * len(nodes)
    return None


def narrow(node: Node, keys: list[str], value: Any, place: str) -> Node:
    """Return the space with the leaf at `keys` fixed or narrowed to `value`.

    A plain value fixes a leaf; a list narrows a choice to these options and a range to these
    bounds; the name of an option narrows a choice of blocks and keeps its settings open.

    Raises:
        ConfigError: There is no such leaf, or the value lies outside of it.
    """
    if not keys:
        return _narrow_leaf(node, value, place)
    key, rest = keys[0], keys[1:]
    here = f"{place}.{key}"
    match node:
        case BlockNode():
            return _narrow_block(node, key, rest, value, place)
        case BlockChoice(options):
            if key not in options:
                raise ConfigError(f"{place}: {unknown('option', key, options)}")
            inner = narrow(options[key], rest, value, here)
            assert isinstance(inner, BlockNode)
            return BlockChoice({**options, key: inner})
        case Repeat(count, each, first):
            parts: dict[str, Node] = {
                "repeat": Constant(count) if isinstance(count, int) else count,
                "each": each,
                "first": first,
            }
            if key not in parts:
                known = unknown("part of a repeat", key, parts)
                raise ConfigError(f"{place}: {known}; an override speaks of each, not of one item")
            parts[key] = narrow(parts[key], rest, value, here)
            return _repeat(parts)
        case Items(nodes):
            if key not in map(str, range(len(nodes))):
                raise ConfigError(f"{place}: {unknown('item', key, map(str, range(len(nodes))))}")
            changed = narrow(nodes[int(key)], rest, value, here)
            return Items((*nodes[: int(key)], changed, *nodes[int(key) + 1 :]))
    raise ConfigError(f"{place}: {key!r} leads nowhere, the space ends here")


def _narrow_block(
    block: BlockNode, key: str, rest: list[str], value: Any, place: str
) -> BlockNode:
    here = f"{place}.{key}"
    if key in block.entries:
        entries = {**block.entries, key: narrow(block.entries[key], rest, value, here)}
        return BlockNode(entries, block.either, block.require)
    if key == "either" and block.either:
        kept = _names(value, block.either, here)
        return BlockNode(block.entries, {name: block.either[name] for name in kept}, block.require)
    if key in block.either:
        inner = narrow(block.either[key], rest, value, here)
        assert isinstance(inner, BlockNode)
        return BlockNode(block.entries, {**block.either, key: inner}, block.require)
    known = [*block.entries, *block.either, *(["either"] if block.either else [])]
    raise ConfigError(f"{place}: {unknown('setting', key, known)}")


def _repeat(parts: Mapping[str, Node]) -> Repeat:
    count, each, first = parts["repeat"], parts["each"], parts["first"]
    assert isinstance(each, BlockNode)
    assert isinstance(first, BlockNode)
    if isinstance(count, Constant):
        return Repeat(count.value, each, first)
    assert isinstance(count, Int | Choice)
    return Repeat(count, each, first)


def _narrow_leaf(node: Node, value: Any, place: str) -> Node:
    match node:
        case BlockChoice(options):
            return BlockChoice({name: options[name] for name in _names(value, options, place)})
        case Choice(values) if isinstance(value, list) and not any(same(value, v) for v in values):
            for option in value:
                encode(node, option, place)
            kept = tuple(v for v in values if any(same(v, option) for option in value))
            if not kept:
                raise ConfigError(
                    f"{place}: one or more of {_list(values)} would be right, not []"
                )
            return Choice(kept)
        case Int() | Float() if isinstance(value, list) and len(value) == 2:
            for bound in value:
                encode(node, bound, place)
            low, high = sorted(value)
            if isinstance(node, Int):
                return Int(int(low), int(high), node.step, node.log)
            return Float(float(low), float(high), node.log)
        case BlockNode() | Repeat() | Items():
            raise ConfigError(
                f"{place}: a block cannot be replaced by {shown(value)}; name a setting in it"
            )
    drawn = encode(node, value, place)
    return Constant(fill(node, lambda name, _: drawn[name], place))  # 2, where 2.0 was given


def _names(value: Any, options: Mapping[str, BlockNode], place: str) -> list[str]:
    kept = [str(name) for name in (value if isinstance(value, list) else [value])]
    for name in kept or [""]:
        if name not in options:
            raise ConfigError(f"{place}: {unknown('option', name, options)}")
    return [name for name in options if name in kept]


def values(node: Node, keys: Sequence[str], default: Any) -> Iterator[Any]:
    """Yield every value that a setting may have over the whole space; of a range its two ends.

    Args:
        node: Where the search for the setting begins.
        keys: The way to it; "*" stands for every item of a list.
        default: What a block without the setting has.
    """
    match node:
        case Constant(value) if not keys:
            yield value
        case Choice(options) if not keys:
            yield from options
        case Int(low, high) | Float(low, high) if not keys:
            yield from (low, high)
        case Items(nodes) if keys:
            for item in nodes:
                yield from values(item, keys[1:], default)
        case Repeat() if keys:
            for index in range(node.longest):
                yield from values(node.at(index), keys[1:], default)
        case BlockChoice(options) if keys:
            for block in options.values():
                yield from values(block, keys, default)
        case BlockNode(entries, either) if keys:
            if keys[0] in entries:
                yield from values(entries[keys[0]], keys[1:], default)
            elif either:
                for option in either.values():
                    yield from values(option, keys, default)
            else:
                yield default


def _inside(node: Int | Float, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not node.low <= value <= node.high:  # so that it is finite
        return False
    return isinstance(node, Float) or (value == int(value) and (value - node.low) % node.step == 0)


def _want_list(value: Any, path: str, lengths: list[int] | None) -> None:
    if not isinstance(value, list):
        raise ConfigError(f"{path}: a list would be right, not {shown(value)}")
    if lengths and len(value) not in lengths:
        raise ConfigError(f"{path}: {lengths[0]} items would be right, not {len(value)}")


def _want_block(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a mapping of settings would be right, not {shown(value)}")
    return value


def _merge(parts: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for part in parts for key, value in part.items()}


def _list(values: Any) -> str:
    return ", ".join(map(str, values))

"""Global relational aggregators: by hand, by torch, and by the size of the published network."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from mer_nas.architectures import Cost, parse, parse_drawn
from mer_nas.architectures.layers.aggregators import GlobalAggregator, ReducedAttention
from mer_nas.errors import Infeasible

Tree = dict[str, Any]
Make = Callable[..., Tree]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("reduction", [1, 2])
def test_an_aggregator_has_the_parameters_of_its_parts(reduction: int) -> None:
    # 16 channels in, 48 out, of which 32 attend and 16 convolve; 96 hidden units.
    found = _count(GlobalAggregator(16, 48, ReducedAttention(32, 4, reduction), 96, 0.0))
    enter, norm, attention = 16 * 32 + 2 * 32, 2 * 32, 4 * (32 * 32 + 32)
    aside, near = 32 * 16 + 2 * 16, 9 * 16 * 16
    feed = 2 * 48 + 48 * 96 + 96 + 96 * 48 + 48
    gathered = 2 * 32 if reduction > 1 else 0
    assert found == enter + norm + attention + gathered + aside + near + feed


def test_an_aggregator_that_keeps_its_shape_needs_no_embedding_beside_attention() -> None:
    # As many channels attend as convolve: the second embedding has nothing to change.
    module = GlobalAggregator(32, 32, ReducedAttention(16, 2, 1), 64, 0.0)
    assert isinstance(module.aside, nn.Identity)
    assert isinstance(module.enter, nn.Sequential)


def test_the_published_encoder_has_its_size(small: Make) -> None:
    def stages(*widths: tuple[int, int, int, int], closed: bool) -> Tree:
        path: list[Tree] = []
        before = 64
        for layers, width, wide, reduction in widths:
            down = "patch_merge" if path else "none"
            stage: Tree = {"growth": width / before, "down": {"kind": down}}
            stage["local"] = {"kind": "lra", "blocks": layers}
            if closed:
                stage["global"] = {"kind": "gra", "growth": wide / width, "reduction": reduction}
            path.append(stage)
            before = wide if closed else width
        tree = small(
            *path, stem={"kind": "conv4", "width": 64}, head={"kind": "gap", "norm": False}
        )
        tree["paths"][0] |= {"input": "dynamic_image", "size": 64}
        return tree

    table = [(3, 96, 128, 8), (4, 192, 256, 4), (10, 384, 512, 2), (3, 768, 1024, 1)]
    text, code = (Cost.of(parse(stages(*table, closed=closed)), 5) for closed in (True, False))
    # The systems differ in their encoder alone (96,251,342 and 85,304,206 parameters), which ends
    # in BatchNorm and a linear map to 4096; here it ends in one to 5 classes.
    apart = 96_251_342 - 85_304_206 - 2 * (1024 - 768) - 4096 * (1024 - 768)
    assert text.parameters - code.parameters == apart + 5 * (1024 - 768)
    # Eight frames; 9.4859 and 8.6265 GMAC.
    frame = (9.4859e9 - 8.6265e9) / 8 - 4096 * (1024 - 768)
    assert text.macs - code.macs == pytest.approx(frame, rel=0.01)


def test_keys_are_means_of_tokens_in_a_row() -> None:
    attend = ReducedAttention(16, 2, reduction=2).eval()
    for parameter in attend.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(3, 16, 3, 3)
    tokens = x.flatten(2).transpose(1, 2)  # 9: two keys of four tokens, and one left out
    gathered = torch.stack([tokens[:, :4].mean(1), tokens[:, 4:8].mean(1)], 1)
    norm = attend.gather[1]
    assert isinstance(norm, nn.BatchNorm1d)
    gathered = norm(gathered.transpose(1, 2)).transpose(1, 2)
    key, value = attend.key_value(gathered).split(16, 2)
    heads = [
        functional.scaled_dot_product_attention(query, key[..., part], value[..., part])
        for part in (slice(0, 8), slice(8, 16))
        for query in (attend.query(tokens)[..., part],)
    ]
    expected = attend.out(torch.cat(heads, 2)).transpose(1, 2).view_as(x)
    assert torch.allclose(attend(x), expected, atol=1e-5)


def test_without_reduction_it_is_the_attention_of_torch() -> None:
    ours = ReducedAttention(16, 2, reduction=1)
    theirs = nn.MultiheadAttention(16, 2, batch_first=True)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    theirs.out_proj = ours.out  # type: ignore[assignment]
    x = torch.randn(3, 16, 2, 5)
    tokens = x.flatten(2).transpose(1, 2)
    expected = theirs(tokens, tokens, tokens, need_weights=False)[0].transpose(1, 2)
    assert torch.allclose(ours(x), expected.reshape(x.shape), atol=1e-5)


def gra(**settings: Any) -> Tree:
    return {"global": {"kind": "gra", "rounding": 8, **settings}}


def refused(tree: Tree) -> str:
    with pytest.raises(Infeasible) as error:
        parse(tree, "net")
    return str(error.value)


def patches(patch: int, width: int = 32) -> Tree:
    return {"kind": "patch", "patch": patch, "width": width}


def test_some_channels_attend_and_some_convolve(small: Make) -> None:
    parse(small(gra(rounding=32), stem=patches(4, 128)))
    narrow = small(gra(rounding=32), stem=patches(4, 32))
    assert refused(narrow) == (
        "net.paths.0.stages.0.global: a mix of 0.75 of 32 channels in steps of 32 leaves none to "
        "convolve; right: less mix, or rounding: 8"
    )
    assert parse_drawn(narrow) == parse(small(gra(), stem=patches(4, 32)))


def test_heads_share_the_channels_that_attend(small: Make) -> None:
    parse(small(gra(head_width=12), stem=patches(4)))
    uneven = small(gra(head_width=16), stem=patches(4))
    assert refused(uneven) == (
        "net.paths.0.stages.0.global: heads of 16 do not share 24 channels evenly; "
        "right: head_width: 8 and rounding: 8"
    )
    assert parse_drawn(uneven) == parse(small(gra(), stem=patches(4)))


def test_keys_are_of_tokens_that_there_are(small: Make) -> None:
    parse(small(gra(reduction=7), stem=patches(4)))
    coarse = small(gra(reduction=8), stem=patches(4))
    assert refused(coarse) == (
        "net.paths.0.stages.0.global: 64 tokens to a key on a map of 7 x 7; "
        "right: a reduction up to 7"
    )
    assert parse_drawn(coarse) == parse(small(gra(reduction=4), stem=patches(4)))


def test_aggregators_attend_to_two_tokens_or_more(small: Make) -> None:
    parse(small(gra(), stem=patches(14)))
    assert refused(small(gra(), stem=patches(28))) == (
        "net.paths.0.stages.0.global: attention over a map of 1 x 1, a single token; "
        "right: at least 2 tokens, or another global block"
    )


def test_drawn_aggregators_of_one_token_fall_away(small: Make) -> None:
    local = {"local": {"kind": "res_basic"}}
    found = parse_drawn(small({**gra(), **local}, stem=patches(28)))
    assert found == parse(small(local, stem=patches(28)))


def test_the_stage_after_grows_from_the_width_that_aggregators_leave(small: Make) -> None:
    tree = small(gra(growth=1.5), {"growth": 2, "local": {"kind": "res_basic"}}, stem=patches(4))
    assert Cost.of(parse(tree), 3).parameters - Cost.of(parse(tree), 2).parameters == 96 + 1
    assert parse(small(gra(growth=1.4), stem=patches(4))) == parse(
        small(gra(growth=1.5, mix=0.8), stem=patches(4))
    )

"""Networks that read frames learn which way something moves, wherever they pool time."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mer_nas.architectures import TEMPORALS, Network, parse
from mer_nas.training.config import Augmentation, TrainerConfig
from mer_nas.training.fit import fit, predict_proba
from mer_nas.training.losses import Targets

Tree = dict[str, Any]

FRAMES, SIZE = 4, 16
CONV4 = {"kind": "conv4", "width": 16}
LRA = {"kind": "lra", "rounding": 8}
PATH = {"input": "frames", "size": SIZE, "frames": FRAMES, "stem": CONV4}
RANKED = {
    "stages": [{"local": LRA, "global": {"kind": "gra", "mix": 0.5, "rounding": 8}}],
    "temporal": {"kind": "conv3d", "grid": 12, "channels": 4},
}
SPARSE = {
    "stem": {"kind": "patch", "patch": 4, "width": 32},
    "stages": [{"global": {"kind": "sparse_vit", "blocks": 1, "heads": 2, "rates": [0.5]}}],
}


def pooling(kind: str, where: str) -> Tree:
    """Return a network of one path that weighs its frames at that place."""
    losses = {"rank": 0.1 if kind == "scored" else 0.0}
    pool = {"kind": kind, "where": where}
    return {"paths": [{**PATH, "stages": [{"local": LRA}], "temporal": pool}], "losses": losses}


ORDERED = {
    "rank features": {
        "paths": [{**PATH, **RANKED}],
        "head": {"kind": "rank_fc", "hidden": 16},
    },
    "sparse tokens": {"paths": [{**PATH, **SPARSE}]},
    **{
        f"{kind}, {where}": pooling(kind, where)
        for kind in ("arp", "learned", "diff")
        for where in ("stem", "end")
    },
    "recurrent": pooling("recurrent", "end"),
}
BLIND = ("mean", "max", "attn", "scored")
"""Pools that weigh a frame by what it shows only: its place in time they do not know."""
TRAINER = TrainerConfig(batch=16, lr=5e-3, augment=Augmentation(flip=False, shift=0))


def film(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return clips of a bright spot before a background that stands still, and its way.

    Every clip has a background and a place of its own; the spot goes four pixels to the left (0)
    or to the right (1). So no frame alone tells the way, and neither do all without their order.
    """
    chance = torch.Generator().manual_seed(seed)
    way = torch.arange(count) % 2
    behind = torch.rand(count, 1, SIZE, SIZE, generator=chance) - 0.5
    middle = SIZE / 2 + 4 * (torch.rand(2, count, 1, generator=chance) - 0.5)
    passed = 4 * (torch.arange(FRAMES) / (FRAMES - 1) - 0.5)
    across = middle[0] + (2 * way[:, None] - 1) * passed  # (B, T)
    pixel = torch.arange(SIZE)
    beside, above = pixel - across[..., None], pixel - middle[1]  # (B, T, W), (B, H)
    far = beside[:, :, None] ** 2 + above[:, None, :, None] ** 2
    return (behind + 2 * (-far / 8).exp())[:, :, None], way


def test_every_way_to_bring_frames_together_is_tried() -> None:
    brought = {
        tree["paths"][0].get("temporal", {"kind": "none"})["kind"] for tree in ORDERED.values()
    }
    assert brought | {*BLIND} == set(TEMPORALS)


@pytest.mark.parametrize("name", ORDERED)
def test_the_way_of_a_motion_is_learned(name: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Network(parse(ORDERED[name]), classes=2)
    clips, way = film(96, seed=1)
    epochs = 24 if name == "sparse tokens" else 8  # attention first finds the spot again
    trainer = TRAINER.model_copy(update={"epochs": epochs})
    fit(network, {"frames": clips}, Targets(way), trainer, seed=0)
    clips, way = film(64, seed=2)
    right = predict_proba(network, {"frames": clips}).argmax(1) == way.numpy()
    assert right.mean() >= 0.9


@pytest.mark.parametrize("kind", BLIND)
def test_pools_that_weigh_frames_by_what_they_show_know_no_order(kind: str) -> None:
    torch.manual_seed(0)
    network = Network(parse(pooling(kind, "end")), classes=2).eval()
    clips, _ = film(4, seed=1)
    with torch.no_grad():
        there, back = network(clips), network(clips.flip(1))
    assert torch.allclose(there, back, atol=1e-6)

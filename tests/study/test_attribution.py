"""What the winner looks at: read from routers and gates whose decisions are known by construction."""

import json
from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

from mer_nas.architectures.layers.attention import OverTokens
from mer_nas.architectures.layers.recalibration import ProgressiveAttention
from mer_nas.architectures.layers.routing import Router
from mer_nas.architectures.state import State, Stateful
from mer_nas.data import load
from mer_nas.data.config import SyntheticData
from mer_nas.data.protocols import divide
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.evaluator import Evaluator
from mer_nas.study import attribution as module
from mer_nas.study.attribution import attribution, decisions

if TYPE_CHECKING:
    from conftest import Searched


class Sending(Stateful):
    """Routes tokens and passes them on as they are."""

    def __init__(self, **words: Any) -> None:
        super().__init__()
        self.router = Router(2, experts=2, **words)
        with torch.no_grad():  # expert 0 likes the first channel, expert 1 the second
            self.router.score.weight.copy_(torch.eye(2))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.router(x)
        return x, state


class Small(nn.Module):
    """A gate that looks at the largest channel, and experts behind it."""

    def __init__(self, **words: Any) -> None:
        super().__init__()
        self.gate = ProgressiveAttention("none", 1, residual=False)
        with torch.no_grad():
            self.gate.look.weight.copy_(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1))
            self.gate.look.bias.zero_()  # type: ignore[union-attr]
        self.over = OverTokens(Sending(**words))

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.gate(x, State())
        return self.over(x, state)[0]  # type: ignore[no-any-return]


def clip(*spots: tuple[int, int, int]) -> Tensor:
    """Return a clip (2, 2, 3) with a 9 in these channels, rows and columns."""
    found = torch.zeros(2, 2, 3)
    for channel, row, column in spots:
        found[channel, row, column] = 9.0
    return found


FIRST = clip(*((0, row, column) for row in (0, 1) for column in (0, 1, 2)))
SECOND = clip((1, 1, 2), *((0, row, column) for row in (0, 1) for column in (0, 1, 2)))
SECOND[0, 1, 2] = 0.0


def seen(*clips: Tensor, **words: Any) -> dict[str, module.Decisions]:
    stack = torch.stack(clips)
    network = Small(**{"top_k": 1, **words}).eval()
    return decisions(network, lambda indices: [stack[indices]], len(clips))


def test_a_position_counts_for_the_expert_that_it_is_sent_to() -> None:
    found = seen(FIRST, SECOND)["over.layers.router"]
    assert found.use is not None
    assert found.use == pytest.approx(np.array([[1.0, 0.0], [5 / 6, 1 / 6]]))
    assert found.maps is not None
    assert found.maps[1].tolist() == [[[1, 1, 1], [1, 1, 0]], [[0, 0, 0], [0, 0, 1]]]


def test_soft_experts_share_the_say_as_their_gates_do() -> None:
    found = seen(FIRST, top_k=2, gates="soft")["over.layers.router"]
    share = 1 / (1 + exp(-9))
    assert found.use == pytest.approx(np.array([[share, 1 - share]]), rel=1e-6)


def test_a_clip_that_is_sent_as_a_whole_has_no_map() -> None:
    found = seen(FIRST, SECOND, level="sample")["over.layers.router"]
    assert found.maps is None
    assert found.use == pytest.approx(np.array([[1.0, 0.0], [1.0, 0.0]]))


def test_the_map_of_a_gate_is_where_it_lets_through() -> None:
    found = seen(clip((0, 1, 2)))["gate"]
    assert found.use is None
    expected = np.full((1, 1, 2, 3), 0.5)
    expected[..., 1, 2] = 1 / (1 + exp(-9))
    assert found.maps == pytest.approx(expected, rel=1e-6)


def test_batches_come_together_in_the_order_of_the_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = seen(FIRST, SECOND, FIRST)
    monkeypatch.setattr(module, "CLIPS_AT_A_TIME", 2)
    for name, found in seen(FIRST, SECOND, FIRST).items():
        assert np.array_equal(found.maps, whole[name].maps)  # type: ignore[arg-type]


def test_hooks_are_gone_afterwards_and_the_network_says_what_it_said() -> None:
    network = Small(top_k=1).eval()
    stack = torch.stack([FIRST, SECOND])
    before = network(stack)
    decisions(network, lambda indices: [stack[indices]], 2)
    assert torch.equal(network(stack), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_large_maps_are_averaged_down() -> None:
    maps = torch.arange(28.0).repeat(1, 1, 28, 1)
    small = module._small(maps)
    assert small.shape == (1, 1, 14, 14)
    assert small[0, 0, 0].tolist() == [0.5 + 2 * column for column in range(14)]


STAGE = {"growth": 1, "down": {"kind": "none"}, "local": {"kind": "res_basic", "blocks": 1}}
EXPERT = {"kind": "expert", "experts": 3, "top_k": 1}
TREE = {
    "architecture": {
        "paths": [
            {
                "input": "flow_uvs",
                "size": 28,
                "stem": {
                    "kind": "conv",
                    "kernel": 3,
                    "stride": 2,
                    "width": 8,
                    "multi_scale": {"kind": "none"},
                    "pool": False,
                },
                "stages": [
                    {**STAGE, "global": {"kind": "none"}, "gate": {"kind": "prog"}},
                    {
                        **STAGE,
                        "growth": 2,
                        "down": {"kind": "in_block"},
                        "global": EXPERT,
                        "gate": {"kind": "prog"},
                    },
                ],
            }
        ],
        "head": {"kind": "gap", "norm": False},
    },
    "trainer": {"epochs": 1, "batch": 8, "device": "cpu"},
}


def test_a_winner_with_experts_and_gates_tells_both_by_class() -> None:
    clips = load(SyntheticData(subjects=3, clips=18))
    evaluator = Evaluator(clips, divide(clips), seed=0)
    candidate = Candidate.parse(TREE, "winner")
    network = evaluator.train(candidate)
    found = attribution(network, candidate, evaluator)
    assert found is not None
    assert (found.key, found.clips, found.input) == (candidate.key, 18, "flow_uvs")
    assert [gate.layer for gate in found.gates] == ["stage 1", "stage 2"]
    assert np.shape(found.gates[0].maps) == (3, 14, 14)
    assert np.shape(found.gates[1].maps) == (3, 7, 7)
    (experts,) = found.experts
    assert (experts.layer, experts.experts, experts.chosen) == ("stage 2, layer 1", 3, 1)
    assert np.sum(experts.use, axis=1) == pytest.approx(1, abs=1e-3)
    assert np.shape(experts.maps) == (3, 3, 7, 7)
    assert np.sum(experts.maps, axis=1) == pytest.approx(1, abs=1e-3)
    assert np.mean(experts.maps, axis=(2, 3)) == pytest.approx(np.array(experts.use), abs=1e-3)
    inputs = torch.from_numpy(clips.inputs["flow_uvs"])
    (said,) = [
        each.use
        for each in decisions(network, lambda indices: [inputs[indices]], 18).values()
        if each.use is not None
    ]
    by_class = [said[clips.labels == label].mean(0) for label in range(3)]
    assert experts.use == pytest.approx(np.array(by_class), abs=1e-4)
    images = clips.inputs["flow_uvs"][clips.labels == 0]
    power = np.square(images - np.median(images, axis=(2, 3), keepdims=True)).mean((0, 1))
    assert np.shape(found.seen) == (3, 14, 14)
    assert found.seen[0][0][0] == pytest.approx(np.sqrt(power)[:2, :2].mean(), abs=1e-4)


def test_the_report_has_the_attribution_of_its_winner_and_of_nobody_else(
    searched: "Searched", study: Path, call: Callable[..., Result]
) -> None:
    def told() -> Any:
        return json.loads((study / "report.json").read_text())["study"]["looks"]

    assert (study / "looks.json").read_text() == "null"  # neither experts nor gates
    assert told() is None
    key = json.loads((study / "report.json").read_text())["answer"]["key"]
    tree = {"key": key, "clips": 24, "input": "flow_uvs", "seen": [[[0.5]]] * 3}
    for written, expected in (
        (json.dumps(tree), [[[0.5]]] * 3),
        (json.dumps({**tree, "key": "another"}), None),
        ('{"key": 3}', None),
    ):
        (study / "looks.json").write_text(written)
        assert call("report", str(study)).exit_code == 0
        assert (told() or {}).get("seen") == expected

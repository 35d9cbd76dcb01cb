"""What a candidate costs before it is trained, and which limits it is held against."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mer_nas.api import point
from mer_nas.architectures import ModelOutput
from mer_nas.errors import Infeasible
from mer_nas.evaluation import timing
from mer_nas.evaluation.candidate import Candidate
from mer_nas.evaluation.timing import Timing, clock
from mer_nas.search.proposals import check_limits
from mer_nas.space.search_space import Limits


@pytest.fixture(scope="module")
def prog_s() -> Candidate:
    return point("prog_s", "space=moe")


def test_times_are_measured_only_where_a_limit_asks_for_them(
    prog_s: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Candidate] = []

    def measured(candidate: Candidate, classes: int) -> Timing:
        asked.append(candidate)
        return Timing(step_ms=20.0, clip_ms=1.5, machine="a clock")

    monkeypatch.setattr("mer_nas.search.proposals.clock", measured)
    cost, times = check_limits(prog_s, 3, Limits(params=318_463, macs=10**9), "here")
    assert (cost.parameters, cost.deployed) == (318_463, 318_463)
    assert times is None
    assert asked == []
    _, times = check_limits(prog_s, 3, Limits(step_ms=20, clip_ms=1.5), "here")
    assert times == measured(prog_s, 3)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(params=318_462), "here: 318,463 weights; the space allows at most 318,462"),
        (
            Limits(step_ms=19.5),
            "here: 20.0 ms for a training step on this machine; the space allows at most 19.5",
        ),
        (
            Limits(clip_ms=1),
            "here: 1.5 ms for a clip on this machine; the space allows at most 1.0",
        ),
    ],
)
def test_what_costs_more_is_infeasible_and_says_so(
    prog_s: Candidate, limits: Limits, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mer_nas.search.proposals.clock", lambda *_: Timing(20.0, 1.5, "a clock"))
    with pytest.raises(Infeasible) as refused:
        check_limits(prog_s, 3, limits, "here")
    assert str(refused.value) == message


def test_a_clock_gives_the_median_step_and_clip_without_the_first(
    prog_s: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that only lets a clock run: the time it takes is known."""
    waits = iter([0.05, 0.01, 0.05, 0.01, 0.03, 0.01, 0.01, 0.01])
    now = [0.0]

    class Waiting(timing.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = timing.nn.Parameter(timing.torch.zeros(3))

        def forward(self, *clips: timing.Tensor) -> object:
            now[0] += next(waits, 0.01) if self.training else 0.002
            logits = self.weight.expand(len(clips[0]), 3)
            return ModelOutput(logits) if self.training else logits

    monkeypatch.setattr(timing, "Network", lambda *_: Waiting())
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    plain = replace(prog_s, trainer=prog_s.trainer.model_copy(update={"device": "cpu"}))
    found = clock(plain, 3)
    assert found.step_ms == pytest.approx(10)  # 50 ms the first time, which does not count
    assert found.clip_ms == pytest.approx(2)
    assert found.machine.endswith(", one thread")

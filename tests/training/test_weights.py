"""The weights of the epochs of a training, on the disk for as long as somebody may look back."""

import errno
import io
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from mer_nas.training import weights as module
from mer_nas.training.weights import EpochWeights


def network(value: float) -> nn.Module:
    found = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for tensor in found.state_dict().values():
            tensor.fill_(value)
    return found


@pytest.fixture
def kept() -> Iterator[EpochWeights]:
    weights = EpochWeights(3)
    yield weights
    weights.close()


def test_every_epoch_comes_back_to_the_last_bit_parameters_and_statistics(
    kept: EpochWeights,
) -> None:
    for epoch in (1, 2, 3):
        kept.keep(epoch, network(epoch / 7))
    assert kept.epochs == (1, 2, 3)
    for epoch, state in enumerate(kept, start=1):
        expected = network(epoch / 7).state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("room", "epochs"), [(8.0, (1, 2, 3, 4, 5, 6, 7, 8)), (7.9, (2, 4, 6, 8)), (3.9, (3, 6, 8))]
)
def test_what_would_take_too_much_room_is_kept_every_few_epochs_and_at_the_end(
    room: float, epochs: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    torch.save(network(1).state_dict(), written)
    monkeypatch.setattr(module, "_MAX_BYTES", int(room * written.tell()))
    weights = EpochWeights(8)
    for epoch in range(1, 9):
        weights.keep(epoch, network(epoch))
    assert weights.epochs == epochs
    assert [float(state["0.bias"][0]) for state in weights] == list(epochs)


def test_a_network_of_which_no_two_epochs_have_room_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 1000)
    weights = EpochWeights(2)
    for epoch in (1, 2):
        weights.keep(epoch, network(epoch))
    assert weights.epochs == ()
    assert "bytes an epoch leave no choice" in weights.lost


def test_a_full_disk_ends_the_keeping_and_not_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    def full(**_: Any) -> Full:
        return Full()

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    weights = EpochWeights(2)
    for epoch in (1, 2):
        weights.keep(epoch, network(epoch))
    assert weights.epochs == ()
    assert list(weights) == []
    assert weights.lost == "no space left on device"

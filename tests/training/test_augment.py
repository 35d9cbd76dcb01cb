"""Changes that leave a class as it is."""

import pytest
import torch

from mer_nas.data.clips import FLOW
from mer_nas.training.augment import augment, mirror, shift
from mer_nas.training.config import Augmentation


def test_a_mirror_turns_horizontal_motion_round_and_nothing_else() -> None:
    clip = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]])  # (1, 3, 1, 2)
    assert mirror(clip, torch.tensor([True]), channel=0).tolist() == [
        [[[-2.0, -1.0]], [[4.0, 3.0]], [[6.0, 5.0]]]
    ]
    assert torch.equal(mirror(clip, torch.tensor([False]), channel=0), clip)


def test_frames_have_no_sign_to_turn_round() -> None:
    frames = torch.tensor([[[[1.0, 2.0]]]])
    assert mirror(frames, torch.tensor([True]), channel=None).tolist() == [[[[2.0, 1.0]]]]


def test_a_shift_moves_down_and_right_and_repeats_the_edge() -> None:
    clip = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert shift(clip, torch.tensor([[1, -1]]))[0, 0].tolist() == [
        [1.0, 2.0, 2.0],
        [1.0, 2.0, 2.0],
        [4.0, 5.0, 5.0],
    ]


def test_each_clip_is_shifted_by_its_own_amount() -> None:
    clips = torch.arange(2 * 2 * 3 * 3.0).reshape(2, 2, 3, 3)
    moved = shift(clips, torch.tensor([[0, 0], [0, 1]]))
    assert torch.equal(moved[0], clips[0])
    assert torch.equal(moved[1, :, :, 1:], clips[1, :, :, :-1])


def test_the_inputs_of_one_clip_are_changed_alike() -> None:
    settings = Augmentation(flip=True, shift=2)
    clips = torch.randn(16, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    seen = augment({FLOW: clips, "frames": clips}, settings, torch.Generator().manual_seed(1))
    assert torch.equal(seen[FLOW][:, 1:], seen["frames"][:, 1:])
    assert torch.equal(seen[FLOW][:, 0].abs(), seen["frames"][:, 0].abs())


def test_without_settings_nothing_changes() -> None:
    clips = torch.randn(4, 3, 9, 9)
    nothing = Augmentation(flip=False, shift=0)
    assert torch.equal(augment({FLOW: clips}, nothing, torch.Generator())[FLOW], clips)


def test_scale_multiplies_the_motion_of_each_clip_by_one_factor() -> None:
    settings = Augmentation(flip=False, shift=0, scale=0.5)
    seen = augment(
        {FLOW: torch.ones(64, 3, 2, 2), "frames": torch.ones(64, 1, 2, 2)},
        settings,
        torch.Generator().manual_seed(0),
    )
    factors = seen[FLOW].flatten(1)
    assert torch.equal(factors.amin(1), factors.amax(1))
    assert 0.5 <= factors.min() < 0.7
    assert 1.3 < factors.max() <= 1.5
    assert torch.equal(seen["frames"], torch.ones(64, 1, 2, 2))


def test_noise_has_the_deviation_asked_for() -> None:
    settings = Augmentation(flip=False, shift=0, noise=0.3)
    seen = augment({FLOW: torch.zeros(64, 3, 28, 28)}, settings, torch.Generator().manual_seed(0))
    assert seen[FLOW].std().item() == pytest.approx(0.3, rel=0.02)

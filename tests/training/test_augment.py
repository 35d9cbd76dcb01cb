"""Changes that leave a class as it is."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mer_nas.config.base import validate
from mer_nas.data.preprocess.make_inputs import flow_rgb
from mer_nas.errors import ConfigError
from mer_nas.inputs import (
    DIFFERENCE,
    DYNAMIC_IMAGE,
    FLOW,
    FLOW_RGB,
    FRAMES,
    INPUTS,
    KEYFRAMES,
    KEYFRAMES_RGB,
)
from mer_nas.training.augment import augment, blend, draw_blend, magnify, move, rotate
from mer_nas.training.config import Augmentation

SEQUENCES = (KEYFRAMES, KEYFRAMES_RGB, FRAMES)
NOTHING = Augmentation(flip=False, shift=0)


def coloured(flow: Tensor) -> Tensor:
    """Return the pictures of flows (B, 3, H, W) as the data have them."""
    return torch.stack([torch.from_numpy(flow_rgb(one[:2].numpy(), full=3)) for one in flow])


def test_a_mirror_turns_horizontal_motion_round_and_nothing_else() -> None:
    clip = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]])  # (1, 3, 1, 2)
    assert move(FLOW, clip, torch.tensor([True])).tolist() == [
        [[[-2.0, -1.0]], [[4.0, 3.0]], [[6.0, 5.0]]]
    ]
    assert torch.equal(move(FLOW, clip, torch.tensor([False])), clip)


@pytest.mark.parametrize("name", [DIFFERENCE, DYNAMIC_IMAGE, KEYFRAMES, KEYFRAMES_RGB, FRAMES])
def test_what_shows_faces_has_no_sign_to_turn_round(name: str) -> None:
    clips = torch.randn(2, 3, 1, 4, 4) if name in SEQUENCES else torch.randn(2, 3, 4, 4)
    mirrored = move(name, clips, torch.tensor([True, False]))
    assert torch.equal(mirrored[0], clips[0].flip(-1))
    assert torch.equal(mirrored[1], clips[1])


def test_a_mirrored_picture_of_a_flow_is_the_picture_of_the_mirrored_flow() -> None:
    flow = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both = torch.tensor([True, True])
    expected = coloured(move(FLOW, flow, both))
    torch.testing.assert_close(move(FLOW_RGB, coloured(flow), both), expected)


def test_a_shift_moves_down_and_right_and_repeats_the_edge() -> None:
    clip = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert move(FLOW, clip, by=torch.tensor([[1, -1]]))[0, 0].tolist() == [
        [1.0, 2.0, 2.0],
        [1.0, 2.0, 2.0],
        [4.0, 5.0, 5.0],
    ]


def test_each_clip_is_shifted_by_its_own_amount() -> None:
    clips = torch.arange(2 * 2 * 3 * 3.0).reshape(2, 2, 3, 3)
    moved = move(FLOW, clips, by=torch.tensor([[0, 0], [0, 1]]))
    assert torch.equal(moved[0], clips[0])
    assert torch.equal(moved[1, :, :, 1:], clips[1, :, :, :-1])


def test_a_quarter_turn_turns_places_and_vectors_clockwise() -> None:
    # Motion to the right, in the middle of the right edge, becomes motion downwards at the bottom.
    flow = torch.zeros(1, 3, 3, 3)
    flow[0, 0, 1, 2] = 2.0  # u
    flow[0, 2, 1, 2] = 0.5  # strain
    turned = rotate(FLOW, flow, torch.tensor([math.pi / 2]))
    expected = torch.zeros(1, 3, 3, 3)
    expected[0, 1, 2, 1] = 2.0  # v
    expected[0, 2, 2, 1] = 0.5
    torch.testing.assert_close(turned, expected, atol=1e-6, rtol=0)


def test_a_turn_leaves_the_length_of_vectors_and_the_strain() -> None:
    flow = torch.ones(2, 3, 9, 9) * torch.tensor([3.0, 4.0, 0.7])[:, None, None]
    turned = rotate(FLOW, flow, torch.tensor([0.15, -0.1]))
    torch.testing.assert_close(turned[:, :2].norm(dim=1), torch.full((2, 9, 9), 5.0))
    torch.testing.assert_close(turned[:, 2], flow[:, 2])
    # Clockwise on the screen, where v points down: tan grows with the angle.
    angle = torch.atan2(turned[:, 1], turned[:, 0]) - math.atan2(4, 3)
    torch.testing.assert_close(angle[:, 0, 0], torch.tensor([0.15, -0.1]))


@pytest.mark.parametrize("angle", [-0.17, 0.1, math.pi / 2])
def test_the_picture_of_a_turned_flow_is_the_turned_picture(angle: float) -> None:
    # One vector everywhere in each clip, so that no place matters.
    vectors = torch.randn(16, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    flow, angles = vectors.expand(16, 3, 4, 4).contiguous(), torch.full((16,), angle)
    expected = coloured(rotate(FLOW, flow, angles))
    found = rotate(FLOW_RGB, coloured(flow), angles)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_hue_turned_a_third_of_the_circle_moves_on_by_one_primary() -> None:
    # One colour everywhere in each clip, so that no place matters.
    colours = torch.rand(20, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    clips = colours.expand(20, 3, 4, 4).contiguous()
    third = torch.full((20,), 2 * math.pi / 3)
    torch.testing.assert_close(rotate(FLOW_RGB, clips, third), clips[:, [2, 0, 1]])


def test_the_inputs_of_one_clip_are_changed_alike() -> None:
    settings = Augmentation(flip=True, shift=2, rotate=10, scale=(0.8, 1.5))
    film = torch.randn(16, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    same = {
        FLOW: film.repeat(1, 3, 1, 1),
        DIFFERENCE: film.repeat(1, 3, 1, 1),
        DYNAMIC_IMAGE: film,
        KEYFRAMES: torch.stack([torch.zeros_like(film), film, -film], dim=1),
        FRAMES: torch.stack([torch.zeros_like(film), film], dim=1),
    }
    seen = augment(same, settings, torch.Generator().manual_seed(1))
    one = seen[DYNAMIC_IMAGE]
    assert not torch.equal(one, film)
    torch.testing.assert_close(seen[DIFFERENCE], one.expand(-1, 3, -1, -1))
    torch.testing.assert_close(seen[FLOW][:, 2:], one)
    torch.testing.assert_close(seen[KEYFRAMES], torch.stack([0 * one, one, -one], dim=1))
    torch.testing.assert_close(seen[FRAMES], torch.stack([0 * one, one], dim=1))


def test_without_settings_nothing_changes() -> None:
    clips = torch.randn(4, 3, 9, 9)
    assert torch.equal(augment({FLOW: clips}, NOTHING, torch.Generator())[FLOW], clips)


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


def test_a_range_of_scales_is_drawn_evenly() -> None:
    settings = Augmentation(flip=False, shift=0, scale=(0.8, 1.5))
    seen = augment({FLOW: torch.ones(400, 3, 1, 1)}, settings, torch.Generator().manual_seed(0))
    factors = seen[FLOW][:, 0].flatten()
    assert 0.8 <= factors.min() < 0.81
    assert 1.49 < factors.max() <= 1.5
    assert factors.mean().item() == pytest.approx(1.15, abs=0.03)


def test_a_range_that_descends_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.scale: low 1\.5 is above high 0\.8"):
        validate(Augmentation, {"scale": [1.5, 0.8]}, "trainer")


def test_magnified_frames_depart_further_from_the_first() -> None:
    film = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1, 1)
    found = magnify(FRAMES, film, torch.tensor([1.5]))
    assert found.flatten().tolist() == [1.0, 2.5, 5.5]


def test_magnified_flow_is_brighter_but_never_above_full() -> None:
    colours = torch.tensor([0.4, 0.2, 0.8]).view(1, 3, 1, 1)
    found = magnify(FLOW_RGB, colours, torch.tensor([1.5]))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.6, 0.3, 1.0]))


def test_every_input_can_be_augmented() -> None:
    every = Augmentation(rotate=10, scale=(0.8, 1.5), noise=0.1)
    clips = {
        name: torch.rand(4, 3, known.channels, 8, 8) if known.timed
        else torch.rand(4, known.channels, 8, 8)
        for name, known in INPUTS.items()
    }  # fmt: skip
    seen = augment(clips, every, torch.Generator().manual_seed(0))
    for name, changed in seen.items():
        assert changed.shape == clips[name].shape
        assert changed.isfinite().all()
        assert not torch.equal(changed, clips[name])


def test_a_blend_is_the_share_of_each_clip_and_the_rest_of_another() -> None:
    clips = torch.randn(8, 3, 2, 2)
    film = torch.randn(8, 2, 1, 2, 2)
    inputs = {FLOW: clips, FRAMES: film}
    order, share = draw_blend(8, 1.0, torch.Generator().manual_seed(3))
    mixed = blend(inputs, order, share)
    assert order is not None
    assert sorted(order.tolist()) == list(range(8))
    assert 0 < share < 1
    torch.testing.assert_close(mixed[FLOW], share * clips + (1 - share) * clips[order])
    torch.testing.assert_close(mixed[FRAMES], share * film + (1 - share) * film[order])


def test_shares_of_blends_are_as_beta_has_them() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = np.array([draw_blend(2, 0.2, generator)[1] for _ in range(400)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
    assert shares.mean() == pytest.approx(0.5, abs=0.06)
    assert shares.var() == pytest.approx(1 / (4 * 1.4), rel=0.15)


def test_nothing_is_drawn_for_what_is_off() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    clips = {FLOW: torch.randn(4, 3, 9, 9)}
    augment(clips, NOTHING, generator)
    assert draw_blend(4, 0.0, generator) == (None, 1.0)
    assert torch.equal(generator.get_state(), before)


def test_noise_has_the_deviation_asked_for() -> None:
    settings = Augmentation(flip=False, shift=0, noise=0.3)
    seen = augment({FLOW: torch.zeros(64, 3, 28, 28)}, settings, torch.Generator().manual_seed(0))
    assert seen[FLOW].std().item() == pytest.approx(0.3, rel=0.02)

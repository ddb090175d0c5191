"""Objects in front of the hand: they cover a part of it, never too much."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.render.render import Rendering
from handpose.synthetic.scene.occluder import (
    MOST_COVERED,
    Occluder,
    sample_occluder,
    visible_hand,
)

SHAPE = (160, 200)


def painted(centre: tuple[int, int] = (110, 70), radius: int = 35) -> Rendering:
    """A disc for a hand with an arm down to the frame's border."""
    coverage = np.zeros(SHAPE, np.float32)
    cv2.circle(coverage, centre, radius, 1.0, -1)
    cv2.rectangle(coverage, (centre[0] - 12, centre[1]), (centre[0] + 12, SHAPE[0]), 1.0, -1)
    radiance = coverage[..., None] * np.array([0.5, 0.3, 0.2], np.float32)
    return Rendering(radiance, coverage, np.where(coverage > 0, 0.8, np.inf).astype(np.float32))


def disc(centre: tuple[int, int] = (110, 70), radius: int = 35) -> NDArray[np.bool_]:
    hand = np.zeros(SHAPE, np.uint8)
    cv2.circle(hand, centre, radius, 1, -1)
    return hand > 0


def occluder(seed: int, hands: list[NDArray[np.bool_]] | None = None) -> Occluder:
    hands = hands if hands is not None else [disc()]
    found = sample_occluder(np.random.default_rng(seed), painted(), hands)
    assert found is not None
    return found


def test_a_part_of_the_hand_is_covered_and_never_more_than_the_stated_share() -> None:
    shares = np.array([(occluder(seed).coverage[disc()] > 0.5).mean() for seed in range(300)])
    assert shares.max() <= MOST_COVERED
    assert (shares > 0).mean() > 0.97
    assert shares.max() > 0.3
    assert np.median(shares) > 0.05


def test_of_two_hands_neither_is_covered_too_much() -> None:
    hands = [disc((60, 70), 20), disc((110, 70), 35)]
    shares = np.array(
        [
            [(found.coverage[hand] > 0.5).mean() for hand in hands]
            for found in (occluder(seed, hands) for seed in range(150))
        ]
    )
    assert shares.max() <= MOST_COVERED
    assert ((shares > 0).mean(0) > 0.2).all()  # each is chosen at times


def test_a_small_hand_at_the_border_is_not_hidden() -> None:
    hand = disc((199, 80), 8)
    for seed in range(100):
        assert (occluder(seed, [hand]).coverage[hand] > 0.5).mean() <= MOST_COVERED


def test_no_hand_in_view_no_object() -> None:
    nothing = np.zeros(SHAPE, bool)
    for hands in ([], [nothing], [nothing, nothing]):
        assert sample_occluder(np.random.default_rng(0), painted(), hands) is None


def test_layers_are_premultiplied_light() -> None:
    for seed in range(100):
        radiance, coverage = occluder(seed)
        assert radiance.shape == (*SHAPE, 3)
        assert radiance.dtype == coverage.dtype == np.float32
        assert coverage.min() >= 0
        assert coverage.max() <= 1 + 1e-5
        assert radiance.min() >= 0
        assert (radiance[coverage == 0] == 0).all()
        assert np.isfinite(radiance).all()


def test_an_occluder_depends_on_its_generator_alone() -> None:
    one, again, other = (occluder(seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.radiance, again.radiance)
    assert np.abs(one.coverage - other.coverage).max() > 0.5


def test_the_hand_shows_where_nothing_covers_it_darker_near_the_object_alone() -> None:
    hand, found = painted(), occluder(0)
    both = found.before(hand)
    open_part = disc() & (found.coverage == 0)
    assert (both.radiance[open_part] <= hand.radiance[open_part] + 1e-6).all()
    far = cv2.distanceTransform((found.coverage == 0).astype(np.uint8), cv2.DIST_L2, 5) > 45
    np.testing.assert_allclose(both.radiance[far], hand.radiance[far], atol=0.01)
    inside = found.coverage > 0.999
    np.testing.assert_allclose(both.radiance[inside], found.radiance[inside], atol=1e-3)
    np.testing.assert_array_equal(both.depth, hand.depth)
    assert (both.coverage >= hand.coverage - 1e-6).all()


def test_nothing_in_front_changes_nothing() -> None:
    hand = painted()
    empty = Occluder(np.zeros((*SHAPE, 3), np.float32), np.zeros(SHAPE, np.float32))
    np.testing.assert_array_equal(empty.before(hand).radiance, hand.radiance)
    np.testing.assert_array_equal(empty.before(hand).coverage, hand.coverage)


def test_the_hand_is_what_is_rendered_within_the_outline_of_its_vertices() -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    outline = np.array([110, 70]) + 35 * np.stack([np.cos(angle), np.sin(angle)], 1)
    found = visible_hand(painted(), outline)
    assert (found ^ disc()).mean() < 0.005
    assert not found[120:].any()  # the arm
    outside = visible_hand(painted(), outline + 1e7)
    assert not outside.any()


@pytest.mark.parametrize("shape", [(48, 64), (334, 512)])
def test_any_size_of_frame(shape: tuple[int, int]) -> None:
    hand = np.zeros(shape, bool)
    hand[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    coverage = hand.astype(np.float32)
    rendering = Rendering(coverage[..., None].repeat(3, 2), coverage, 1 / (coverage + 1e-9))
    for seed in range(30):
        found = sample_occluder(np.random.default_rng(seed), rendering, [hand])
        assert found is not None
        assert found.coverage.shape == shape
        assert (found.coverage[hand] > 0.5).mean() <= MOST_COVERED
        assert found.before(rendering).radiance.shape == (*shape, 3)

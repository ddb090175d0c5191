"""A person's charts on the hand: how much they change, where, and the same for both hands."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.render.render import Light, Material, render
from handpose.synthetic.skin import BARE_ARM, Sleeve, sample_skin, skin_material
from handpose.synthetic.texture.skin_charts import (
    TEXEL_M,
    PaintedSkin,
    charts,
    hand_grid,
    paint_person,
)
from tests.synthetic.texture.hands import RestHand, rest_hand

SPACING_M = 0.0016
SIZE = (160, 200)
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def hand(mano: Mano) -> RestHand:
    return rest_hand(mano)


def painted(
    hand: RestHand,
    seed: int,
    creases: float = 1,
    detail: float = 0,
    melanin: float = 0.5,
    spacing_m: float = SPACING_M,
) -> PaintedSkin:
    rngs = np.random.default_rng(seed), np.random.default_rng(100 + seed)
    skin = sample_skin(np.random.default_rng(seed))._replace(melanin=melanin)
    return paint_person(rngs, hand.landmarks, skin, creases, detail, spacing_m)


def on_side(hand: RestHand, person: PaintedSkin, side: int) -> NDArray[np.floating]:
    """Factors on the albedo over the palm (0) or the back (1) of a hand: (S, 3)."""
    weight = (hand.landmarks.palm, hand.landmarks.back)[side]
    shown = (weight > 0.9) & ~hand.surface.is_forearm
    faces = hand.surface.faces[shown[hand.surface.faces].all(1)]
    at = (hand.landmarks.uv - person.grid.origin) / person.grid.texel_m
    mask = np.zeros(person.grid.shape, np.uint8)
    for corners in np.rint(at).astype(np.int32)[faces]:
        cv2.fillConvexPoly(mask, corners, 1)
    return np.asarray(np.exp(person.levels[0][side][..., :3][mask > 0]))


@pytest.mark.parametrize("melanin", [0.05, 0.8, 2.3])
def test_creases_vary_the_albedo_and_hardly_change_its_mean(hand: RestHand, melanin: float) -> None:
    for seed in range(5):
        person = painted(hand, seed, melanin=melanin)
        for side, least in ((0, 0.04), (1, 0.015)):
            factor = on_side(hand, person, side)
            assert factor[:, 1].std() > least
            assert np.abs(factor.mean(0) - 1).max() < 0.05


def test_detail_varies_the_albedo_and_does_not_change_its_mean(hand: RestHand) -> None:
    for seed in range(3):
        factor = on_side(hand, painted(hand, seed, creases=0, detail=1), 0)
        assert 0.02 < factor[:, 1].std() < 0.1
        assert np.abs(factor.mean(0) - 1).max() < 0.03


def test_strength_nought_paints_nothing(hand: RestHand) -> None:
    assert not np.any(painted(hand, 0, creases=0, detail=0).levels[0])


def test_half_the_strength_is_half_the_lines(hand: RestHand) -> None:
    whole, half = (painted(hand, 0, creases=strength).levels[0] for strength in (1, 0.5))
    np.testing.assert_allclose(half, whole / 2, atol=1e-5)


def test_a_person_has_own_lines(hand: RestHand) -> None:
    first, again, other = (painted(hand, seed).levels[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    likeness = np.corrcoef(first[0, ..., 1].ravel(), other[0, ..., 1].ravel())[0, 1]
    assert likeness < 0.8


def test_lines_are_where_they_were_in_any_resolution(hand: RestHand) -> None:
    fine, coarse = (painted(hand, 0, spacing_m=spacing).levels for spacing in (0.0005, SPACING_M))
    rows, columns = (
        min(a, b) for a, b in zip(fine[1].shape[1:3], coarse[0].shape[1:3], strict=True)
    )
    a, b = (chart[0, :rows, :columns, 1].ravel() for chart in (fine[1], coarse[0]))
    assert np.corrcoef(a, b)[0, 1] > 0.9


@pytest.mark.parametrize("spacing_m", [0.0003, 0.0008, 0.0016, 0.005])
def test_texels_are_finer_than_the_samples(hand: RestHand, spacing_m: float) -> None:
    texel = hand_grid(hand.landmarks, spacing_m).texel_m
    assert TEXEL_M <= texel <= max(TEXEL_M, spacing_m / 1.5)
    assert texel > spacing_m / 3.01 or texel == TEXEL_M


def test_nothing_shows_on_cloth_and_nails(hand: RestHand) -> None:
    person = painted(hand, 0)
    dressed = charts(person, hand.landmarks, hand.where, Sleeve(0.1, np.zeros(3)))
    assert dressed.weights[hand.where.forearm > 0.15].max() == 0
    bare = charts(person, hand.landmarks, hand.where, BARE_ARM)
    assert bare.weights[hand.where.nail > 0.99].max() < 0.02


def test_a_hand_without_forearm_has_the_same_lines(hand: RestHand, mano: Mano) -> None:
    short = rest_hand(mano, forearm=False)
    count = int((~hand.surface.is_forearm).sum())
    one, other = (
        charts(painted(hand, 3), body.landmarks, body.where, BARE_ARM) for body in (hand, short)
    )
    np.testing.assert_array_equal(one.uv[:count], other.uv[:count])
    inner = np.setdiff1d(np.arange(count), hand.surface.loop)  # not at the edge: other normals
    np.testing.assert_allclose(one.weights[inner], other.weights[inner], atol=1e-5)


def material(hand: RestHand, person: PaintedSkin | None) -> Material:
    skin = sample_skin(np.random.default_rng(5))._replace(grain=0.0)
    grain = np.zeros((2, 2, 2), np.float32)
    plain = skin_material(skin, BARE_ARM, hand.where, hand.surface.rest, grain)
    if person is None:
        return plain
    return plain._replace(charts=charts(person, hand.landmarks, hand.where, BARE_ARM))


def picture(
    hand: RestHand, look: Material, *, is_left: bool = False, palm: bool = True
) -> NDArray[np.floating]:
    """The rest pose from before the palm or the back, mirrored for a left hand: (H, W, 3)."""
    mirror = MIRROR if is_left else np.ones(3)
    side = 1.0 if palm else -1.0
    # fingers up in the picture; MANO's right palm faces -y, its fingers point to -x
    axes = np.array([[0, 0, side], [1, 0, 0], [0, side, 0]])
    middle = hand.joints.mean(0)
    points = (hand.surface.control - middle) @ axes.T
    mesh = hand.surface.mesh(points * mirror + (0, 0, 0.8), is_left)
    one = np.ones(3, np.float32)
    towards = np.array([0.5, -0.3, -0.8]) * mirror
    light = Light(
        towards=(towards / np.linalg.norm(towards)).astype(np.float32),
        key=0.7 * one,
        fill_towards=np.array([0, 0, -1], np.float32),
        fill=0.1 * one,
        up=np.array([0, -1, 0], np.float32),
        ambient=0.3 * one,
    )
    K = np.array([[500.0, 0, (SIZE[0] - 1) / 2], [0, 500, (SIZE[1] - 1) / 2], [0, 0, 1]])
    return render(mesh, look, light, K, SIZE).radiance


def test_both_hands_of_a_person_have_mirrored_lines(hand: RestHand) -> None:
    look = material(hand, painted(hand, 0))
    for palm in (True, False):
        right = picture(hand, look, palm=palm)
        left = picture(hand, look, is_left=True, palm=palm)[:, ::-1]
        apart = np.abs(right - left).max(2)
        assert np.mean(apart[right.sum(2) > 0] < 0.02) > 0.97
        bare = picture(hand, material(hand, None), palm=palm)
        assert np.abs(right - left).mean() < 0.2 * np.abs(right - bare).mean()


def test_lines_of_the_palm_do_not_show_on_the_back(hand: RestHand) -> None:
    person = painted(hand, 0)
    palm_only = person._replace(
        levels=[level * np.array([1, 0])[:, None, None, None] for level in person.levels]
    )
    look, bare = material(hand, palm_only), material(hand, None)
    changed = {
        palm: np.abs(picture(hand, look, palm=palm) - picture(hand, bare, palm=palm)).max(2) > 0.01
        for palm in (True, False)
    }
    assert changed[True].sum() > 20 * changed[False].sum() + 100


def test_relief_turns_with_the_light(hand: RestHand) -> None:
    """A tendon is light on the side of the lamp and dark on the other: it adds no light."""
    person = painted(hand, 4)
    relief = person._replace(
        levels=[level * np.array([0, 0, 0, 1, 1], np.float32) for level in person.levels]
    )
    difference = picture(hand, material(hand, relief), palm=False) - picture(
        hand, material(hand, None), palm=False
    )
    assert difference.max() > 0.005
    assert difference.min() < -0.005
    assert abs(difference.sum()) < 0.3 * np.abs(difference).sum()

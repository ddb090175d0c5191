"""Skin: where palm, knuckles and nails are, and tones that are drawn, not listed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.hand.skeleton import JOINTS, TIPS
from handpose.render.surface import Surface
from handpose.synthetic.skin import (
    Regions,
    Skin,
    Sleeve,
    regions,
    sample_skin,
    sample_sleeve,
    skin_material,
)

BARE_ARM = Sleeve(2.0, np.zeros(3))


@pytest.fixture(scope="module")
def joints(mano: Mano) -> NDArray[np.float32]:
    flat = torch.eye(3).expand(1, 15, 3, 3)
    return np.asarray(mano(torch.eye(3)[None], flat, torch.zeros(1, 10)).joints[0])


@pytest.fixture(scope="module")
def surface(mano: Mano) -> Surface:
    return Surface(mano.faces.numpy(), np.asarray(mano.layer.v_template))


@pytest.fixture(scope="module")
def where(surface: Surface, joints: NDArray[np.float32]) -> Regions:
    return regions(surface, joints)


def albedo(
    skin: Skin, where: Regions, surface: Surface, sleeve: Sleeve = BARE_ARM
) -> NDArray[np.floating]:
    return skin_material(skin, sleeve, where, surface.rest, np.zeros((2, 2, 2), np.float32)).albedo


def test_regions_are_shares(where: Regions) -> None:
    for region in where:
        assert region.min() >= 0
        assert region.max() == pytest.approx(1, abs=0.05)


def test_palm_faces_down_in_the_rest_pose(where: Regions, surface: Surface) -> None:
    up = surface.mesh(surface.control).normals[:, 1]  # MANO's right palm faces -y
    assert up[where.palm > 0.9].max() < 0
    assert where.palm[up > 0.2].max() < 0.2


def test_each_finger_has_a_nail_near_its_tip_and_not_on_its_pad(
    where: Regions, surface: Surface, joints: NDArray[np.float32]
) -> None:
    nails = surface.rest[where.nail > 0.5]
    for tip in TIPS:
        near = np.linalg.norm(nails - joints[tip], axis=1) < 0.018
        assert 2 <= near.sum() <= 40
    assert where.palm[where.nail > 0.5].max() < 0.5


def test_knuckles_are_where_fingers_bend(
    where: Regions, surface: Surface, joints: NDArray[np.float32]
) -> None:
    index_pip = joints[JOINTS.index("index_2")]
    nearest = np.linalg.norm(surface.rest - index_pip, axis=1) < 0.012
    assert where.knuckle[nearest].max() > 0.3
    assert (where.knuckle * where.palm).max() < 0.3


def test_forearm_begins_at_zero_on_the_hand(where: Regions, surface: Surface) -> None:
    assert where.forearm[~surface.is_forearm].max() == 0
    assert where.forearm[surface.is_forearm].min() > 0


def test_no_subject_looks_like_another(where: Regions, surface: Surface) -> None:
    people = [sample_skin(np.random.default_rng(seed)) for seed in range(40)]
    tones = np.array([albedo(skin, where, surface).mean(0) for skin in people])
    apart = np.linalg.norm(tones[:, None] - tones[None], axis=-1) + np.eye(len(tones))
    assert apart.min() > 1e-4
    assert tones[:, 1].max() / tones[:, 1].min() > 5  # from pale to dark


def test_skin_reflects_red_most_and_never_all_light(where: Regions, surface: Surface) -> None:
    for seed in range(20):
        tone = albedo(sample_skin(np.random.default_rng(seed)), where, surface)
        assert tone.min() > 0
        assert tone.max() < 1
        assert (tone[:, 0] >= tone[:, 2]).all()


def test_palms_are_lighter_and_the_more_so_the_darker_the_skin(
    where: Regions, surface: Surface
) -> None:
    base = sample_skin(np.random.default_rng(0))
    plain = (where.knuckle < 0.1) & (where.tip < 0.1) & (where.nail < 0.1)
    palm, back = plain & (where.palm > 0.9), plain & (where.palm < 0.1)

    def contrast(melanin: float) -> float:
        tone = albedo(base._replace(melanin=melanin), where, surface)
        return float(tone[palm, 0].mean() / tone[back, 0].mean())

    assert 0.95 < contrast(0.05) < contrast(1.0) < contrast(2.0)


def test_a_sleeve_covers_the_arm_only(where: Regions, surface: Surface) -> None:
    skin = sample_skin(np.random.default_rng(1))
    bare = albedo(skin, where, surface)
    dressed = albedo(skin, where, surface, Sleeve(0.5, np.full(3, 0.25)))
    hand = ~surface.is_forearm
    np.testing.assert_array_equal(dressed[hand], bare[hand])
    np.testing.assert_allclose(dressed[where.forearm > 0.6], 0.25, atol=1e-6)


def test_most_arms_are_bare() -> None:
    starts = [sample_sleeve(np.random.default_rng(seed)).start for seed in range(200)]
    assert 0.1 < np.mean(np.array(starts) < 1) < 0.5

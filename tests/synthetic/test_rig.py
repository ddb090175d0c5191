"""Rigs: calibrated cameras around one point, some upright, some grey."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from handpose.hand.camera import project, world_to_camera
from handpose.synthetic.rig import CAMERAS, HAND_M, Rig, sample_rig

SPREAD_DEG = (60.0, 30.0)


def rig_of(seed: int, **changes: Any) -> Rig:
    settings: dict[str, Any] = {
        "back_cameras": 1 / 3,
        "spread_deg": SPREAD_DEG,
        "roll_deg": 8.0,
        "distance_m": (0.65, 1.05),
        "filled": (0.6, 0.78),
    }
    return sample_rig(np.random.default_rng(seed), (200, 160), **{**settings, **changes})


RIGS = [rig_of(seed) for seed in range(12)]


@pytest.mark.parametrize("rig", RIGS[:4], ids=range(4))
def test_every_camera_looks_at_the_hand(rig: Rig) -> None:
    for camera in rig.cameras:
        np.testing.assert_allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(camera.R) == pytest.approx(1)
        middle = world_to_camera(rig.origin[None], camera.R, camera.centre)
        assert middle[0, 2] > 0.5
        off = project(middle, camera.K)[0] - (np.array(camera.size) - 1) / 2
        assert np.abs(off).max() < 0.08 * min(camera.size)


@pytest.mark.parametrize("rig", RIGS[:4], ids=range(4))
def test_directions_lie_in_the_two_sectors(rig: Rig) -> None:
    away = np.array([rig.to_world.T @ (c.centre - rig.origin) for c in rig.cameras])
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    azimuth = np.arctan2(away[:, 0], away[:, 2])
    front = np.abs(azimuth) < np.pi / 2
    assert 0.55 < front.mean() < 0.8
    assert np.abs(azimuth[front]).max() <= np.deg2rad(SPREAD_DEG[0])
    assert (np.pi - np.abs(azimuth[~front])).max() <= np.deg2rad(SPREAD_DEG[0]) + 1e-9
    assert np.abs(np.arcsin(away[:, 1])).max() <= np.deg2rad(SPREAD_DEG[1]) + 1e-9


def test_an_open_hand_fills_a_good_share_of_the_frame_and_one_camera_cuts_it_off() -> None:
    for rig in RIGS:
        filled = []
        for camera in rig.cameras:
            distance = np.linalg.norm(camera.centre - rig.origin)
            filled.append(camera.K[0, 0] * HAND_M / distance / min(camera.size))
        assert sum(share > 0.85 for share in filled) == 1
        assert min(filled) > 0.55


def test_rigs_differ_and_have_every_kind_of_camera() -> None:
    cameras = [camera for rig in RIGS for camera in rig.cameras]
    assert {camera.size for camera in cameras} == {(200, 160), (160, 200)}
    assert {camera.name[:3] for camera in cameras} == {"400", "410"}
    assert len({len(rig.cameras) for rig in RIGS}) > 3
    for rig in RIGS:
        assert CAMERAS[0] <= len(rig.cameras) <= CAMERAS[1]
        assert len({camera.name for camera in rig.cameras}) == len(rig.cameras)
        for camera, sensor in zip(rig.cameras, rig.sensors, strict=True):
            assert sensor.is_grey == camera.name.startswith("410")


def test_a_wide_rig_sees_the_hand_from_all_round_and_turned_over_the_whole_circle() -> None:
    rigs = [rig_of(seed, spread_deg=(90.0, 60.0), roll_deg=180.0) for seed in range(40)]
    away = np.concatenate(
        [[rig.to_world.T @ (c.centre - rig.origin) for c in rig.cameras] for rig in rigs]
    )
    sectors = np.histogram(np.arctan2(away[:, 0], away[:, 2]), 12, (-np.pi, np.pi))[0]
    assert sectors.min() > 0.25 * sectors.mean()
    assert np.rad2deg(np.arcsin(away[:, 1] / np.linalg.norm(away, axis=1))).max() > 50
    up = np.concatenate([[c.R @ rig.to_world @ (0, 1, 0) for c in rig.cameras] for rig in rigs])
    turns = np.histogram(np.arctan2(up[:, 0], -up[:, 1]), 12, (-np.pi, np.pi))[0]
    assert turns.min() > 0.6 * turns.mean()


def test_near_cameras_and_small_hands_are_drawn_from_their_ranges() -> None:
    rig = rig_of(0, distance_m=(0.3, 0.4), filled=(0.2, 0.3))
    distances = [float(np.linalg.norm(camera.centre - rig.origin)) for camera in rig.cameras]
    assert 0.3 <= min(distances) < max(distances) <= 0.4
    shares = [
        camera.K[0, 0] * HAND_M / distance / min(camera.size)
        for camera, distance in zip(rig.cameras[1:], distances[1:], strict=True)
    ]
    assert 0.19 < min(shares) < max(shares) < 0.31

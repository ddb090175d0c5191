"""Rigs: calibrated cameras around one point, some upright, some grey."""

from __future__ import annotations

import numpy as np
import pytest

from handpose.hand.camera import project, world_to_camera
from handpose.synthetic.rig import AZIMUTH_RAD, CAMERAS, ELEVATION_RAD, HAND_M, Rig, sample_rig

RIGS = [sample_rig(np.random.default_rng(seed), (200, 160), 1 / 3) for seed in range(12)]


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
    assert np.abs(azimuth[front]).max() <= AZIMUTH_RAD
    assert (np.pi - np.abs(azimuth[~front])).max() <= AZIMUTH_RAD + 1e-9
    assert np.abs(np.arcsin(away[:, 1])).max() <= ELEVATION_RAD + 1e-9


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

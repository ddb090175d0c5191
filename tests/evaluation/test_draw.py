from __future__ import annotations

import numpy as np
import pytest
import torch

from handpose.evaluation import draw
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.skeleton import PARENTS

SIDE = 96
K = np.array([[280.0, 0, 47.5], [0, 280.0, 47.5], [0, 0, 1]])
GREY = np.full((SIDE, SIDE, 3), 100, np.uint8)


@pytest.fixture(scope="module")
def hands(mano: Mano) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A right hand and its mirror image: vertices, joints (2, N, 3) m in front of the camera."""
    hand = mano.hand(
        torch.tensor([[1.2, 1.0, -1.0]] * 2),
        torch.zeros(2, 45),
        torch.zeros(2, 10),
        torch.tensor([False, True]),
    )
    middle = (hand.joints.amin(1, keepdim=True) + hand.joints.amax(1, keepdim=True)) / 2
    shift = torch.tensor([0.0, 0.0, 0.6]) - middle
    faces = mano.faces.numpy()
    return (hand.vertices + shift).double().numpy(), (hand.joints + shift).double().numpy(), faces


def test_a_mesh_covers_its_joints_and_leaves_the_corners(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vertices, joints, faces = hands
    for k in range(2):
        drawn = draw.draw_mesh(GREY, vertices[k], faces, K, colour=draw.MODEL, is_left=bool(k))
        inner = [j for j in range(21) if j in PARENTS and j > 0]  # not tips, not the open wrist
        u, v = np.rint(project(joints[k], K)[inner]).astype(int).T
        assert (np.abs(drawn[v, u].astype(int) - 100).max(-1) > 10).all()
        assert (drawn[[0, 0, -1, -1], [0, -1, 0, -1]] == 100).all()


def test_a_left_hand_is_the_mirrored_picture_of_a_right_one(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    vertices, _, faces = hands
    monkeypatch.setattr(draw, "LIGHT", np.array([0.0, -0.5, -0.8]))  # as bright from either side
    centred = vertices.copy()
    centred[..., 0] -= vertices[..., 0].mean(1, keepdims=True)
    right = draw.draw_mesh(GREY, centred[0], faces, K, colour=draw.MODEL)
    left = draw.draw_mesh(GREY, centred[1], faces, K, colour=draw.MODEL, is_left=True)
    assert (np.abs(right.astype(int) - left[:, ::-1]).max(-1) <= 2).mean() > 0.995
    inside_out = draw.draw_mesh(GREY, centred[1], faces, K, colour=draw.MODEL)
    assert (np.abs(right.astype(int) - inside_out[:, ::-1]).max(-1) <= 2).mean() < 0.95


def test_opacity_blends_between_photo_and_mesh(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vertices, _, faces = hands
    none, half, full = (
        draw.draw_mesh(GREY, vertices[0], faces, K, colour=(250, 0, 0), opacity=opacity).astype(int)
        for opacity in (0, 0.5, 1)
    )
    assert (none == 100).all()
    np.testing.assert_allclose(half, (none + full) / 2, atol=1)


def test_a_mesh_behind_the_camera_is_not_drawn(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vertices, _, faces = hands
    behind = vertices[0] - [0, 0, 0.6]
    assert (draw.draw_mesh(GREY, behind, faces, K, colour=draw.MODEL) == GREY).all()
    assert (draw.draw_outline(GREY, behind, faces, K, colour=draw.MODEL) == GREY).all()


def test_drawing_leaves_the_given_image_as_it_is(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vertices, joints, faces = hands
    image = GREY.copy()
    draw.draw_mesh(image, vertices[0], faces, K, colour=draw.MODEL)
    draw.draw_skeleton(image, project(joints[0], K), colour=draw.TRUTH)
    assert (image == 100).all()


def test_a_skeleton_colours_its_joints_and_leaves_out_those_not_valid() -> None:
    uv = np.stack([np.linspace(10, 85, 21), np.full(21, 50.0)], 1)
    valid = np.arange(21) < 17
    drawn = draw.draw_skeleton(GREY, uv, colour=draw.TRUTH, valid=valid)
    u, v = np.rint(uv).astype(int).T
    assert (drawn[v, u][:17] == draw.TRUTH).all()
    assert (drawn[v[18:], u[18:]] == 100).all()


def test_joints_of_a_skeleton_may_have_colours_of_their_own() -> None:
    uv = np.stack([np.linspace(10, 85, 21), np.full(21, 50.0)], 1)
    tones: list[draw.Colour] = [(10 * k, 200 - 5 * k, 30) for k in range(21)]
    drawn = draw.draw_skeleton(GREY, uv, colour=tones, thick=1)
    u, v = np.rint(uv).astype(int).T
    assert [tuple(tone) for tone in drawn[v, u].tolist()] == tones
    same = draw.draw_skeleton(GREY, uv, colour=[draw.TRUTH] * 21)
    assert np.array_equal(same, draw.draw_skeleton(GREY, uv, colour=draw.TRUTH))


def test_joints_that_are_nowhere_or_far_outside_do_no_harm() -> None:
    uv = np.full((21, 2), 1e9)
    uv[3] = np.nan
    assert draw.draw_skeleton(GREY, uv, colour=draw.TRUTH).shape == GREY.shape


@pytest.mark.parametrize("zoom", [1, 3])
def test_an_enlarged_camera_sees_points_where_the_enlarged_image_has_them(zoom: int) -> None:
    point = np.array([[0.03, -0.02, 0.6]])
    uv = project(point, K)
    np.testing.assert_allclose(
        project(point, draw.enlarge_camera(K, zoom)), draw.enlarge_points(uv, zoom)
    )
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    u, v = np.rint(uv[0]).astype(int)
    image[v, u] = 255
    enlarged = draw.enlarge(image, zoom)[..., 0].astype(float)
    grid = np.mgrid[: SIDE * zoom, : SIDE * zoom]
    centre = (grid * enlarged).sum((1, 2)) / enlarged.sum()
    np.testing.assert_allclose(
        centre, draw.enlarge_points(np.array([v, u], float), zoom), atol=0.15
    )


def test_the_side_camera_has_the_hand_in_its_middle_and_depth_across(
    hands: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, joints, _ = hands
    R, t, K_side = draw.side_camera(joints[0], 200)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    uv = project(joints[0] @ R.T + t, K_side)
    assert (uv > 0).all()
    assert (uv < 199).all()
    order_in_depth, across = np.argsort(joints[0][:, 2]), uv[:, 0]
    assert abs(np.corrcoef(joints[0][order_in_depth, 2], across[order_in_depth])[0, 1]) > 0.99


def test_an_outline_runs_around_its_mesh(hands: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    vertices, joints, faces = hands
    for k in range(2):
        drawn = draw.draw_outline(GREY, vertices[k], faces, K, colour=draw.MODEL)
        changed = (drawn != GREY).any(-1)
        solid = draw.draw_mesh(GREY, vertices[k], faces, K, colour=draw.MODEL, is_left=bool(k))
        covered = (solid != GREY).any(-1)
        assert 0.02 < changed.mean() < covered.mean()
        v, u = np.nonzero(changed)
        assert (u.min(), v.min()) <= tuple(c.min() for c in np.nonzero(covered)[::-1])
        middle = np.rint(project(joints[k], K)[[0, 9]].mean(0)).astype(int)  # of the palm
        assert not changed[middle[1], middle[0]]

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.camera import (
    back_project,
    project,
    root_to_camera,
    turn,
    turn_back,
    view_rotation,
    warp_intrinsics,
    world_to_camera,
)
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix

VIEW = 96
K = torch.tensor([[[500.0, 0, 127.5], [0, 510, 120], [0, 0, 1]]])


@pytest.fixture
def points() -> Tensor:
    """Points in front of the camera: (4, 21, 3) m."""
    rng = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(4, 21, 3, generator=rng) + torch.tensor([0.0, 0.0, 0.8])


def test_a_point_on_the_axis_is_seen_at_the_principal_point() -> None:
    uv = project(torch.tensor([[[0.0, 0, 2]]]), K)
    assert uv.tolist() == [[[127.5, 120.0]]]


def test_right_is_right_and_down_is_down() -> None:
    uv = project(torch.tensor([[[0.1, 0.2, 1]]]), K)
    torch.testing.assert_close(uv, torch.tensor([[[127.5 + 50, 120 + 102.0]]]))


def test_back_projection_undoes_projection_through_a_turned_crop(points: Tensor) -> None:
    angle = torch.tensor(0.4)
    affine = torch.tensor([[angle.cos(), -angle.sin(), 30], [angle.sin(), angle.cos(), -8]])
    warped = warp_intrinsics(K, affine)
    back = back_project(project(points, warped), points[..., 2], warped)
    torch.testing.assert_close(back, points, atol=1e-6, rtol=0)


def test_warped_intrinsics_see_the_warped_pixels(points: Tensor) -> None:
    affine = torch.tensor([[1.2, 0.3, -20], [-0.1, 0.9, 15]])
    uv = project(points, K)
    expected = uv @ affine[:, :2].T + affine[:, 2]
    torch.testing.assert_close(project(points, warp_intrinsics(K, affine)), expected)
    homogeneous = torch.cat([affine, torch.tensor([[0.0, 0, 1]])])
    assert torch.equal(warp_intrinsics(K, homogeneous), warp_intrinsics(K, affine))


def test_a_mirrored_scene_is_seen_in_the_mirrored_image(points: Tensor) -> None:
    width = 256
    flip = torch.tensor([[-1.0, 0, width - 1], [0, 1, 0]])  # u -> W - 1 - u
    mirrored_K = warp_intrinsics(K, flip) @ torch.diag(
        torch.tensor([-1.0, 1, 1])
    )  # fx stays positive
    assert mirrored_K[0, 0, 0] == 500 and mirrored_K[0, 0, 2] == width - 1 - 127.5
    mirrored = project(points * torch.tensor([-1.0, 1, 1]), mirrored_K)
    u, v = project(points, K).unbind(-1)
    torch.testing.assert_close(mirrored, torch.stack([width - 1 - u, v], -1))


def test_numpy_arrays_and_tensors_agree(points: Tensor) -> None:
    uv = project(points.numpy(), K.numpy())
    np.testing.assert_allclose(uv, project(points, K).numpy(), rtol=1e-6)


def test_the_camera_centre_is_the_origin_and_distances_stay(points: Tensor) -> None:
    R = axis_angle_to_matrix(torch.tensor([[0.3, -1.0, 0.5]]))
    C = torch.tensor([[1.0, 2.0, 3.0]])
    assert world_to_camera(C[:, None], R, C).abs().max() == 0
    moved = world_to_camera(points, R, C)
    torch.testing.assert_close(
        torch.cdist(moved, moved), torch.cdist(points, points), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("left", [False, True])
def test_moving_the_mesh_and_moving_its_parameters_give_the_same_vertices(
    mano: Mano, left: bool
) -> None:
    rng = torch.Generator().manual_seed(0)
    is_left = torch.full((4,), left)
    root = axis_angle_to_matrix(torch.randn(4, 3, generator=rng))
    betas, transl = torch.randn(4, 10, generator=rng), torch.randn(4, 3, generator=rng)
    rotations = mano.rotations(0.3 * torch.randn(4, 45, generator=rng))
    R = axis_angle_to_matrix(torch.randn(4, 3, generator=rng))
    C = torch.randn(4, 3, generator=rng)

    M = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))

    def mesh(root: Tensor, transl: Tensor) -> Tensor:
        as_right = M @ root @ M if left else root
        right = mano(as_right, rotations, betas).vertices
        return mirror_points(right, is_left) + transl[:, None]

    wrist = mirror_points(mano.rest_wrist(betas)[:, None], is_left)[:, 0]
    root_cam, transl_cam = root_to_camera(root, transl, wrist, R, C)
    by_parameters = mesh(root_cam, transl_cam)
    by_vertices = world_to_camera(mesh(root, transl), R, C)
    torch.testing.assert_close(by_parameters, by_vertices, atol=2e-6, rtol=0)

    forgetful = mesh(root_cam, (R @ (transl - C)[..., None])[..., 0])  # without (R - I) J0
    assert (forgetful - by_vertices).norm(dim=-1).min() > 1e-3


def test_mirroring_an_axis_angle_is_what_the_reader_does_to_a_left_hand() -> None:
    turn = torch.tensor([[0.1, 0.2, 0.3]])
    mirrored = mirror_axis_angle(turn, torch.tensor([True]))
    torch.testing.assert_close(mirrored, torch.tensor([[0.1, -0.2, -0.3]]))


def off_axis() -> NDArray[np.float64]:
    """K (6, 3, 3) of sheared crops of `VIEW` px, up to some 40 degrees off the camera's axis."""
    rng = np.random.default_rng(0)
    f, c = rng.uniform(150, 900, 6), rng.uniform(-80, 176, (2, 6))
    zero, one = np.zeros(6), np.ones(6)
    shear = rng.uniform(-9, 9, 6)
    rows = [[f, shear, c[0]], [zero, 1.1 * f, c[1]], [zero, zero, one]]
    return np.moveaxis(np.array([np.stack(row) for row in rows]), -1, 0)


def test_the_ray_of_the_views_centre_becomes_the_axis() -> None:
    K = off_axis()
    R = view_rotation(K, VIEW)
    turned = K @ R.mT
    axis = np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(project(np.tile(axis, (6, 1, 1)), turned)[:, 0], 47.5, atol=1e-9)
    np.testing.assert_allclose(R @ R.mT, np.tile(np.eye(3), (6, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)


def test_it_is_the_smallest_rotation_that_does_so() -> None:
    """Its angle is the one between the ray and the axis: it does not roll."""
    K = off_axis()
    R = view_rotation(K, VIEW)
    ray = np.linalg.inv(K) @ np.array([47.5, 47.5, 1])
    off = np.arccos(ray[:, 2] / np.linalg.norm(ray, axis=1))
    assert off.max() > 0.2
    np.testing.assert_allclose(np.arccos((np.trace(R, axis1=1, axis2=2) - 1) / 2), off)


def test_a_camera_that_looks_at_the_views_centre_is_not_turned() -> None:
    K = np.array([[300, 4, 47.5], [0, 310, 47.5], [0, 0, 1]])
    np.testing.assert_array_equal(view_rotation(K, VIEW), np.eye(3))


def test_turning_keeps_every_pixel_and_turning_back_gives_the_points(points: Tensor) -> None:
    off, points = off_axis()[:4], points.double()
    R, K = torch.from_numpy(view_rotation(off, VIEW)), torch.from_numpy(off)
    turned = turn(points, R)
    torch.testing.assert_close(project(turned, K @ R.mT), project(points, K))
    torch.testing.assert_close(turn_back(turned, R), points)
    back = turn_back(turned.numpy(), R.numpy())
    np.testing.assert_allclose(back, points)


def test_back_projection_undoes_the_projection_of_a_turned_camera(points: Tensor) -> None:
    K = off_axis()[:4]
    R = view_rotation(K, VIEW)
    turned_K = torch.from_numpy(K @ R.mT).float()
    turned = turn(points, torch.from_numpy(R).float())
    back = back_project(project(turned, turned_K), turned[..., 2], turned_K)
    torch.testing.assert_close(back, turned, atol=1e-6, rtol=0)

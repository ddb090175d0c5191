"""World to camera: held against smplx's own left and right hands posed in the world."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from numpy.typing import NDArray

from handpose.data.annotation_table import Camera, ManoFit
from handpose.data.camera_frame import RestWrist
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import FROM_INTERHAND, inverse
from handpose.interhand.annotations import FrameJoints
from handpose.interhand.hand_annotation import HandAnnotation, Origin
from tests.hands_one_by_one import into_camera

WIDTH, HEIGHT = 200, 160


def random_view(seed: int, *, is_left: bool, fit: bool = True) -> HandAnnotation:
    """A hand near the world's origin, before a camera that looks at it from 0.6 m."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    R = Q * np.sign(np.linalg.det(Q))
    camera = Camera(
        K=np.array([[300.0, 0, 101], [0, 310, 83], [0, 0, 1]]), R=R, C=R.T @ [0.0, 0, -0.6]
    )
    origin = Origin(seed, "train", 0, 0, "0003_fake_gun", "400026", seed, f"{seed}.jpg", "right")
    return HandAnnotation(
        origin=origin,
        kind="gesture",
        width=WIDTH,
        height=HEIGHT,
        is_left=is_left,
        visible=bytes([1] * 42),
        camera=camera,
        frame_joints=FrameJoints(
            0.04 * rng.standard_normal((2, 21, 3)), np.ones((2, 21), np.bool_)
        ),
        fit=ManoFit(
            rng.standard_normal(3),
            0.3 * rng.standard_normal(45),
            rng.standard_normal(10),
            0.1 * rng.standard_normal(3),
        )
        if fit
        else None,
    )


@pytest.fixture(scope="module")
def rest_wrist(mano: Mano) -> RestWrist:
    return RestWrist(mano.rest_wrist)


def smplx_mesh(stand_in: Path, fit: ManoFit, *, is_left: bool) -> NDArray[np.float64]:
    """The mesh in the world (778, 3) m by smplx alone, from the file of that very hand."""
    file = stand_in / f"MANO_{'LEFT' if is_left else 'RIGHT'}.npz"
    with contextlib.redirect_stdout(io.StringIO()):
        model = smplx.MANO(
            str(file), is_rhand=not is_left, use_pca=False, flat_hand_mean=False, ext="npz"
        )
    orient, pose, betas, transl = (torch.tensor(part, dtype=torch.float32)[None] for part in fit)
    posed = model(global_orient=orient, hand_pose=pose, betas=betas, transl=transl)
    return np.asarray(posed.vertices[0].detach().numpy(), np.float64)


@pytest.mark.parametrize("is_left", [False, True])
def test_mirrored_right_hand_in_the_camera_is_the_world_mesh_of_smplx(
    mano: Mano, stand_in: Path, rest_wrist: RestWrist, is_left: bool
) -> None:
    views = [random_view(seed, is_left=is_left) for seed in range(4)]
    _, hands, rejects = into_camera(views, rest_wrist, min_valid_joints=1)
    assert not rejects
    parameters = (hands.global_orient, hands.hand_pose, hands.betas)
    orient, pose, betas = (torch.from_numpy(part).float() for part in parameters)
    right = mano(axis_angle_to_matrix(orient), mano.rotations(pose), betas).vertices
    seen = mirror_points(right, torch.full((4,), is_left)).numpy() + hands.transl[:, None]
    for view, vertices in zip(views, seen, strict=True):
        assert view.fit is not None
        world = smplx_mesh(stand_in, view.fit, is_left=is_left)
        expected = (world - view.camera.C) @ view.camera.R.T
        np.testing.assert_allclose(vertices, expected, atol=2e-6)


def test_rest_wrist_is_linear_in_betas(mano: Mano, rest_wrist: RestWrist) -> None:
    betas = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rest_wrist(betas.double()).float(), mano.rest_wrist(betas))


def test_joints_are_those_of_the_hand_in_the_camera(rest_wrist: RestWrist) -> None:
    for is_left in (False, True):
        view = random_view(1, is_left=is_left)
        _, hands, _ = into_camera([view], rest_wrist, min_valid_joints=1)
        world = view.frame_joints.joints[int(is_left)]
        expected = (view.camera.R @ (world - view.camera.C).T).T
        np.testing.assert_allclose(hands.joints_cam[0], expected, atol=1e-12)


def test_a_joint_is_valid_where_frame_and_view_agree_and_else_zero(rest_wrist: RestWrist) -> None:
    view = random_view(2, is_left=True)
    known = np.ones((2, 21), np.bool_)
    known[1, 4] = False
    known[0] = False  # the other hand says nothing
    seen = np.ones((2, 21), np.bool_)
    seen[1, 8] = False
    theirs = seen[:, inverse(FROM_INTERHAND)]  # in the files' order
    view = view._replace(
        frame_joints=view.frame_joints._replace(joint_valid=known), visible=theirs.tobytes()
    )
    _, hands, _ = into_camera([view], rest_wrist, min_valid_joints=1)
    assert np.flatnonzero(~hands.joint_valid[0]).tolist() == [4, 8]
    assert not hands.joints_cam[0, [4, 8]].any()
    assert hands.joints_cam[0, hands.joint_valid[0]].all()


def test_the_box_is_tight_around_valid_joints_and_inside_the_photo(rest_wrist: RestWrist) -> None:
    views = [random_view(seed, is_left=False) for seed in range(20)]
    kept, hands, _ = into_camera(views, rest_wrist, min_valid_joints=1)
    u = hands.K[:, 0, 0, None] * hands.joints_cam[..., 0] / hands.joints_cam[..., 2] + 101
    v = hands.K[:, 1, 1, None] * hands.joints_cam[..., 1] / hands.joints_cam[..., 2] + 83
    x, y, w, h = hands.bbox.T
    np.testing.assert_allclose(x, u.min(1).clip(0, WIDTH - 1))
    np.testing.assert_allclose(y + h, v.max(1).clip(0, HEIGHT - 1))
    assert len(kept) == 20
    assert (x + w <= WIDTH - 1).all() and (y >= 0).all()


def test_without_a_fit_the_parameters_are_zero(rest_wrist: RestWrist) -> None:
    views = [random_view(0, is_left=False), random_view(1, is_left=True, fit=False)]
    _, hands, rejects = into_camera(views, rest_wrist, min_valid_joints=1)
    assert not rejects
    assert hands.has_mano.tolist() == [True, False]
    for part in (hands.global_orient, hands.hand_pose, hands.betas, hands.transl):
        assert part[0].any() and not part[1].any()


def test_each_reject_has_its_reason_and_the_others_stay(rest_wrist: RestWrist) -> None:
    good = [random_view(seed, is_left=seed % 2 == 1) for seed in range(6)]
    lost = np.zeros((2, 21), np.bool_)
    lost[:, :5] = True
    nan = good[1].frame_joints.joints.copy()
    nan[1, 3] = np.nan
    behind = good[3].camera
    views = [
        good[0],
        good[1]._replace(frame_joints=good[1].frame_joints._replace(joints=nan)),
        good[2]._replace(frame_joints=good[2].frame_joints._replace(joint_valid=lost)),
        good[3]._replace(camera=behind._replace(C=-behind.C)),
        good[4]._replace(camera=good[4].camera._replace(K=np.array(
            [[300.0, 0, 900], [0, 300, 80], [0, 0, 1]]))),
        good[5],
    ]  # fmt: skip
    kept, hands, rejects = into_camera(views, rest_wrist, min_valid_joints=6)
    assert [(r.origin.annotation_id, r.reason) for r in rejects] == [
        (1, "nan_in_joints"),
        (2, "too_few_joints"),
        (3, "behind_camera"),
        (4, "empty_box"),
    ]
    assert [view.origin.annotation_id for view in kept] == [0, 5]
    alone = into_camera([good[0], good[5]], rest_wrist, min_valid_joints=6)[1]
    for mine, other in zip(hands, alone, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_nan_at_a_joint_that_is_not_valid_does_no_harm(rest_wrist: RestWrist) -> None:
    view = random_view(0, is_left=False)
    joints, known = view.frame_joints.joints.copy(), np.ones((2, 21), np.bool_)
    joints[0, 7], known[0, 7] = np.nan, False
    view = view._replace(frame_joints=FrameJoints(joints, known))
    _, hands, rejects = into_camera([view], rest_wrist, min_valid_joints=6)
    assert not rejects
    assert np.isfinite(hands.joints_cam).all() and np.isfinite(hands.bbox).all()

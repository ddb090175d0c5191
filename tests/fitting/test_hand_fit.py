import pytest
import torch

from handpose.fitting.hand_fit import HandFitter, one_shape
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_axis_angle
from handpose.hand.rotation import axis_angle_to_matrix
from tests.fitting.hands_at_random import known_hands, posed_points

HALF_A_MM = 5e-4
K = torch.tensor([[900.0, 0, 256], [0, 910, 167], [0, 0, 1]])


@pytest.fixture(scope="module")
def fitter(mano: Mano) -> HandFitter:
    return HandFitter(mano)


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_joints_come_back_within_half_a_millimetre(fitter: HandFitter, spread: float) -> None:
    hands = known_hands(fitter.mano, 300, spread=spread)
    fits = fitter.to_joints(hands.joints, hands.is_left)
    _, joints = posed_points(fitter.mano, fits, hands.is_left)
    distance = (joints - hands.joints).norm(dim=-1)
    assert float(distance.mean(1).max()) < HALF_A_MM
    assert float(distance.mean()) < 1.5e-4
    torch.testing.assert_close(distance, fits.residual, atol=2e-6, rtol=0)


def test_a_mesh_comes_back_with_its_twists_and_its_shape(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 24)
    fits = fitter.to_vertices(hands.vertices, hands.is_left)
    vertices, _ = posed_points(fitter.mano, fits, hands.is_left)
    distance = (vertices - hands.vertices).norm(dim=-1)
    assert float(distance.mean(1).max()) < HALF_A_MM
    torch.testing.assert_close(distance, fits.residual, atol=2e-6, rtol=0)
    assert float((fits.betas - hands.betas).abs().mean()) < 0.15
    turned, true = (fitter.mano.rotations(pose) for pose in (fits.hand_pose, hands.hand_pose))
    assert float((turned - true).norm(dim=(-1, -2)).mean()) < 0.05


def test_pixels_come_back_and_depth_is_said_to_be_unsure(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 12)
    cameras = K.expand(12, 3, 3)
    uv = project(hands.joints, cameras)
    fits = fitter.to_pixels(uv, cameras, hands.is_left)
    _, joints = posed_points(fitter.mano, fits, hands.is_left)
    distance = (project(joints, cameras) - uv).norm(dim=-1)
    assert float(distance.mean(1).max()) < 0.8  # px, of which one is 0.8 mm here
    torch.testing.assert_close(distance, fits.residual, atol=2e-2, rtol=0)
    deviation = fits.transl_deviation.mean(0)
    assert float(deviation[2]) > 0.02 > float(deviation[:2].max())
    assert float(fits.betas_known[:, 0].max()) < 0.5  # the size


def test_a_known_shape_determines_the_depth(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 8)
    shape = hands.betas[0]
    mano = fitter.mano
    own = hands._replace(betas=shape.expand(8, 10))
    fits = fitter.to_joints(hands.joints, hands.is_left)._replace(
        **{key: getattr(own, key) for key in ("global_orient", "hand_pose", "betas", "transl")}
    )
    _, joints = posed_points(mano, fits, hands.is_left)
    cameras = K.expand(8, 3, 3)
    found = fitter.to_pixels(project(joints, cameras), cameras, hands.is_left, shape)
    assert float(found.transl_deviation[:, 2].mean()) < 0.02
    torch.testing.assert_close(found.betas, own.betas, atol=1e-3, rtol=0)


def test_what_joints_do_not_determine_stays_at_the_prior(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 16)
    fits = fitter.to_joints(hands.joints, hands.is_left)
    tip_bend, tip_twist = fits.pose_known[:, 2, 0], fits.pose_known[:, 2, 2]
    assert float(tip_bend.min()) > 0.9 and float(tip_twist.max()) < 0.3
    assert float(fits.betas_known[:, 7].max()) < 0.1  # the width of the tips
    assert float(fits.betas[:, 7].abs().max()) < 0.1
    mesh = fitter.to_vertices(hands.vertices, hands.is_left)
    assert float(mesh.pose_known[:, 2, 2].min()) > 0.6
    assert float(mesh.betas_known.min()) > 0.7


def test_a_left_hand_is_the_mirror_image_of_the_right_one(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 6)
    mirrored = hands.joints * torch.tensor([-1.0, 1.0, 1.0])
    one = fitter.to_joints(hands.joints, hands.is_left)
    other = fitter.to_joints(mirrored, ~hands.is_left)
    for name in ("hand_pose", "betas"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-3, rtol=0)
    turns = [axis_angle_to_matrix(fits.global_orient) for fits in (one, other)]
    torch.testing.assert_close(turns[0], turns[1], atol=1e-3, rtol=0)


def test_a_turned_and_moved_hand_is_fitted_alike(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 6)
    turn = torch.tensor([0.3, -1.0, 0.8]).expand(6, 3)
    R = axis_angle_to_matrix(turn)
    one = fitter.to_joints(hands.joints, hands.is_left)
    moved = (hands.joints @ R.mT).double() + 40.0  # m: float32 alone would lose micrometres
    other = fitter.to_joints(moved, hands.is_left)
    torch.testing.assert_close(one.hand_pose, other.hand_pose, atol=2e-2, rtol=0)
    torch.testing.assert_close(one.residual.mean(), other.residual.mean(), atol=2e-5, rtol=0)
    seen = axis_angle_to_matrix(mirror_axis_angle(other.global_orient, hands.is_left))
    expected = R @ axis_angle_to_matrix(mirror_axis_angle(one.global_orient, hands.is_left))
    torch.testing.assert_close(seen, expected, atol=5e-3, rtol=0)


def test_a_track_has_one_shape_nearer_to_the_truth_than_its_frames(fitter: HandFitter) -> None:
    hands = known_hands(fitter.mano, 40, betas=0.0)
    person = torch.tensor([1.5, 0.0, 0, 0, -1.0, 0, 0, 0, 0, 0])
    exact = fitter.to_joints(hands.joints, hands.is_left)
    exact = exact._replace(betas=person.expand(40, 10))
    _, joints = posed_points(fitter.mano, exact, hands.is_left)
    rng = torch.Generator().manual_seed(5)
    joints = joints + 3e-3 * torch.randn(joints.shape, generator=rng)
    noisy = HandFitter(fitter.mano, noise_m=3e-3)
    fits = noisy.to_joints(joints, hands.is_left)
    betas, known = one_shape(fits)
    assert float((betas - person).norm()) < 0.8 * float((fits.betas - person).norm(dim=1).mean())
    assert float((betas[0] - person[0]).abs()) < 0.4
    assert (known >= fits.betas_known.mean(0) - 1e-3).all()
    again = noisy.to_joints(joints, hands.is_left, betas)
    torch.testing.assert_close(again.betas, betas.expand(40, 10), atol=1e-3, rtol=0)


def test_threads_and_chunks_change_nothing(
    fitter: HandFitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handpose.fitting.hand_fit.CHUNK", 200)
    hands = known_hands(fitter.mano, 300)
    counted: list[int] = []
    one = fitter.to_joints(hands.joints, hands.is_left, report=counted.append)
    two = HandFitter(fitter.mano, workers=2).to_joints(hands.joints, hands.is_left)
    assert counted == [200, 100]
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    alone = fitter.to_joints(hands.joints[299:], hands.is_left[299:])
    torch.testing.assert_close(alone.hand_pose[0], one.hand_pose[299], atol=1e-3, rtol=0)

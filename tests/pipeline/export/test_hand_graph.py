"""The exported function gives what `predict` gives, and holds nothing of a licensed hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from handpose.data.crop import about_centre
from handpose.hand import camera
from handpose.hand.mano import Mano
from pipeline.export.hand_graph import HandGraph, Points, turned_view, view_rotation
from tests.pipeline.export.small_model import PX, pictures, small_predictor


def outputs(graph: HandGraph, *given: Any) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        found = graph(*(torch.from_numpy(array) for array in given))
    return dict(zip(graph.names, found, strict=True))


@pytest.mark.parametrize("view_heads", [False, True])
def test_one_look_is_predicts(mano: Mano, view_heads: bool) -> None:
    predictor = small_predictor(mano, view_heads=view_heads)
    crops = pictures(3, PX)
    hand = predictor(crops)
    found = outputs(HandGraph(predictor, "mesh"), crops)
    assert hand.confidence is not None
    for name, expected in {
        "joints": hand.joints,
        "vertices": hand.vertices,
        "joints_px": hand.uv,
        "global_orient": hand.rotmat[:, 0],
        "hand_pose": hand.rotmat[:, 1:],
        "betas": hand.betas,
        "left_probability": predictor.probability_left(hand.coarse_logits, hand.view),
        "gesture_probabilities": hand.coarse_logits.softmax(-1),
        "joints_px_radius90": hand.confidence.radius_px,
        "joints_radius90": hand.confidence.radius_m,
        "is_hand_probability": hand.confidence.is_hand,
    }.items():
        torch.testing.assert_close(found[name], expected, atol=1e-5, rtol=1e-5, msg=name)
    assert ("facing_probabilities" in found) == view_heads


def test_two_looks_and_the_mirror_image_are_predicts_in_pixels_of_the_picture(mano: Mano) -> None:
    predictor = small_predictor(mano, view_heads=True, second_look=True)
    graph = HandGraph(predictor, "joints")
    assert graph.side == PX + 2 * graph.border > np.sqrt(2) * PX, "however it is turned"
    crops = pictures(3, graph.side)
    to_view = np.array([[1.0, 0, -graph.border], [0, 1, -graph.border], [0, 0, 1]])
    hand = predictor.in_photos(list(crops), np.stack([to_view] * 3))
    found = outputs(graph, crops)
    torch.testing.assert_close(found["joints"], hand.joints, atol=1e-3, rtol=0)
    torch.testing.assert_close(found["joints_px"], hand.uv + graph.border, atol=0.05, rtol=0)
    predictor.net.second_look = False
    once = predictor.in_photos(list(crops), np.stack([to_view] * 3))
    assert (once.joints - hand.joints).norm(dim=-1).max() > 5e-3, "the second look does something"


@pytest.mark.parametrize("view_heads", [False, True])
def test_a_model_that_predicts_the_side_may_be_given_it(mano: Mano, view_heads: bool) -> None:
    predictor = small_predictor(mano, view_heads=view_heads)
    crops = pictures(3, PX)
    own = outputs(HandGraph(predictor, "joints"), crops)
    sided = HandGraph(small_predictor(mano, view_heads=view_heads), "joints", side_input=True)
    assert sided.inputs == ["image", "side"] and sided.names == list(own)
    undecided = outputs(sided, crops, np.full(3, -1, np.int32))
    for name, expected in own.items():
        torch.testing.assert_close(undecided[name], expected, msg=name)
    sides = np.array([True, False, True])
    found = outputs(sided, crops, sides.astype(np.int32))
    hand = small_predictor(mano, view_heads=view_heads)(crops, sides)
    torch.testing.assert_close(found["joints"], hand.joints, atol=1e-5, rtol=0)
    torch.testing.assert_close(found["left_probability"], own["left_probability"])
    other = outputs(sided, crops, 1 - sides.astype(np.int32))
    assert (other["joints"] - found["joints"]).norm(dim=-1).amax(-1).min() > 1e-3


@pytest.mark.parametrize("second_look", [False, True])
def test_a_model_of_right_hands_is_given_the_side(mano: Mano, second_look: bool) -> None:
    predictor = small_predictor(mano, "canonical", head=False, second_look=second_look)
    graph = HandGraph(predictor, "joints")
    assert graph.inputs == ["image", "is_left"] and "left_probability" not in graph.names
    crops, sides = pictures(3, PX), np.array([True, False, True])
    hand = predictor(crops, sides)
    found = outputs(graph, crops, sides)
    rounded = 100 if second_look else 1  # predict rounds the pixels of a turned crop
    torch.testing.assert_close(found["joints"], hand.joints, atol=rounded * 1e-5, rtol=0)
    torch.testing.assert_close(found["joints_px"], hand.uv, atol=rounded * 1e-3, rtol=0)


@pytest.mark.parametrize("turn_camera", [False, True])
def test_a_model_that_needs_K_gives_hands_in_the_cameras_frame(
    mano: Mano, turn_camera: bool
) -> None:
    predictor = small_predictor(
        mano, head=False, view_heads=True, ray_input=True, turn_camera=turn_camera
    )
    rays = predictor.net.get_submodule("rays")
    assert isinstance(rays, torch.nn.Linear)
    torch.nn.init.normal_(rays.weight)
    graph = HandGraph(predictor, "joints")
    assert graph.inputs == ["image", "K"]
    crops = pictures(2, PX)
    K = np.array([[[150.0, 0, 90], [0, 140, -20], [0, 0, 1]]] * 2)
    hand = predictor(crops, K=K)
    found = outputs(graph, crops, K.astype(np.float32))
    torch.testing.assert_close(found["joints"], hand.joints.float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found["global_orient"], hand.rotmat[:, 0].float(), atol=1e-4, rtol=0)


def test_view_rotation_is_the_cameras() -> None:
    K = np.array(
        [[[200.0, 3, 40], [0, 190, -30], [0, 0, 1]], [[90.0, 0, 31.5], [0, 90, 31.5], [0, 0, 1]]]
    )
    found = view_rotation(torch.from_numpy(K), PX).numpy()
    np.testing.assert_allclose(found, camera.view_rotation(K, PX), atol=1e-12)


@pytest.mark.parametrize("degrees", [0, 30, 45, 180, -100])
def test_a_turned_view_is_opencvs(degrees: float) -> None:
    side, px = 92, PX
    picture = pictures(1, side)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    shift = np.array([[1.0, 0, (px - side) / 2], [0, 1, (px - side) / 2], [0, 0, 1]])
    A = about_centre(R, px) @ shift
    expected = cv2.warpAffine(picture[0], A[:2], (px, px), flags=cv2.INTER_LINEAR)
    planes = torch.from_numpy(picture).permute(0, 3, 1, 2).double()
    found = turned_view(planes, torch.from_numpy(R)[None], px)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 1.5, "levels of 255"


@pytest.mark.parametrize(("points", "mesh"), [("none", False), ("joints", True), ("mesh", True)])
def test_without_points_no_array_of_the_hand_model_is_left(
    mano: Mano, points: Points, mesh: bool
) -> None:
    predictor = small_predictor(mano, view_heads=True, second_look=True)
    kept = {id(buffer) for buffer in mano.buffers()}
    graph = HandGraph(predictor, points)
    arrays = [*graph.buffers(), *graph.parameters()]
    assert any(778 in array.shape for array in arrays) == mesh
    assert any(id(array) in kept for array in arrays) == mesh
    assert ("joints" in graph.names, "vertices" in graph.names) == (mesh, points == "mesh")
    if not mesh:
        assert graph.confidence is None, "it reads the hand model's joints"
        found = outputs(graph, pictures(1, graph.side))
        assert "joints_depth" in found and "joints_px" in found

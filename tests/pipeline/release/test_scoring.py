"""Scores of photographs: zero for a model that knows the truth, and boxes as a user draws them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.confidence.confidence_head import ConfidenceHead
from handpose.hand.camera import project, turn, view_rotation
from handpose.hand.facing import facing
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.predict import BOX_SCALE, Predictor
from handpose.sample import PoseOutput, SideFacingOutput
from handpose.synthetic.sequence import Photograph
from pipeline.release import scoring
from pipeline.release.scoring import CONFIDENCE_UNITS, UNITS, score
from pipeline.release.shifted_sets import SETS
from stages.params import EncoderParams, PoseNetParams
from tests.synthetic.specs import make_spec
from tests.test_predict import a_record

PX = 32
LOWER = ("hands_lower_by", "joints_lower_by", "best_lower_by")


class Oracle:
    """A predictor that looks the truth up: the photographs come in their order."""

    box_scale = BOX_SCALE

    def __init__(self, photographs: list[Photograph], mirrored: bool = False) -> None:
        self.photographs = iter(photographs)
        self.mirrored = mirrored
        self.net = type("Net", (), {"gesture_net": type("G", (), {"image_px": PX})})

    def in_photos(self, photos: list[NDArray[np.uint8]], A: NDArray[np.float64]) -> PoseOutput:
        own = [next(self.photographs) for _ in photos]
        assert all(np.array_equal(photo, p.image) for photo, p in zip(photos, own, strict=True))
        K = torch.from_numpy(A @ np.stack([p.K for p in own])).float()
        joints = torch.from_numpy(np.stack([p.joints_cam for p in own])).float()
        is_left = torch.tensor([p.is_left for p in own])
        uv = project(joints, K)
        turned = turn(joints, torch.from_numpy(view_rotation(K.numpy(), PX)).float())
        faces = facing(joints, torch.ones(joints.shape[:2], dtype=torch.bool), is_left)
        if self.mirrored:
            turned = turned * torch.tensor([-1.0, 1, 1])
            is_left, faces = ~is_left, (faces + 1) % 3
        view = SideFacingOutput(torch.where(is_left, 1.0, -1.0), torch.eye(3)[faces])
        empty: dict[str, Any] = dict.fromkeys(
            ("depth_rel", "rot6d", "rotmat", "betas", "vertices", "coarse_logits", "fine_logits",
             "gates"), torch.zeros(0),
        )  # fmt: skip
        return PoseOutput(uv=uv, joints=turned - turned[:, :1], view=view, **empty)


@pytest.fixture(scope="module")
def photographs(mano: Mano) -> list[Photograph]:
    spec = SETS[0].spec(make_spec(image_px=(120, 96), back_cameras=0.5), people=2, images=24)
    return list(SETS[0].photographs(spec, mano))


def scored(photographs: list[Photograph], mirrored: bool) -> scoring.Scored:
    predictor: Any = Oracle(photographs, mirrored)
    return score(predictor, photographs, np.random.default_rng(0))


def test_the_truth_scores_zero(photographs: list[Photograph]) -> None:
    found = scored(photographs, False)
    estimates = found.estimates()
    assert set(estimates) == set(UNITS)
    for key in ("wrist_mpjpe_mm", "pa_mpjpe_mm", "error_2d"):
        assert estimates[key].value == pytest.approx(0, abs=1e-2)
    for key in ("side", "facing", "pck_2d"):
        assert estimates[key].value == 1
    assert estimates["mirrored"].value == estimates["palm_for_back"].value == 0
    assert 0.1 < estimates["centre_2d"].value < 0.6
    assert (estimates["side"].samples, estimates["side"].subjects) == (24, 2)


def test_the_mirrored_hand_has_its_fingers_in_mirrored_order(photographs: list[Photograph]) -> None:
    estimates = scored(photographs, True).estimates()
    assert estimates["side"].value == 0 and estimates["facing"].value == 0
    assert estimates["mirrored"].value > 0.8
    assert estimates["wrist_mpjpe_mm"].value > 20


def test_sectors_and_faces_share_the_images_out(photographs: list[Photograph]) -> None:
    found = scored(photographs, False)
    for groups in (found.by_sector(), found.by_facing()):
        assert sum(one["side"].samples for one in groups.values()) == len(photographs)
    assert len(found.by_sector()) == 12


def test_without_a_head_there_is_no_confidence(photographs: list[Photograph]) -> None:
    assert scored(photographs, False).confidence() == {}


def test_a_head_is_scored_by_what_its_regions_hold_and_its_ranking(mano: Mano) -> None:
    """An untrained network; the head's factors make regions of no size, or larger than a photo."""
    spec = SETS[0].spec(make_spec(image_px=(120, 96), filled=(0.25, 0.3)), people=2, images=12)
    small = list(SETS[0].photographs(spec, mano))
    predictor = an_untrained_predictor(mano)
    assert predictor.confidence is not None
    for factor, held in ((1e-9, 0.0), (1e9, 1.0)):
        predictor.confidence.factors.fill_(factor)
        found = score(predictor, small, np.random.default_rng(0)).confidence()
        assert set(found) == {*CONFIDENCE_UNITS, *LOWER, "auc"}
        assert found["inside_2d"].value == found["inside_3d"].value == held
    assert found["window_recognised"].samples > 6
    assert found["hand_recognised"].samples == len(small)
    assert 0 <= found["auc"].value <= 1
    assert found["hands_lower_by"].value <= found["best_lower_by"].value < 1
    assert found["joints_lower_by"].samples == 20 * len(small)
    without = Predictor(predictor.net, predictor.record)
    bare = score(without, small, np.random.default_rng(0))
    again = score(predictor, small, np.random.default_rng(0))
    for key, column in bare.columns.items():
        np.testing.assert_array_equal(column, again.columns[key], "the boxes are the same")


def an_untrained_predictor(mano: Mano) -> Predictor:
    torch.manual_seed(0)
    encoder = EncoderParams(image_px=64).keywords()
    pose_net = PoseNetParams(grid=4, dim=16, heads=2, view_heads=True).keywords()
    gesture_net = GestureNet(**encoder, coarse_classes=3, fine_classes=3)
    head = ConfidenceHead(features=gesture_net.heads.features, dim=16)
    record = a_record(encoder, pose_net, "handed")
    return Predictor(PoseNet(gesture_net, mano, **pose_net), record, head)

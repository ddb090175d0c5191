"""Laws of the measures that annotations alone give, on hands made up here."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from pipeline.faults import pose_measures
from pipeline.faults.ingested_hands import IngestedHands

M = 160
"""Hands: one frame each of one sequence, by one person."""


def hands_of(mano: Mano, rng: np.random.Generator, **changes: Any) -> IngestedHands:
    """M right and left hands with exact fits, bent like real ones, 0.7 m from the camera."""
    is_left = np.arange(M) % 2 == 1
    pose = torch.from_numpy(0.15 * rng.normal(size=(M, 45))).float()
    pose[:, 2:36:3] += torch.from_numpy(rng.uniform(0.2, 0.9, (M, 12))).float()
    root = torch.from_numpy(rng.normal(size=(M, 3))).float()
    betas = torch.zeros(M, 10)
    found = mano.hand(root, pose, betas, torch.from_numpy(is_left))
    wrist = mano.rest_wrist(betas).double().numpy() * np.where(is_left, -1, 1)[:, None] ** [1, 0, 0]
    joints = found.joints.double().numpy() + np.array([0.02, 0.01, 0.7])
    columns: dict[str, Any] = {
        "source_split": np.array(["train"] * M),
        "session": np.zeros(M, np.int64),
        "subject": np.zeros(M, np.int64),
        "sequence": np.array(["0016_fist"] * M),
        "kind": np.array(["gesture"] * M),
        "frame": np.arange(M),
        "is_left": is_left,
        "width": np.full(M, 200),
        "height": np.full(M, 100),
    }
    parts: dict[str, Any] = {
        "columns": columns,
        "bbox": np.tile([60.0, 20, 50, 50], (M, 1)),
        "uv": np.tile([80.0, 40.0], (M, 21, 1)),
        "hand_of": np.arange(M),
        "view_of": np.arange(M),
        "K": np.tile(np.eye(3), (M, 1, 1)),
        "joints": joints,
        "joint_valid": np.ones((M, 21), bool),
        "has_mano": np.ones(M, bool),
        "fit": {
            "global_orient": root.double().numpy(),
            "hand_pose": pose.double().numpy(),
            "betas": betas.double().numpy(),
            "transl": joints[:, 0] - wrist,
        },
    }
    return IngestedHands(**parts | changes)


@pytest.fixture
def hands(mano: Mano) -> IngestedHands:
    return hands_of(mano, np.random.default_rng(0))


def test_an_exact_fit_has_no_distance_and_a_shifted_one_its_shift(
    hands: IngestedHands, mano: Mano
) -> None:
    hands.fit["transl"][7] += [0.003, 0.004, 0]
    hands.has_mano[9] = False
    found = pose_measures.fit_distance(hands, mano)
    assert np.isnan(found[9])
    np.testing.assert_allclose(found[7], 5.0, atol=0.02)
    np.testing.assert_allclose(np.delete(found, [7, 9]), 0, atol=0.02)


def test_bones_are_compared_with_those_of_the_same_person(hands: IngestedHands) -> None:
    before = pose_measures.bone_difference(hands)
    hands.joints[3, 8] += [0.0, 0.0, 0.05]
    wrist = hands.joints[5, :1]
    hands.joints[5] = wrist + 1000 * (hands.joints[5] - wrist)  # millimetres for metres
    hands.joint_valid[6, 8] = False
    hands.joints[6, 8] = 9.0
    found = pose_measures.bone_difference(hands)
    assert before.max() < 5
    assert found[3] > 15
    assert found[5] > 10_000
    assert found[6] < 5, "what is not valid does not count"
    hands.columns["subject"][:2] = 4
    assert np.isnan(pose_measures.bone_difference(hands)[:2]).all(), "two frames have no median"


def test_a_knuckle_keeps_its_distance_from_the_others(hands: IngestedHands) -> None:
    """Turned about the wrist, and its finger with it, it changes no bone's length."""
    finger, wrist = [9, 10, 11, 12], hands.joints[3, 0].copy()
    along, across = hands.joints[3, 9] - wrist, hands.joints[3, 5] - wrist
    aside = np.cross(along, across)
    aside *= np.linalg.norm(along) / np.linalg.norm(aside)
    before = pose_measures.bone_difference(hands)
    hands.joints[3, finger] += (np.cos(0.2) - 1) * along + np.sin(0.2) * aside
    found = pose_measures.bone_difference(hands)
    assert found[3] > before[3] + 3
    assert np.abs(np.delete(found - before, 3)).max() < 0.5


def test_a_shape_of_its_own_is_measured_by_the_joints_it_moves(
    hands: IngestedHands, mano: Mano
) -> None:
    hands.fit["betas"][4, 0] = 2.0
    found = pose_measures.shape_shift(hands, mano)
    shapes = torch.tensor([[0.0] * 10, [2.0, *[0.0] * 9]])
    right = torch.zeros(2, dtype=torch.bool)
    rest = mano.hand(torch.zeros(2, 3), torch.zeros(2, 45), shapes, right)
    moved = 1000 * torch.linalg.vector_norm(rest.joints[1] - rest.joints[0], dim=-1).max()
    np.testing.assert_allclose(found[4], float(moved), rtol=1e-3)
    assert np.delete(found, 4).max() < 1e-6
    everybody = {"betas": np.full((M, 10), 1.3)}
    hands.fit.update(everybody)
    assert pose_measures.shape_shift(hands, mano).max() < 1e-6, "a person may have any shape"


def test_a_swapped_side_is_recognised_by_how_the_fingers_bend(hands: IngestedHands) -> None:
    swapped = [3, 10, 41, 78]
    hands.columns["is_left"][swapped] ^= True
    found = pose_measures.other_side(hands)
    assert set(np.argsort(-found)[: len(swapped)]) == set(swapped)
    assert (found[swapped] > 0).all()
    assert (np.delete(found, swapped) < 0).all()


def test_too_few_hands_teach_no_side(mano: Mano) -> None:
    hands = hands_of(mano, np.random.default_rng(0))
    hands.joint_valid[90:, 4] = False
    assert np.isnan(pose_measures.other_side(hands)).all()


PHASE = np.tile(np.linspace(0, 1, 10), 16)
AT_ENDS = np.isin(PHASE, [0, 1])
"""Of sixteen sequences of ten frames."""


def clips_of(mano: Mano, share: float = 1.0, noise_m: float = 0.0) -> IngestedHands:
    """From rest to a gesture and back, which is so far from rest as a share of another pose."""
    rng = np.random.default_rng(1)
    hands = hands_of(mano, rng)
    rest, gesture = hands.joints[0] - hands.joints[0, :1], hands.joints[2] - hands.joints[2, :1]
    amount = share * np.clip(np.minimum(PHASE, 1 - PHASE) / 0.3, 0, 1)[:, None, None]
    hands.joints[:] = (1 - amount) * rest + amount * gesture + [0, 0, 0.7]
    hands.joints[:] += noise_m * rng.normal(size=hands.joints.shape)
    hands.columns["is_left"][:] = False
    hands.columns["session"][:] = np.repeat(np.arange(16), 10)
    hands.columns["frame"][:] = np.tile(np.arange(10), 16)
    return hands


def test_neutral_ends_are_where_the_pose_is_near_rest(mano: Mano) -> None:
    hands = clips_of(mano)
    found = pose_measures.neutral_share(hands)
    assert (found[AT_ENDS] > 0.9).all()
    assert np.isnan(found[(PHASE > 0.31) & (PHASE < 0.69)]).all(), "held, so not judged"
    formed = np.minimum(PHASE, 1 - PHASE) >= 0.3
    assert (found[formed & np.isfinite(found)] < 0.1).all()
    hands.columns["kind"][:] = "rom"
    assert np.isnan(pose_measures.neutral_share(hands)).all()


def test_an_end_is_judged_by_the_joints_that_are_known(mano: Mano) -> None:
    """Without the wrist there is no frame of the palm; fingers alone are placed on both poses."""
    hands = clips_of(mano)
    expected = pose_measures.neutral_share(hands)
    hands.joint_valid[[20, 29], :2] = False
    hands.joints[[20, 29], :2] = 0.0
    hands.joint_valid[30, 5:] = False
    found = pose_measures.neutral_share(hands)
    np.testing.assert_allclose(found[[20, 29]], expected[[20, 29]], atol=0.05)
    assert np.isnan(found[30]), "five joints say too little"


def test_no_end_is_neutral_where_the_gesture_is_rest_or_hardly_apart(mano: Mano) -> None:
    """Apart is what exceeds the spread of held poses, be that millimetres or centimetres."""
    hands = clips_of(mano, share=0.3, noise_m=0.001)
    assert (pose_measures.neutral_share(hands)[AT_ENDS] > 0.6).all()
    unsteady = clips_of(mano, share=0.3, noise_m=0.015)
    assert np.isnan(pose_measures.neutral_share(unsteady)).all()
    hands.columns["sequence"] = np.array(["0100_neutral_relaxed"] * M)
    assert np.isnan(pose_measures.neutral_share(hands)).all(), "its label says rest"


def test_of_a_person_with_too_few_frames_others_give_gesture_and_rest(mano: Mano) -> None:
    hands = clips_of(mano)
    expected = pose_measures.neutral_share(hands)
    kept = np.r_[np.arange(150), 150, 159]  # of the last sequence both ends
    few = only(hands, kept)
    few.columns["subject"][-2:] = 4
    np.testing.assert_allclose(
        pose_measures.neutral_share(few)[-2:], expected[kept[-2:]], atol=0.01
    )


def test_the_only_frame_of_a_sequence_is_neither_of_its_ends(mano: Mano) -> None:
    """It may be held as well as neutral: it is not judged, nor is it anyone's rest."""
    hands = clips_of(mano)
    expected = pose_measures.neutral_share(hands)
    kept = np.r_[np.arange(70), np.arange(75, 160, 10)]  # of nine the held gesture alone
    found = pose_measures.neutral_share(only(hands, kept))
    assert np.isnan(found[70:]).all()
    np.testing.assert_allclose(found[:70], expected[:70], atol=0.01)


def only(hands: IngestedHands, kept: NDArray[np.int64]) -> IngestedHands:
    """Some of the hands, as far as neutral ends need them."""
    numbers = np.arange(len(kept))
    return dataclasses.replace(
        hands,
        columns={name: column[kept] for name, column in hands.columns.items()},
        hand_of=numbers,
        view_of=numbers,
        joints=hands.joints[kept],
        joint_valid=hands.joint_valid[kept],
    )


def test_joints_outside_the_photo_and_missing_at_its_border_are_counted(
    hands: IngestedHands,
) -> None:
    hands.uv[0, :7] = [250.0, 40.0]
    hands.uv[1, :7] = np.nan  # in the middle of the photo: hidden, not cut
    hands.uv[2, :7] = np.nan
    hands.bbox[2] = [0, 20, 50, 50]
    found = pose_measures.share_outside(hands)
    np.testing.assert_allclose(found[:4], [1 / 3, 0, 1 / 3, 0])

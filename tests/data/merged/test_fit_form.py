"""Fits in other forms: each pose and place against the hand model itself; joints to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from handpose.data.annotation_table import AnnotationTable, Camera, FitForm, ManoFit
from handpose.data.merged.fit_form import in_mano_form, with_our_joints
from handpose.data.merged.one_hand_table import Photos, one_hand_table
from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import Mano
from handpose.hand.skeleton import TIPS
from tests.freihand.made_up_hands import MadeUpHands, made_up_hands

COUNT = 5


def table(hands: MadeUpHands, fit: ManoFit | None, form: FitForm) -> AnnotationTable:
    number = np.arange(COUNT)
    photos = Photos(
        [f"{k}.jpg" for k in number], ["s"] * COUNT, number, number, ["0"] * COUNT, number, (64, 64)
    )
    eye = np.tile(np.eye(3), (COUNT, 1, 1))
    return one_hand_table(
        "made_up",
        photos,
        camera=Camera(eye, eye, np.zeros((COUNT, 3))),
        joints=hands.joints,
        joint_valid=np.ones((COUNT, 21), np.bool_),
        fit=fit,
        form=form,
    )


@pytest.fixture
def hands(mano: Mano) -> MadeUpHands:
    return made_up_hands(mano, COUNT, "ho3d")


def fit_of(hands: MadeUpHands) -> ManoFit:
    return ManoFit(hands.global_orient, hands.hand_pose, hands.betas, hands.transl)


@pytest.mark.parametrize("pose", ["relative", "flat", "pca"])
@pytest.mark.parametrize("placed", ["origin", "middle_mcp"])
def test_every_form_of_a_hand_is_the_same_fit(
    mano: Mano,
    hands: MadeUpHands,
    pose: Literal["relative", "flat", "pca"],
    placed: Literal["origin", "middle_mcp"],
) -> None:
    written = fit_of(hands)
    if pose == "flat":
        mean = mano.hands_mean.double().numpy()
        written = written._replace(hand_pose=written.hand_pose + mean)
    if pose == "pca":
        components = mano.hands_components.double().numpy()
        written = written._replace(hand_pose=np.linalg.solve(components.T, written.hand_pose.T).T)
    if placed == "middle_mcp":
        written = written._replace(transl=hands.joints[:, 9])
    form = FitForm(pose, placed, "ho3d")
    rows, decision = in_mano_form(table(hands, written, form), mano)
    assert decision is None
    for found, expected in zip(rows.hands().fit, fit_of(hands), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_joints_to_train_on_are_those_of_our_definition(
    mano: Mano, stand_in: Path, hands: MadeUpHands
) -> None:
    ours = Mano.load(stand_in, JointDefinition("interhand"))
    rows = with_our_joints(table(hands, fit_of(hands), FitForm(tips="ho3d")), ours)
    expected = ours.joints_from(torch.from_numpy(hands.vertices)).double().numpy()
    np.testing.assert_allclose(rows.hands().joints, expected, atol=3e-6)
    assert rows.hands().joint_valid.all() and rows.form == FitForm()
    assert np.abs(expected - hands.joints)[:, list(TIPS)].max() > 1e-3


def test_without_a_fit_fingertips_of_another_definition_are_masked(
    mano: Mano, hands: MadeUpHands
) -> None:
    valid = with_our_joints(table(hands, None, FitForm(tips="ho3d")), mano).hands().joint_valid
    assert not valid[:, list(TIPS)].any() and valid.sum() == COUNT * 16


def test_joints_of_our_own_definition_stay_as_annotated(mano: Mano, hands: MadeUpHands) -> None:
    rows = table(hands, None, FitForm(tips="smplx"))
    assert with_our_joints(rows, mano) is rows

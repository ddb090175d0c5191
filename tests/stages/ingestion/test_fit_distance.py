"""Fits against joints: the joints of a fit itself are near, and by how much others are far."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.data.annotation_table import AnnotationTable, ManoFit
from handpose.data.camera_frame import RestWrist
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, inverse
from handpose.interhand.reader import InterHandReader
from stages import ingest
from stages.hand_model import load_hand_model
from stages.ingestion.fit_distance import far_fits, fitted_joints
from stages.params import load_params
from tests.data.test_camera_frame import random_view
from tests.hands_one_by_one import into_camera
from tests.stages.small_dataset import Dataset, set_params


@pytest.mark.parametrize("is_left", [False, True])
def test_the_joints_of_a_fit_are_those_of_its_hand_in_the_camera(mano: Mano, is_left: bool) -> None:
    """The way over the camera's frame, which smplx confirms, leads to the same joints."""
    view = random_view(3, is_left=is_left)
    assert view.fit is not None
    fits = ManoFit(*(part[None] for part in view.fit))
    world = fitted_joints(fits, np.array([is_left]), mano)[0]
    _, hands, _ = into_camera([view], RestWrist(mano.rest_wrist), min_valid_joints=1)
    root, pose, betas = (torch.from_numpy(part).float() for part in hands[5:8])
    posed = mano.hand(root, pose, betas, torch.tensor([is_left])).joints[0].numpy()
    mine = (world - view.camera.C) @ view.camera.R.T
    np.testing.assert_allclose(mine - mine[0], posed, atol=1e-5)


def fitted(dataset: Dataset) -> Mano:
    """Moves the joints of train onto its fits."""
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    back = inverse(FROM_INTERHAND)
    for capture, frames in dataset.train["MANO_NeuralAnnot"].items():
        for frame, fits in frames.items():
            joints = []
            for hand in ("right", "left"):
                pose = np.array(fits[hand]["pose"])
                fit = ManoFit(
                    pose[None, :3],
                    pose[None, 3:],
                    np.array(fits[hand]["shape"])[None],
                    np.array(fits[hand]["trans"])[None],
                )
                found = fitted_joints(fit, np.array([hand == "left"]), mano)[0]
                joints.append(1000 * found[back])
            dataset.train["joint_3d"][capture][frame]["world_coord"] = np.concatenate(
                joints
            ).tolist()
    return mano


@pytest.mark.parametrize("off_mm", [0, 14, 16])
def test_a_fit_is_used_up_to_the_distance_of_the_key(
    dataset: Dataset, stand_in: Path, off_mm: float
) -> None:
    """The same distance of every joint; the frames of one hand are seen by two cameras."""
    mano = fitted(dataset)
    fit = dataset.train["MANO_NeuralAnnot"]["0"]["5"]["right"]
    fit["trans"] = [0.0, off_mm / 1000, 0.0]
    dataset.write()
    reader = InterHandReader(Path("dataset"))
    rows, _ = reader.read(reader.splits()[0])
    far = far_fits(rows, mano, 15.0)
    assert far.sum() == (2 if off_mm == 16 else 0)
    assert not far_fits(rows, mano, 0.0).any(), "not compared"


def test_the_skeleton_settles_no_fit_otherwise_than_the_mesh(
    dataset: Dataset, stand_in: Path
) -> None:
    mano = fitted(dataset)
    for number, frames in enumerate(dataset.train["MANO_NeuralAnnot"].values()):
        for other, fits in enumerate(frames.values()):
            off = 0.0031 * (len(frames) * number + other)  # up to 70 mm, none at the limit
            fits["right"] = fits["left"] = fits["right"] | {"trans": [off, 0.0, 0.0]}
    dataset.write()
    reader = InterHandReader(Path("dataset"))
    rows, _ = reader.read(reader.splits()[0])
    found = far_fits(rows, mano, 15.0)
    assert 0 < found.sum() < len(rows)
    assert found.tolist() == of_mesh(rows, mano).tolist()


def of_mesh(rows: AnnotationTable, mano: Mano) -> NDArray[np.bool_]:
    hands = rows.hands()
    posed = fitted_joints(hands.fit, hands.is_left, mano)
    error = np.linalg.norm(posed - hands.joints, axis=-1)
    return np.asarray((error * hands.joint_valid).sum(1) > 0.015 * hands.joint_valid.sum(1))


def test_ingest_keeps_the_hand_without_its_far_fit(dataset: Dataset, stand_in: Path) -> None:
    fitted(dataset)
    dataset.train["MANO_NeuralAnnot"]["0"]["5"]["right"]["trans"] = [0.0, 0.042, 0.0]
    dataset.write()
    set_params(stand_in, max_fit_error_mm=15)
    ingest.main()
    counts = json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))["counts"]
    official = 8  # of val and test, whose joints are random
    assert counts["fit_off_joints"] == counts["without_mano_fit"] == 2 + official
    assert counts["samples"]["train"] == 12

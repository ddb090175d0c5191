"""The released weights: small, ours, described by their card, and as good as it says."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from handpose import HandEstimator
from handpose.estimator import released_folder
from pipeline.profiles.configure import values_of
from pipeline.release.card import card
from pipeline.release.examples import border, check_examples
from pipeline.release.release import MOST_BYTES
from stages.params import PoseNetParams

FOLDER = released_folder()


@pytest.fixture(scope="module")
def released() -> HandEstimator:
    return HandEstimator.released()


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "numbers.json").read_text("utf-8"))
    return found


def test_its_scores_on_the_crops_in_git_are_those_of_the_card(
    released: HandEstimator, numbers: dict[str, Any]
) -> None:
    found = check_examples(FOLDER, released._predictor)
    assert found == pytest.approx(numbers["examples"], rel=1e-3)  # another CPU, other last digits


WITHOUT_SMPLX = """
import json, sys
sys.modules["smplx"] = None  # importing it fails, as where it is not installed
import cv2
from handpose import HandEstimator
hand = HandEstimator.released()(cv2.imread(sys.argv[1])[..., ::-1].copy(), side="right")
print(json.dumps(hand.joints.tolist()))
"""


def test_a_photo_needs_no_smplx(released: HandEstimator, tmp_path: Path) -> None:
    sheet = cv2.imread(str(FOLDER / "examples.jpg"))
    assert sheet is not None
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), sheet[: sheet.shape[1] // 8, : sheet.shape[1] // 8])
    command = [sys.executable, "-c", WITHOUT_SMPLX, str(photo)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = released(photo, side="right").joints
    np.testing.assert_allclose(json.loads(found.stdout), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.02, "a hand, in metres"


def test_weights_are_small_and_those_that_were_measured(numbers: dict[str, Any]) -> None:
    content = (FOLDER / "model.safetensors").read_bytes()
    assert len(content) == numbers["bytes"] < MOST_BYTES
    assert hashlib.sha256(content).hexdigest() == numbers["sha256"]


def test_the_card_is_what_its_numbers_say(numbers: dict[str, Any]) -> None:
    assert (FOLDER / "card.md").read_text("utf-8") == card(numbers)


def test_it_was_trained_as_the_profile_says(
    released: HandEstimator, numbers: dict[str, Any]
) -> None:
    trainings = [*numbers["earlier"], numbers]
    assert trainings[0]["data"]["unlike_wide"] == []
    further = {"pose.start", "pose.epochs", "pose.lr", "pose.weights"}
    third = {"pose.augment", "pose.precision"}
    third |= {f"synthesize.{key}" for key in ("dark_studios", "photo_backdrops", "occluders")}
    allowed = (further, further | third)
    for training, keys in zip(trainings[1:], allowed, strict=True):
        assert set(training["data"]["unlike_wide"]) <= keys
    assert len({one["data"]["seed"] for one in trainings}) == len(trainings), "other people"
    assert numbers["data"]["images"] > 90_000
    expected = PoseNetParams.model_validate(values_of("wide")["pose_net"]).keywords()
    released.record.require(FOLDER, pose_net=expected)
    assert released.predicts_side


def test_a_photo_gives_a_hand(released: HandEstimator) -> None:
    """The first crop in git as a photo: no side, and the box of its view."""
    px = released._predictor.net.gesture_net.image_px
    examples = cv2.imread(str(FOLDER / "examples.jpg"), cv2.IMREAD_COLOR_RGB)
    assert examples is not None
    side = px + 2 * border(px)
    view = px / released._predictor.box_scale
    corner = (side - view) / 2
    hand = released(examples[:side, :side], (corner, corner, view, view))
    assert hand.side in ("left", "right") and hand.facing in ("palm", "back", "edge")
    assert hand.joints.shape == (21, 3) and hand.vertices.shape == (778, 3)
    found = (hand.joints_px.min(0) + hand.joints_px.max(0)) / 2
    assert abs(found - (side - 1) / 2).max() < 0.15 * px, "the crop's box is around the joints"

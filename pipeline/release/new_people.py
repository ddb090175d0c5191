"""Hands of people whom no data set has, rendered as the training images were, and views of them.

The people of validation and test are ten, and people differ so much that regions calibrated on ten
of them hold 86 to 93 % of other people's joints (`python -m bench.regions`). A release can have as
many as it likes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from handpose.hand.skeleton import JOINTS
from handpose.predict import Predictor
from handpose.synthetic.dataset_plan import DatasetSpec
from pipeline.confidence.confidence import EMPTY_SHARE
from pipeline.confidence.true_view import TrueView, empty_view, empty_window, hand_view, users_box
from pipeline.release.scoring import joints_box
from pipeline.release.shifted_sets import ShiftedSet

CALIBRATION, MEASUREMENT = 904_201_8, 771_000_1
"""Seeds of the people whom a release is calibrated on, and whom `bench.regions` measures it by."""


def new_people(
    predictor: Predictor, trained: DatasetSpec, *, seed: int, people: int, images: int
) -> Iterator[TrueView]:
    """Hands in users' boxes, and windows without a hand of some of their photos.

    Args:
        predictor: the model that will see them.
        trained: what its training images were rendered by.
        seed: of the people and their photos; of no other set.
        people: how many.
        images: of all of them.
    """
    new = ShiftedSet("new people", "as in training", {"seed": seed})
    px = predictor.net.gesture_net.image_px
    rng = np.random.default_rng([seed, 0])
    (of_windows,) = rng.spawn(1)  # which leaves the boxes as they are
    for photo in new.photographs(new.spec(trained, people, images), predictor.net.mano):
        box = joints_box(photo)
        yield hand_view(
            photo.image,
            users_box(box, rng),
            K=photo.K,
            joints_cam=photo.joints_cam,
            valid=np.ones(len(JOINTS), np.bool_),
            is_left=photo.is_left,
            person=photo.subject,
            px=px,
            box_scale=predictor.box_scale,
            turn_camera=predictor.net.turn_camera,
        )
        if of_windows.uniform() < EMPTY_SHARE:
            height, width = photo.image.shape[:2]
            window = empty_window(box, (width, height), of_windows)
            if window is not None:
                yield empty_view(photo.image, window, px=px)

"""A small rendering, and networks that answer from its annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.realism import crop
from bench.realism.frames import Frame, Wanted, frames_of
from bench.realism.judge import Judge
from bench.realism.rendering import Rendering, render_frames
from handpose.detection.palm_detector import SIDE_PX, PalmDetector, letterbox
from stages.params import Params, load_params
from tests.detection.made_up_palms import proposals

ROOT = Path(__file__).parents[3]
WANTED = Wanted("train", None, 10**6, free=False)
LOGIT = 4.0


@pytest.fixture(scope="session")
def tiny(stand_in: Path) -> Params:
    """Parameters of a data set of two people and small photos."""
    params = load_params(ROOT / "params.yaml")
    small = {
        "frames": 60,
        "main_subjects": 2,
        "short_subjects": 0,
        "image_px": (64, 48),
        "back_cameras": 0.5,
        "workers": 1,
    }
    hand = params.hand.model_copy(update={"mano": str(stand_in)})
    section = params.synthesize.model_copy(update=small)
    return params.model_copy(update={"synthesize": section, "hand": hand})


@pytest.fixture(scope="session")
def rendered(tiny: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render_frames(Rendering("tiny", tiny), WANTED, folder)
    return folder


@pytest.fixture(scope="session")
def frames(rendered: Path) -> list[Frame]:
    return frames_of(rendered, WANTED)[0]


class Knowing:
    """Stands for both networks, and knows the joints of these photos, in their order.

    Of the photos in `wrong_side` it takes one hand for the other, of those in `mirrored` it sees
    the joints mirrored about the hand's middle.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        *,
        wrong_side: Sequence[int] = (),
        mirrored: Sequence[int] = (),
        shift_px: float = 0.0,
    ) -> None:
        self._read, self._found = iter(enumerate(frames)), iter(frames)
        self._wrong_side, self._mirrored, self._shift = wrong_side, mirrored, shift_px

    @property
    def judge(self) -> Judge:
        return Judge(self.landmarks, PalmDetector(self.detector))

    def landmarks(self, picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        assert picture.shape == (1, crop.SIDE_PX, crop.SIDE_PX, 3)
        assert 0 <= picture.min() < picture.max() <= 1
        number, frame = next(self._read)
        A = crop.tracking_crop(frame.uv)
        points = crop.apply(A, frame.uv + np.array([self._shift, 0])) + crop.EDGE_PX
        if number in self._mirrored:
            points[:, 0] = 2 * points[:, 0].mean() - points[:, 0]
        turn = np.eye(3)
        turn[:2, :2] = A[:2, :2] / np.sqrt(np.linalg.det(A[:2, :2]))
        joints = 1.1 * (frame.joints - frame.joints.mean(0)) @ turn.T
        is_left = frame.is_left ^ (number in self._wrong_side)
        depth = np.zeros((len(points), 1))
        return (
            _outputs(np.concatenate([points, depth], 1)),
            np.array([[1 / (1 + np.exp(-LOGIT))]], np.float32),
            np.array([[0.02 if is_left else 0.98]], np.float32),
            _outputs(joints),
        )

    def detector(self, picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        assert picture.shape == (1, SIDE_PX, SIDE_PX, 3)
        frame = next(self._found)
        A = letterbox(frame.photo.width, frame.photo.height)
        joints = crop.apply(A, frame.uv[frame.valid])
        low, high = joints.min(0), joints.max(0)
        return proposals([np.concatenate([low, high])], [3.0])


def _outputs(points: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    return np.asarray(points.reshape(1, -1), np.float32)

"""Fixtures for the whole suite: one torch thread, the stand-in hand built once, true batches."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch

from handpose.hand.camera import project
from handpose.sample import HandBatch
from tests.skip_rule import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

if TYPE_CHECKING:
    from handpose.hand.mano import Mano


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield


@pytest.fixture(autouse=True, scope="session")
def signals_of_a_terminal() -> None:
    """Whoever starts pytest in the background may ignore these, and all its children would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the stand-in's MANO_RIGHT.npz and MANO_LEFT.npz."""
    from handpose.synthetic.stand_in import write_stand_in

    folder = tmp_path_factory.mktemp("stand_in")
    write_stand_in(folder)
    return folder


@pytest.fixture(scope="session")
def anny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with Anny's hand, for `hand.mano`."""
    from handpose.synthetic.anny_hand import write_anny_hand

    folder = tmp_path_factory.mktemp("hands") / "anny"
    write_anny_hand(folder)
    return folder


@pytest.fixture(scope="session")
def mano(stand_in: Path) -> Mano:
    from handpose.hand.mano import Mano

    return Mano.load(stand_in)


@pytest.fixture(scope="session")
def make_batch(mano: Mano) -> Callable[..., HandBatch]:
    """Batches of random hands, every second one a left hand, in which every field is true."""

    def make(n: int = 4, side: int = 64, seed: int = 0) -> HandBatch:
        rng = torch.Generator().manual_seed(seed)
        global_orient = torch.randn(n, 3, generator=rng)
        hand_pose = 0.2 * torch.randn(n, 45, generator=rng)
        betas = 0.5 * torch.randn(n, 10, generator=rng)
        is_left = torch.arange(n) % 2 == 1

        joints = mano.hand(global_orient, hand_pose, betas, is_left).joints
        middle = (joints.amin(1, keepdim=True) + joints.amax(1, keepdim=True)) / 2
        joints_cam = joints - middle + torch.tensor([0.0, 0.0, 0.6])
        f, c = 1.9 * side, (side - 1) / 2  # 0.3 m at 0.6 m nearly fill the crop
        K = torch.tensor([[f, 0, c], [0, f, c], [0, 0, 1]]).expand(n, 3, 3)
        return HandBatch(
            image=torch.stack([_discs(j, side) for j in project(joints_cam, K)]),
            K=K,
            view_rotation=torch.eye(3).repeat(n, 1, 1),
            joints_cam=joints_cam,
            joint_valid=torch.ones(n, 21, dtype=torch.bool),
            global_orient=global_orient,
            hand_pose=hand_pose,
            betas=betas,
            has_mano=torch.ones(n, dtype=torch.bool),
            is_left=is_left,
            coarse=torch.arange(n) % 6,
            fine=torch.arange(n) % 9,
            sample_id=torch.arange(n),
        )

    return make


def _discs(uv: torch.Tensor, side: int) -> torch.Tensor:
    """A picture of the joints, each a disc of its own colour: uv (21, 2) px -> (3, side, side)."""
    picture = np.zeros((side, side, 3), np.uint8)
    for joint, (u, v) in enumerate(uv.tolist()):
        colour = (255 - 12 * joint, 12 * joint, 80 * (joint % 4))
        cv2.circle(picture, (round(u), round(v)), side // 20, colour, -1)
    return torch.from_numpy(picture).permute(2, 0, 1)

"""Laws of the doubts: no model is refused for being bad, every wrong reading of a fair one is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from handpose.fitting.joint_order import DISTINCT, ORDERS
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.imported.readings import FEWEST, check_frame, check_reading
from handpose.imported.statement import ImportedError, Statement
from tests.imported.test_statement import FILE, HEADER

N = 200
STATED = dataclasses.replace(
    Statement.parse(FILE, HEADER),
    unit="m",
    joint_order="handpose",
    frame="wrist",
    left_hands="as seen",
)


class Truth(NamedTuple):
    """N hands, every second a left one."""

    joints: Tensor
    is_left: Tensor
    valid: Tensor


def truth(mano: Mano, *, upright: bool = False) -> Truth:
    """Random poses of hands from all sides, or of hands that all hang the same way."""
    rng = torch.Generator().manual_seed(0)
    is_left = torch.arange(N) % 2 == 1
    roots = (0.2 if upright else 1.5) * torch.randn(N, 3, generator=rng)
    poses = 0.3 * torch.randn(N, 45, generator=rng)
    betas = torch.randn(N, 10, generator=rng)
    joints = mano.hand(roots, poses, betas, is_left).joints.double()
    valid = torch.rand(N, 21, generator=rng) > 0.05
    valid[:, 0] = True
    return Truth(joints + torch.tensor([0.1, 0.0, 0.7]), is_left, valid)


def noisy(joints: Tensor, mm: float) -> Tensor:
    """Joints of a model with so large an error per joint, and one of the whole hand's turn."""
    rng = torch.Generator().manual_seed(1)
    relative = joints - joints[:, :1]
    moved = relative + mm / 1600 * torch.randn(relative.shape, generator=rng).double()
    return moved - moved[:, :1]


def check(raw: Tensor, own: Truth, **changes: str) -> None:
    stated = dataclasses.replace(STATED, **changes)
    check_reading(Path(FILE), raw, own.is_left, own.joints, own.valid, stated)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("mm", [0, 10, 30])
def test_a_model_is_not_refused_for_its_error(mano: Mano, mm: float, upright: bool) -> None:
    own = truth(mano, upright=upright)
    check(noisy(own.joints, mm), own)


@pytest.mark.parametrize("upright", [True, False])
def test_a_constant_is_not_refused(mano: Mano, upright: bool) -> None:
    """The mean of all hands, whose shape is no hand's, and any one of them."""
    own = truth(mano, upright=upright)
    right = mirror_points(own.joints - own.joints[:, :1], own.is_left)
    for constant in (right.mean(0, keepdim=True), right[:1], right[7:8]):
        check(mirror_points(constant.expand(N, -1, -1), own.is_left), own)


@pytest.mark.parametrize("mm", [0, 10, 20])
@pytest.mark.parametrize("stated", DISTINCT)
@pytest.mark.parametrize("actual", DISTINCT)
def test_the_order_that_fits_is_named(mano: Mano, stated: str, actual: str, mm: float) -> None:
    own = truth(mano)
    theirs = torch.from_numpy(ORDERS[actual].argsort())
    raw = noisy(own.joints, mm)[:, theirs]
    if stated == actual:
        check(raw, own, joint_order=stated)
        return
    with pytest.raises(ImportedError, match=f"as joint_order '{stated}', .* read as '{actual}'"):
        check(raw, own, joint_order=stated)


@pytest.mark.parametrize("mm", [0, 10, 20])
@pytest.mark.parametrize("stated", ["as seen", "mirrored"])
def test_left_hands_of_the_other_frame_are_reported(mano: Mano, stated: str, mm: float) -> None:
    own = truth(mano)
    raw = noisy(own.joints, mm)
    mirrored = mirror_points(raw, own.is_left)
    right, wrong = (raw, mirrored) if stated == "as seen" else (mirrored, raw)
    check(right, own, left_hands=stated)
    with pytest.raises(ImportedError, match=r"left hands .* State left_hands|mirror them"):
        check(wrong, own, left_hands=stated)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((1, -1, -1), "(right|left) hands .* .OpenGL's axes"),
        ((-1, -1, 1), "with x and y negated"),
        ((1, 1, -1), "with z negated"),
        ((1, -1, 1), "with y negated"),
    ],
)
def test_other_axes_are_reported(mano: Mano, factors: tuple[float, ...], message: str) -> None:
    own = truth(mano)
    raw = noisy(own.joints, 15) * torch.tensor(factors).double()
    with pytest.raises(ImportedError, match=message):
        check(raw, own)


def test_joints_in_an_unknown_order_are_no_hand(mano: Mano) -> None:
    own = truth(mano)
    shuffled = noisy(own.joints, 5)[:, torch.randperm(21, generator=torch.manual_seed(0))]
    with pytest.raises(ImportedError, match="the joints do not form a hand in any known order"):
        check(shuffled, own)


@pytest.mark.parametrize(
    ("frame", "move", "message"),
    [
        ("camera", (0.0, 0.0, 0.0), "the wrists are at 0: state frame 'wrist'"),
        ("camera", (0.0, 0.1, -0.6), "half of the hands lie behind the camera"),
        ("wrist", (0.0, 0.003, 0.0), "half of the wrists are 3 mm or more from 0"),
    ],
)
def test_wrists_contradict_a_frame(
    mano: Mano, frame: str, move: tuple[float, ...], message: str
) -> None:
    relative = noisy(truth(mano).joints, 10)
    stated = dataclasses.replace(STATED, frame=frame)
    with pytest.raises(ImportedError, match=message):
        check_frame(Path(FILE), relative + torch.tensor(move), stated)
    fine = torch.tensor((0.1, 0.0, 0.6) if frame == "camera" else (0.0, 0.0, 0.0))
    check_frame(Path(FILE), relative + fine, stated)


def test_a_handful_of_hands_is_not_doubted(mano: Mano) -> None:
    few = Truth(*(part[: FEWEST - 1] for part in truth(mano)))
    check(few.joints.flip(1), few)
    enough = Truth(*(part[:FEWEST] for part in truth(mano)))
    with pytest.raises(ImportedError):
        check(enough.joints.flip(1), enough)

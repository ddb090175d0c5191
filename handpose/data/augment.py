"""Augmentation: image, camera, joints, MANO root and labels of a sample are transformed together.

A stored crop holds the network's view and a border around it. One warp cuts the view out, rotated,
zoomed, shifted and mirrored; nothing is resampled twice. Two matrices describe it:

- A (3, 3) moves pixels: turn and zoom about the middle of the crop, shift, mirror;
- Q (3, 3) moves the camera: rotation about its axis, then x -> -x when mirrored.

Joints become Q @ joints and the camera A @ K @ Q^T, so that each joint projects where its pixel
went, exactly and for any K. Zoom and shift are in K alone: the hand itself does not change.

With `turn_camera` a third one follows, R of `camera.view_rotation`, which turns the camera onto the
centre of the view: R Q takes the place of Q, and no pixel changes. See `sample.py`.

A cover is put on the stored crop before the warp, so that every loader does it alike.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.data.crop import Square, warp_planes
from handpose.hand.camera import project, view_rotation
from handpose.hand.facing import MIDDLE
from handpose.hand.skeleton import WRIST
from handpose.sample import HandSample

UPRIGHT_DEG = 30.0
"""How far from upright an `upright` hand may be, uniform +-: a first pass is not exact."""

COVER_SIDES = (0.1, 0.45)
"""From and to, of each side of a cover: 0.14 to 0.63 of the side of the joints' box."""

COVER_REACH = 0.35
"""Uniform +-, of a cover's centre: the joints' box of a view that is 1.4 times as wide."""


class Cover(NamedTuple):
    """A rectangle or an ellipse that hides a part of the crop, and what it is filled with.

    As an object or another hand would: a network that is trained on whole hands alone relies on
    each joint being seen. Labels stay: a hidden joint is still where it was. Source of the
    rectangles: Zhong et al., Random Erasing Data Augmentation (AAAI 2020).

    Shares are of the side of the network's view, and places are measured from its middle, to the
    right and down, before it is turned, zoomed or shifted: a cover lies on the photo and moves with
    it.
    """

    centre: tuple[float, float]
    size: tuple[float, float]  # width and height
    ellipse: bool
    colour_at: tuple[float, float] | None  # the place whose colour it has; None: noise
    seed: int = 0  # of the noise


class DrawnAugmentation(NamedTuple):
    """The augmentation of one sample, as drawn."""

    angle: float = 0.0  # rad, from x towards y: clockwise in the image
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the view's side, to the right and down
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue
    mirrored: bool = False
    upright: bool = False  # the angle is from the hand turned upright
    cover: Cover | None = None  # lies on the stored crop


@dataclass(frozen=True)
class Augmentation:
    """The ranges that augmentations are drawn from; all zeros change nothing."""

    rotation_deg: float = 0.0  # uniform +-
    upright: float = 0.0  # share of hands that are turned fingers up, +- UPRIGHT_DEG instead
    scale: float = 0.0  # zoom uniform in 1 +-
    shift: float = 0.0  # of the view's side, uniform +-
    colour: float = 0.0  # gain per channel, uniform in 1 +-
    flip: float = 0.0  # probability of mirroring
    occlude: float = 0.0  # probability of a cover, see `Cover`

    def draw(self, rng: np.random.Generator) -> DrawnAugmentation:
        """A random augmentation; takes nine numbers from `rng`, whatever the ranges are.

        A cover, where there may be one, takes more of them: it is drawn last.
        """
        angle, zoom, right, down, *gain = rng.uniform(-1, 1, 7).tolist()
        red, green, blue = (1 + self.colour * g for g in gain)
        mirrored = bool(rng.random() < self.flip)
        upright = bool(rng.random() < self.upright)
        is_covered = self.occlude > 0 and bool(rng.random() < self.occlude)
        return DrawnAugmentation(
            angle=float(np.deg2rad((UPRIGHT_DEG if upright else self.rotation_deg) * angle)),
            zoom=1 + self.scale * zoom,
            shift=(self.shift * right, self.shift * down),
            gain=(red, green, blue),
            mirrored=mirrored,
            upright=upright,
            cover=draw_cover(rng) if is_covered else None,
        )


def transform_labels(
    drawn: DrawnAugmentation,
    sample: HandSample,
    *,
    view: Square,
    out_px: int,
    twin: tuple[int, int],
    turn_camera: bool = False,
) -> tuple[HandSample, NDArray[np.float64]]:
    """The augmented labels, the image covered but not warped, and A: its pixels -> the view's.

    Args:
        drawn: the augmentation.
        sample: the stored crop, the view and a border around it.
        view: the network's view without augmentation, in pixels of the crop.
        out_px: side of the augmented view.
        twin: coarse and fine class of a mirrored sample: the same gesture of the other hand.
        turn_camera: turn the camera onto the centre of the view.

    Returns:
        The sample, and A (3, 3).
    """
    if drawn.upright:
        drawn = drawn._replace(angle=drawn.angle - in_plane_rotation(sample))
    if drawn.cover is not None:
        sample = dataclasses.replace(sample, image=covered(sample.image, drawn.cover, view))
    A = _pixels(drawn, view, out_px)
    Q = _camera(drawn)
    R = view_rotation(A @ sample.K @ Q.T, out_px) if turn_camera else np.eye(3)
    Q = R @ Q
    is_left = sample.is_left != drawn.mirrored
    coarse, fine = twin if drawn.mirrored else (sample.coarse, sample.fine)
    moved = dataclasses.replace(
        sample,
        K=(A @ sample.K @ Q.T).astype(np.float32),
        view_rotation=R.astype(np.float32),
        joints_cam=(sample.joints_cam @ Q.T).astype(np.float32),
        global_orient=_turn_root(sample, Q, is_left),
        is_left=is_left,
        coarse=coarse,
        fine=fine,
    )
    return moved, A


def in_plane_rotation(sample: HandSample) -> float:
    """Of the hand in its crop, rad in [-pi, pi), see `facing.image_rotation`.

    0 where the wrist or the middle finger's knuckle is not annotated.
    """
    ends = [WRIST, MIDDLE]
    if not sample.joint_valid[ends].all():
        return 0.0
    wrist, knuckle = project(sample.joints_cam[ends], sample.K)  # (2,) px each
    along = knuckle - wrist
    return float(np.arctan2(along[0], -along[1]))


def _pixels(drawn: DrawnAugmentation, view: Square, out_px: int) -> NDArray[np.float64]:
    """A (3, 3): pixels of the stored crop -> pixels of the network's view."""
    zoom = drawn.zoom * out_px / view.side
    turn = zoom * _rotation(drawn.angle)[:2, :2]
    after = (out_px - 1) / 2 + out_px * np.array(drawn.shift)
    A = np.eye(3)
    A[:2, :2] = turn
    A[:2, 2] = after - turn @ (view.x, view.y)
    if drawn.mirrored:
        A = np.array([[-1, 0, out_px - 1], [0, 1, 0], [0, 0, 1]]) @ A
    return A


def _camera(drawn: DrawnAugmentation) -> NDArray[np.float64]:
    """Q (3, 3), orthogonal: maps points in the camera's frame."""
    return _mirror(drawn.mirrored) @ _rotation(drawn.angle)


def _mirror(mirrored: bool) -> NDArray[np.float64]:
    """(3, 3) x -> -x, or the identity."""
    return np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])


def _rotation(angle: float) -> NDArray[np.float64]:
    """(3, 3) rotation about the optical axis; image and camera share x right, y down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _turn_root(sample: HandSample, Q: NDArray[np.float64], is_left: bool) -> NDArray[np.float32]:
    """The MANO root (3,) axis-angle, in the right-hand frame, of the sample moved by Q.

    A left hand is the mirror image M of its right-hand parameters. So Q maps root to Q root for a
    right hand that stays one, to M Q M root for a left one, and to M Q root for a right one that
    becomes `is_left`: a rotation in each case, and the identity if Q does nothing but mirror.
    """
    turned = (_mirror(is_left) @ Q) @ _mirror(sample.is_left)
    if not sample.has_mano or np.array_equal(turned, np.eye(3)):
        return sample.global_orient
    root = cv2.Rodrigues(sample.global_orient.astype(np.float64))[0]  # (3, 3)
    return np.asarray(cv2.Rodrigues(turned @ root)[0][:, 0], np.float32)


def render(
    image: NDArray[np.uint8],
    A: NDArray[np.float64],
    gain: tuple[float, float, float],
    planes: NDArray[np.uint8],
) -> None:
    """Fill `planes` (3, S, S) with the image (H, W, 3) warped by A, each channel times its gain.

    A batch holds planes. Gains are applied by a lookup table, not by arithmetic.
    """
    warp_planes(image, A, planes)
    if gain == (1.0, 1.0, 1.0):
        return
    table = np.clip(np.rint(np.arange(256) * np.array(gain)[:, None]), 0, 255).astype(np.uint8)
    for plane, levels in zip(planes, table, strict=True):
        cv2.LUT(plane, levels, dst=plane)


# --- covers ---------------------------------------------------------------------------------------


def draw_cover(rng: np.random.Generator) -> Cover:
    """A random cover: each shape and each filling in half of the cases."""
    x, y, u, v = rng.uniform(-1, 1, 4).tolist()
    width, height = rng.uniform(*COVER_SIDES, 2).tolist()
    ellipse, noise = (rng.random(2) < 0.5).tolist()
    return Cover(
        centre=(COVER_REACH * x, COVER_REACH * y),
        size=(width, height),
        ellipse=ellipse,
        colour_at=None if noise else (u / 2, v / 2),
        seed=int(rng.integers(2**32)),
    )


def covered(image: NDArray[np.uint8], cover: Cover, view: Square) -> NDArray[np.uint8]:
    """A copy of the stored crop (H, W, 3) with the cover on it.

    Args:
        image: the crop, the view and a border around it.
        cover: what to put on it; what would lie outside of the crop is cut off.
        view: the network's view, in pixels of the crop.
    """
    height, width = image.shape[:2]
    middle, half = np.array([view.x, view.y]), np.array(cover.size) * view.side / 2  # x, y; px
    centre = middle + np.array(cover.centre) * view.side
    columns, rows = (
        np.arange(max(0, int(np.ceil(c - h))), min(end, int(np.floor(c + h)) + 1))
        for c, h, end in zip(centre, half, (width, height), strict=True)
    )
    if not (columns.size and rows.size):
        return image
    result = image.copy()
    part = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fill: NDArray[np.uint8]
    if cover.colour_at is None:
        fill = np.random.default_rng(cover.seed).integers(0, 256, part.shape, dtype=np.uint8)
    else:
        u, v = np.rint(middle + np.array(cover.colour_at) * view.side).astype(int)
        colour = image[min(max(v, 0), height - 1), min(max(u, 0), width - 1)]
        fill = np.broadcast_to(colour, part.shape)
    if cover.ellipse:
        x, y = (columns - centre[0]) / half[0], (rows[:, None] - centre[1]) / half[1]
        np.copyto(part, fill, where=(x**2 + y**2 <= 1)[..., None])
    else:
        part[:] = fill
    return result

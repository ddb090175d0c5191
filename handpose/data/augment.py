"""Augmentation: image, camera, joints, MANO root and labels of a sample are transformed together.

A stored crop holds the network's view and a border around it. One warp cuts the view out, rotated,
zoomed, shifted and mirrored; nothing is resampled twice. Two matrices describe it:

- A (3, 3) moves pixels: turn and zoom about the middle of the crop, shift, mirror;
- Q (3, 3) moves the camera: rotation about its axis, then x -> -x when mirrored.

Joints become Q @ joints and the camera A @ K @ Q^T, so that each joint projects where its pixel
went, exactly and for any K. Zoom and shift are in K alone: the hand itself does not change.

With `turn_camera` a third one follows, R of `camera.view_rotation`, which turns the camera onto the
centre of the view: R Q takes the place of Q, and no pixel changes. See `sample.py`.
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
"""How far from upright an `upright` hand may be, uniform +-: a first look is not exact."""


class DrawnAugmentation(NamedTuple):
    """The augmentation of one sample, as drawn."""

    angle: float = 0.0  # rad, from x towards y: clockwise in the image
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # of the view's side, to the right and down
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue
    mirrored: bool = False
    upright: bool = False  # the angle is from the hand turned upright


@dataclass(frozen=True)
class Augmentation:
    """The ranges that augmentations are drawn from; all zeros change nothing."""

    rotation_deg: float = 0.0  # uniform +-
    upright: float = 0.0  # share of hands that are turned fingers up, +- UPRIGHT_DEG instead
    scale: float = 0.0  # zoom uniform in 1 +-
    shift: float = 0.0  # of the view's side, uniform +-
    colour: float = 0.0  # gain per channel, uniform in 1 +-
    flip: float = 0.0  # probability of mirroring

    def draw(self, rng: np.random.Generator) -> DrawnAugmentation:
        """A random augmentation; takes nine numbers from `rng`, whatever the ranges are."""
        angle, zoom, right, down, *gain = rng.uniform(-1, 1, 7).tolist()
        red, green, blue = (1 + self.colour * g for g in gain)
        mirrored = bool(rng.random() < self.flip)
        upright = bool(rng.random() < self.upright)
        return DrawnAugmentation(
            angle=float(np.deg2rad((UPRIGHT_DEG if upright else self.rotation_deg) * angle)),
            zoom=1 + self.scale * zoom,
            shift=(self.shift * right, self.shift * down),
            gain=(red, green, blue),
            mirrored=mirrored,
            upright=upright,
        )


def apply(
    drawn: DrawnAugmentation,
    sample: HandSample,
    *,
    view: Square,
    out_px: int,
    twin: tuple[int, int],
    turn_camera: bool = False,
) -> HandSample:
    """The network's view of a stored sample: image (out_px, out_px, 3) and labels.

    Without augmentation, and with a view of out_px in the middle, it is that part of the crop.

    Args:
        drawn: the augmentation.
        sample: the stored crop, the view and a border around it.
        view: the network's view without augmentation, in pixels of the crop.
        out_px: side of the result.
        twin: coarse and fine class of a mirrored sample: the same gesture of the other hand.
        turn_camera: turn the camera onto the centre of the view.
    """
    moved, A = transform_labels(
        drawn, sample, view=view, out_px=out_px, twin=twin, turn_camera=turn_camera
    )
    planes = np.empty((3, out_px, out_px), np.uint8)
    render(sample.image, A, drawn.gain, planes)
    return dataclasses.replace(moved, image=planes.transpose(1, 2, 0))


def transform_labels(
    drawn: DrawnAugmentation,
    sample: HandSample,
    *,
    view: Square,
    out_px: int,
    twin: tuple[int, int],
    turn_camera: bool = False,
) -> tuple[HandSample, NDArray[np.float64]]:
    """The augmented labels, the image unchanged, and A: its pixels -> pixels of the view."""
    if drawn.upright:
        drawn = drawn._replace(angle=drawn.angle - in_plane_rotation(sample))
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

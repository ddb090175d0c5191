"""Contact sheet of all gestures, each from two views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation

from handpose.hand.mano import Mano
from handpose.render.render import Light, render
from handpose.render.surface import Surface
from handpose.render.tiles import PAGE, Style, Tile, draw_page, require_png
from handpose.synthetic.articulation import GesturePose, read_gesture_poses
from handpose.synthetic.movement.motion import Motion
from handpose.synthetic.pose_hand import HandPoser, PosedHand
from handpose.synthetic.sensor import LEVELS, TONE_CURVE
from handpose.synthetic.skin import BARE_ARM, Skin, regions, skin_material

COLUMNS = 6
VIEWS = ((0.0, 108), (60.0, 78))
"""Azimuth in degrees, from the front towards the thumb, and width in px of the two views."""
HEIGHT_PX = 114
SEAM_PX = 3
CAPTION_PX = 24
GAP_PX = 9
CORNER_PX = 7
WIDTH_PX = sum(view_px + SEAM_PX for _, view_px in VIEWS) - SEAM_PX
STYLE = Style(
    gap_px=GAP_PX,
    row_gap_px=GAP_PX // 2,
    line_px=CAPTION_PX,
    font_px=11.5,
    ink=(60, 60, 58),
    bold=False,
    centred=True,
)

ELEVATION_DEG = 8.0
DISTANCE_M = 0.9
FRAME_M = 0.22
"""Height of a view at the distance of the hand."""
SUPERSAMPLING = 3

CARD = np.array([0.84, 0.84, 0.81])
"""Background of a view, linear."""

SKIN = Skin(
    melanin=0.42,
    blood=0.42,
    pale_palm=0.5,
    creases=0.15,
    gloss=0.03,
    nail=0.7,
    grain=0.0,
    grain_offset=np.zeros(3),
)


def contact_sheet(mano: Mano, out: Path, table: Path | None = None) -> None:
    """Draw every gesture of the table with this hand model into a PNG file, 1200 px wide.

    By default it is the project's table; a hand model may have one of its own.

    The right hand is drawn, or the left if only that has the gesture. Wrists are turned as in the
    synthetic data set. The parent folder of `out` is created.

    Raises:
        PageError: `out` is not the name of a PNG file, or cannot be written.
    """
    require_png(out)  # before the rendering, which takes seconds
    renderer = _GestureRenderer(mano)
    poses = read_gesture_poses(table)
    right, left = (renderer.pose_hands(poses, is_left=is_left) for is_left in (False, True))
    tiles = [
        Tile(
            renderer.views(right if pose.right_folder else left, index),
            pose.gesture.replace("_", " "),
        )
        for index, pose in enumerate(poses)
    ]
    draw_page(tiles, out, size=(WIDTH_PX, HEIGHT_PX), columns=COLUMNS, style=STYLE)


class _GestureRenderer:
    """Renders gestures with one hand model."""

    def __init__(self, mano: Mano) -> None:
        self._light = _studio_light()
        self._poser = HandPoser(mano)
        self._surface = Surface(mano.faces.numpy(), self._poser.rest_vertices)
        masks = regions(self._surface, self._poser.rest_joints)
        no_grain = np.zeros((2, 2, 2), np.float32)
        self._material = skin_material(SKIN, BARE_ARM, masks, self._surface.rest, no_grain)

    def pose_hands(self, poses: Sequence[GesturePose], is_left: bool) -> PosedHand:
        """The peaks of all gestures, in the rig's frame."""
        motion = Motion(
            np.stack([pose.angles for pose in poses]),
            np.stack([pose.wrist for pose in poses]),
            np.zeros((len(poses), 3)),
        )
        return self._poser.pose_hand(motion, np.zeros(10), is_left, np.eye(3), np.zeros(3))

    def views(self, hand: PosedHand, index: int) -> NDArray[np.uint8]:
        """All views of one gesture side by side: (HEIGHT_PX, WIDTH_PX, 3) RGB."""
        picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), PAGE)
        left = 0
        for azimuth, view_px in VIEWS:
            view = self._view(hand, index, -azimuth if hand.is_left else azimuth, view_px)
            picture.paste(Image.fromarray(view), (left, 0), _rounded((view_px, HEIGHT_PX)))
            left += view_px + SEAM_PX
        return np.asarray(picture)

    def _view(self, hand: PosedHand, index: int, azimuth: float, width: int) -> NDArray[np.uint8]:
        """One hand from one azimuth in degrees: (HEIGHT_PX, width, 3) RGB."""
        R = _towards_hand(azimuth)
        joints = hand.joints[index] @ R.T  # (21, 3) camera axes, not yet shifted
        shift = (0, 0, DISTANCE_M) - (joints.min(0) + joints.max(0)) / 2
        vertices = hand.vertices[index] @ R.T + shift  # (778, 3)
        mesh = self._surface.mesh(vertices, hand.is_left, R @ hand.elbow[index])
        f = HEIGHT_PX * DISTANCE_M / FRAME_M
        K = np.array([[f, 0, (width - 1) / 2], [0, f, (HEIGHT_PX - 1) / 2], [0, 0, 1]])
        rendering = render(mesh, self._material, self._light, K, (width, HEIGHT_PX), SUPERSAMPLING)
        light = rendering.radiance + CARD * (1 - rendering.coverage[..., None])
        return np.asarray(TONE_CURVE[(np.clip(light, 0, 1) * (LEVELS - 1)).astype(np.intp)])


def _towards_hand(azimuth: float) -> NDArray[np.floating[Any]]:
    """(3, 3) rig -> camera that looks at the hand from this azimuth in degrees."""
    turn = Rotation.from_euler("yx", [-azimuth, ELEVATION_DEG], degrees=True).as_matrix()
    return np.asarray(np.diag([1.0, -1.0, -1.0]) @ turn)  # y down, z forward


def _studio_light() -> Light:
    """Light fixed to the camera, the same in every view."""
    key, fill = np.array([-0.55, -0.75, -0.75]), np.array([0.8, 0.1, -0.4])
    return Light(
        towards=key / np.linalg.norm(key),
        key=np.array([0.80, 0.78, 0.74]),
        fill_towards=fill / np.linalg.norm(fill),
        fill=np.array([0.17, 0.18, 0.20]),
        up=np.array([0.0, -1.0, 0.0]),
        ambient=np.array([0.26, 0.26, 0.27]),
    )


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A mask with antialiased round corners, by 4x supersampling."""
    width, height = (4 * side for side in size)
    mask = Image.new("L", (width, height))
    box = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, 4 * CORNER_PX, fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)

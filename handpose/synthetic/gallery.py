"""One picture of all gestures, each from two sides: to look at them, and to show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import Rotation

from handpose.evaluation.tiles import require_png
from handpose.hand.mano import Mano
from handpose.render.render import Light, render
from handpose.render.surface import Surface
from handpose.synthetic.articulation import GesturePose, read_gesture_poses
from handpose.synthetic.motion import Motion
from handpose.synthetic.pose_hand import Actor, PosedHand
from handpose.synthetic.sensor import LEVELS, TONE_CURVE
from handpose.synthetic.skin import Skin, Sleeve, paint, regions

COLUMNS = 6
VIEWS = ((0.0, 108), (60.0, 78))
"""Azimuth in degrees, from the front towards the thumb, and width in px of a cell's two views."""
HEIGHT_PX = 114
SEAM_PX = 3
CAPTION_PX = 24
GAP_PX = 9
CORNER_PX = 7
FONT_PX = 11.5

ELEVATION_DEG = 8.0
DISTANCE_M = 0.9
FRAME_M = 0.22
"""What the height of a view spans."""
SUPERSAMPLING = 3

PAGE = (255, 255, 255)
INK = (60, 60, 58)
CARD = np.array([0.84, 0.84, 0.81])
"""Linear light of a view's background."""

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
BARE_ARM = Sleeve(start=2.0, albedo=np.zeros(3))


def contact_sheet(mano: Mano, out: Path) -> None:
    """Draw every gesture of the table with this hand model into a PNG file, 1200 px wide.

    The right hand is drawn, or the left where only that has the gesture. Wrists are turned as the
    synthetic data set has them. The folder of `out` is made.

    Raises:
        PageError: `out` is no name of a PNG file.
    """
    require_png(out)
    artist = _Artist(mano)
    poses = read_gesture_poses()
    right, left = artist.perform(poses, is_left=False), artist.perform(poses, is_left=True)
    cells = [
        artist.cell(pose.gesture, right if pose.right_folder else left, index)
        for index, pose in enumerate(poses)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    _page(cells).save(out, optimize=True)


class _Artist:
    """Draws gestures with one hand model."""

    def __init__(self, mano: Mano) -> None:
        self._font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), FONT_PX)
        self._light = _studio_light()
        self._actor = Actor(mano)
        self._surface = Surface(mano.faces.numpy(), self._actor.rest_vertices)
        where = regions(self._surface, self._actor.rest_joints)
        no_grain = np.zeros((2, 2, 2), np.float32)
        self._skin = paint(SKIN, BARE_ARM, where, self._surface.rest, no_grain)

    def perform(self, poses: Sequence[GesturePose], is_left: bool) -> PosedHand:
        """The peaks of all gestures, in the rig's frame."""
        motion = Motion(
            np.stack([pose.angles for pose in poses]),
            np.stack([pose.wrist for pose in poses]),
            np.zeros((len(poses), 3)),
        )
        return self._actor.perform(motion, np.zeros(10), is_left, np.eye(3), np.zeros(3))

    def cell(self, name: str, hand: PosedHand, index: int) -> Image.Image:
        """The views of one gesture side by side, and its name below."""
        width = sum(view_px + SEAM_PX for _, view_px in VIEWS) - SEAM_PX
        cell = Image.new("RGB", (width, HEIGHT_PX + CAPTION_PX), PAGE)
        left = 0
        for azimuth, view_px in VIEWS:
            picture = self._view(hand, index, -azimuth if hand.is_left else azimuth, view_px)
            cell.paste(Image.fromarray(picture), (left, 0), _rounded((view_px, HEIGHT_PX)))
            left += view_px + SEAM_PX
        below = (width / 2, HEIGHT_PX + CAPTION_PX / 2)
        ImageDraw.Draw(cell).text(below, name.replace("_", " "), INK, self._font, anchor="mm")
        return cell

    def _view(self, hand: PosedHand, index: int, azimuth: float, width: int) -> NDArray[np.uint8]:
        """One hand from one side: (HEIGHT_PX, width, 3) RGB."""
        R = _towards_hand(azimuth)
        joints = hand.joints[index] @ R.T  # (21, 3) camera, but for the shift
        shift = (0, 0, DISTANCE_M) - (joints.min(0) + joints.max(0)) / 2
        vertices = hand.vertices[index] @ R.T + shift  # (778, 3)
        mesh = self._surface.mesh(vertices, hand.is_left, R @ hand.elbow[index])
        f = HEIGHT_PX * DISTANCE_M / FRAME_M
        K = np.array([[f, 0, (width - 1) / 2], [0, f, (HEIGHT_PX - 1) / 2], [0, 0, 1]])
        drawn = render(mesh, self._skin, self._light, K, (width, HEIGHT_PX), SUPERSAMPLING)
        light = drawn.radiance + CARD * (1 - drawn.coverage[..., None])
        return np.asarray(TONE_CURVE[(np.clip(light, 0, 1) * (LEVELS - 1)).astype(np.intp)])


def _towards_hand(azimuth: float) -> NDArray[np.floating[Any]]:
    """(3, 3) rig -> camera that looks at the hand from this azimuth in degrees."""
    turn = Rotation.from_euler("yx", [-azimuth, ELEVATION_DEG], degrees=True).as_matrix()
    return np.asarray(np.diag([1.0, -1.0, -1.0]) @ turn)  # y down, z forward


def _studio_light() -> Light:
    """The same light in every picture: it goes with the camera."""
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
    """A mask with smooth round corners: drawn four times as large."""
    width, height = (4 * side for side in size)
    mask = Image.new("L", (width, height))
    box = (0, 0, width - 1, height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, 4 * CORNER_PX, fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)


def _page(cells: Sequence[Image.Image]) -> Image.Image:
    """The cells, row by row."""
    width, height = cells[0].width + GAP_PX, cells[0].height + GAP_PX // 2
    rows = -(-len(cells) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * width + GAP_PX, rows * height + GAP_PX), PAGE)
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        page.paste(cell, (GAP_PX + column * width, GAP_PX + row * height))
    return page

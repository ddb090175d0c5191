"""One picture of all gestures, each from two sides: to look at them, and to show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import Rotation

from handpose.data.actor import Actor, PosedHand
from handpose.data.motion import Motion
from handpose.data.render import Light, Paint, render
from handpose.data.scenery import sample_noise
from handpose.data.sensor import LEVELS, TONE_CURVE
from handpose.data.skin import Skin, Sleeve, paint, regions
from handpose.data.surface import Surface
from handpose.hand.articulation import GesturePose, read_gesture_poses
from handpose.hand.mano import Mano

COLUMNS = 6
AZIMUTH_DEG = (0.0, 60.0)
"""From where the two views look: from the front, and from the side of the thumb."""
VIEW_PX = (108, 78)
"""Widths of the two views; with a name below they make a cell."""
HEIGHT_PX = 114
CAPTION_PX = 24
SEAM_PX = 3
GAP_PX = 9
CORNER_PX = 7
FRAME_M = 0.22
"""What the height of a view spans."""
DISTANCE_M = 0.9

ELEVATION_DEG = 8.0

PAGE = (255, 255, 255)
CARD = (236, 236, 232)
INK = (60, 60, 58)

LIGHT = Light(  # goes with the camera: the same in every picture
    towards=_towards(-0.55, -0.75, -0.75),
    key=np.array([0.80, 0.78, 0.74]),
    fill_towards=_towards(0.8, 0.1, -0.4),
    fill=np.array([0.17, 0.18, 0.20]),
    up=np.array([0.0, -1.0, 0.0]),
    ambient=np.array([0.26, 0.26, 0.27]),
)
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


def contact_sheet(mano: Mano, out: Path, scale: int = 1) -> None:
    """Draw every gesture of the table with this hand model into a PNG file.

    The right hand is drawn, or the left where only that has the gesture; wrists are turned as the
    synthetic data set has them.

    Args:
        mano: the hand model.
        out: the file; its folder is made.
        scale: pixels of the picture per pixel of the lay-out; 1 makes it 1200 px wide.
    """
    artist = _Artist(mano, scale)
    poses = read_gesture_poses()
    hands = {is_left: artist.perform(poses, is_left) for is_left in (False, True)}
    cells = []
    for index, pose in enumerate(poses):
        hand = hands[pose.right_folder == ""]
        cells.append(artist.cell(pose.gesture, hand, index))
    out.parent.mkdir(parents=True, exist_ok=True)
    _page(cells, GAP_PX * scale).save(out, optimize=True)


class _Artist:
    """Draws cells with one hand model."""

    def __init__(self, mano: Mano, scale: int) -> None:
        self._scale = scale
        self._font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), round(11.5 * scale))
        self._actor = Actor(mano)
        self._surface = Surface(mano.faces.numpy(), self._actor.rest_vertices)
        grain = sample_noise(np.random.default_rng(0)).grain
        where = regions(self._surface, self._actor.rest_joints)
        self._skin: Paint = paint(SKIN, BARE_ARM, where, self._surface.rest, grain)

    def perform(self, poses: tuple[GesturePose, ...], is_left: bool) -> PosedHand:
        """The peaks of all gestures, upright in the rig's frame."""
        motion = Motion(
            np.stack([pose.angles for pose in poses]),
            np.stack([pose.wrist for pose in poses]),
            np.zeros((len(poses), 3)),
        )
        return self._actor.perform(motion, np.zeros(10), is_left, np.eye(3), np.zeros(3))

    def cell(self, name: str, hand: PosedHand, index: int) -> Image.Image:
        """Both views side by side and the name below."""
        scale = self._scale
        width = sum(VIEW_PX) + SEAM_PX
        cell = Image.new("RGB", (width * scale, (HEIGHT_PX + CAPTION_PX) * scale), PAGE)
        left = 0
        for azimuth, view_px in zip(AZIMUTH_DEG, VIEW_PX, strict=True):
            size = (view_px * scale, HEIGHT_PX * scale)
            view = self._view(hand, index, -azimuth if hand.is_left else azimuth, size)
            cell.paste(Image.fromarray(view), (left * scale, 0), _rounded(size, CORNER_PX * scale))
            left += view_px + SEAM_PX
        below = (width * scale / 2, (HEIGHT_PX + CAPTION_PX / 2) * scale)
        label = name.replace("_", " ")
        ImageDraw.Draw(cell).text(below, label, INK, self._font, anchor="mm")
        return cell

    def _view(
        self, hand: PosedHand, index: int, azimuth: float, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """One hand from one side: (H, W, 3) RGB."""
        R = _look(azimuth)
        joints = hand.joints[index] @ R.T  # (21, 3)
        middle = (joints.min(0) + joints.max(0)) / 2
        shift = np.array([0, 0, DISTANCE_M]) - middle
        mesh = self._surface.mesh(
            hand.vertices[index] @ R.T + shift, hand.is_left, R @ hand.elbow[index]
        )
        width, height = size
        focal = height * DISTANCE_M / FRAME_M
        K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        drawn = render(mesh, self._skin, _light(R), K, size, supersampling=3)
        card = TONE_CURVE.searchsorted(np.array(CARD)) / LEVELS  # (3,) linear
        light = drawn.radiance + card * (1 - drawn.coverage[..., None])
        return np.asarray(TONE_CURVE[(np.clip(light, 0, 1) * (LEVELS - 1)).astype(int)])


def _look(azimuth: float) -> FloatArray:
    """(3, 3) rig -> camera that looks at the origin from this azimuth in degrees."""
    turned = Rotation.from_euler("yx", [-azimuth, ELEVATION_DEG], degrees=True)
    return np.diag([1.0, -1.0, -1.0]) @ np.asarray(turned.as_matrix())  # y down, z forward


def _towards(*direction: float) -> FloatArray:
    return np.array(direction) / np.linalg.norm(direction)


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask with smooth round corners."""
    enlarged = Image.new("L", (4 * size[0], 4 * size[1]))
    corner = (enlarged.width - 1, enlarged.height - 1)
    ImageDraw.Draw(enlarged).rounded_rectangle((0, 0, *corner), 4 * radius, 255)
    return enlarged.resize(size, Image.Resampling.LANCZOS)


def _page(cells: list[Image.Image], gap: int) -> Image.Image:
    """All cells in rows."""
    width, height = cells[0].size
    rows = -(-len(cells) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (width + gap) + gap, rows * (height + gap // 2) + gap), PAGE)
    for number, cell in enumerate(cells):
        row, column = divmod(number, COLUMNS)
        page.paste(cell, (gap + column * (width + gap), gap + row * (height + gap // 2)))
    return page

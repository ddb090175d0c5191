"""Overlays of hands on photos: a shaded translucent mesh, its outline, or the skeleton.

Images are (S, S, 3) uint8 RGB with pixel centres at whole numbers; small crops are first enlarged
by an integer `zoom`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.hand.camera import project
from handpose.hand.skeleton import PARENTS
from handpose.render.raster import rasterize

Image = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]

TRUTH: Colour = (0, 158, 115)
MODEL: Colour = (86, 140, 230)
CONTROL: Colour = (230, 145, 20)
"""Green, blue and orange, distinguishable with colour blindness (after Okabe and Ito)."""

LIGHT = np.array([-0.35, -0.45, -0.82])
"""Direction to the light: from behind the camera, upper left."""
INSIDE = 0.4
"""Brightness of the mesh's inside."""
SUPERSAMPLING = 2
PLAIN = 244
"""Grey level of the background of side views."""
BITS = 4
"""Fractional bits of cv2's drawing coordinates."""


def enlarge(image: Image, zoom: int) -> Image:
    """The image enlarged by `zoom`, bicubic."""
    size = (image.shape[1] * zoom, image.shape[0] * zoom)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def enlarge_points(uv: Floats, zoom: int) -> Floats:
    """Pixels (..., 2) of an image -> pixels of the enlarged image."""
    return (uv + 0.5) * zoom - 0.5


def enlarge_camera(K: Floats, zoom: int) -> Floats:
    """K (3, 3) of the enlarged image."""
    return np.array([[zoom, 0, (zoom - 1) / 2], [0, zoom, (zoom - 1) / 2], [0, 0, 1]]) @ K


def draw_mesh(
    image: Image,
    vertices: Floats,
    faces: NDArray[np.int64],
    K: Floats,
    *,
    colour: Colour,
    is_left: bool = False,
    opacity: float = 0.75,
) -> Image:
    """Draw a mesh over the image, lit from behind the camera.

    Args:
        image: (H, W, 3).
        vertices: (V, 3) m, camera; a mesh not entirely in front of the camera is not drawn.
        faces: (F, 3) of a right hand.
        K: (3, 3) px of this image.
        colour: of the mesh when fully lit.
        is_left: the mesh is mirrored, hence its faces are flipped.
        opacity: of the mesh; 1 hides the photo.
    """
    if (vertices[:, 2] <= 0).any():
        return image.copy()
    height, width = image.shape[:2]
    faces = faces[:, ::-1] if is_left else faces
    uv = enlarge_points(project(vertices, K), SUPERSAMPLING).astype(np.float32)
    depth = vertices[:, 2].astype(np.float32)
    grid = (width * SUPERSAMPLING, height * SUPERSAMPLING)

    layer = np.zeros((grid[1] * grid[0], 4), np.float32)  # colour and coverage
    inside = rasterize(uv, depth, faces, grid, back=True)  # visible through the open wrist
    layer[inside.sample] = np.append(np.multiply(colour, INSIDE), 1)
    outside = rasterize(uv, depth, faces, grid)
    normals = _vertex_normals(vertices, faces)[faces[outside.face]]  # (P, 3, 3)
    shade = _shade((normals * outside.weights[..., None]).sum(1))
    layer[outside.sample, :3] = np.minimum(shade[:, None] * colour, 255)
    layer[outside.sample, 3] = 1

    s = SUPERSAMPLING
    layer = layer.reshape(height, s, width, s, 4).mean((1, 3))  # (H, W, 4)
    blended = image * (1 - opacity * layer[..., 3:]) + opacity * layer[..., :3]
    return np.asarray(blended.round(), np.uint8)


def draw_outline(
    image: Image, vertices: Floats, faces: NDArray[np.int64], K: Floats, *, colour: Colour
) -> Image:
    """Draw the outline of a mesh over the image; arguments as of `draw_mesh`."""
    if (vertices[:, 2] <= 0).any():
        return image.copy()
    height, width = image.shape[:2]
    uv = project(vertices, K).astype(np.float32)
    covered = np.zeros(height * width, np.uint8)
    for back in (False, True):
        fragments = rasterize(
            uv, vertices[:, 2].astype(np.float32), faces, (width, height), back=back
        )
        covered[fragments.sample] = 1
    shape = covered.reshape(height, width)
    contours, _ = cv2.findContours(shape, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    canvas = image.copy()
    thick = max(1, height // 160)
    cv2.drawContours(canvas, contours, -1, (255, 255, 255), thick + 2, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, colour, thick, cv2.LINE_AA)
    return canvas


def _shade(normal: Floats) -> Floats:
    """Diffuse shading: normals (P, 3) of any length -> (P,)."""
    unit = normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)
    shade: Floats = 0.45 + 0.6 * np.maximum(unit @ LIGHT, 0)
    return shade


def _vertex_normals(vertices: Floats, faces: NDArray[np.int64]) -> Floats:
    """Outward unit normals, (V, 3)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    unit: Floats = normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)
    return unit


def draw_skeleton(
    image: Image,
    uv: Floats,
    *,
    colour: Colour | list[Colour],
    valid: NDArray[np.bool_] | None = None,
    thick: int | None = None,
) -> Image:
    """Draw bones and joints over the image.

    Args:
        image: (H, W, 3).
        uv: (21, 2) px of this image.
        colour: of all, or 21 of the joints; a bone has that of its far end.
        valid: (21,) which joints are drawn.
        thick: bones, px; by default a 110th of the image's height.
    """
    colours = colour if isinstance(colour, list) else [colour] * len(PARENTS)
    canvas = image.copy()
    shown = np.asarray(np.isfinite(uv).all(1))
    if valid is not None:
        shown = shown & valid
    far = 4 * max(image.shape)  # distant joints would overflow cv2's fixed-point coordinates
    points = np.rint(np.clip(np.nan_to_num(uv), -far, far) * 2**BITS).astype(int).tolist()
    thick = max(1, image.shape[0] // 110) if thick is None else thick
    for rim, tones in ((2, [(255, 255, 255)] * len(PARENTS)), (0, colours)):
        for joint, parent in enumerate(PARENTS):
            if parent >= 0 and shown[joint] and shown[parent]:
                ends = points[parent], points[joint]
                cv2.line(canvas, *ends, tones[joint], thick + rim, cv2.LINE_AA, BITS)
        for joint in np.flatnonzero(shown).tolist():
            radius = round((1.4 * thick + rim / 2) * 2**BITS)
            cv2.circle(canvas, points[joint], radius, tones[joint], -1, cv2.LINE_AA, BITS)
    return canvas


def side_camera(joints: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """A distant camera looking along +x at the hand, centred in a square image.

    Args:
        joints: (21, 3) m, camera; the points to show.
        side: of the image, px.

    Returns:
        R (3, 3) and t (3,), which map camera points to its frame (R x + t), and K (3, 3).
    """
    turn = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    middle = (joints.min(0) + joints.max(0)) / 2
    distance = 1.5
    extent = 1.35 * (joints.max(0) - joints.min(0))[1:].max()
    focal = side * distance / max(extent, 0.05)
    centre = (side - 1) / 2
    K = np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1]])
    return turn, np.array([0, 0, distance]) - turn @ middle, K


def plain(side: int) -> Image:
    """An empty square image."""
    return np.full((side, side, 3), PLAIN, np.uint8)

"""A renderer in plain numpy: a skin-like mesh under one key light with its soft shadow.

Camera x right, y down, z forward, metres; pixel centres at whole numbers. Colours are linear light
until `sensor.photograph` makes a photo of them. Shading is done once per visible sample, and
only in the box that the mesh fills.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.raster import Fragments, rasterize
from handpose.render.shadow import lit_share
from handpose.render.surface import FloatArray, IntArray, Mesh

WRAP = np.array([0.42, 0.22, 0.16], np.float32)
"""How far diffuse light creeps round the terminator; red farthest, the cheap look of skin."""

OCCLUSION_RADII_M = (0.006, 0.016)
OCCLUSION_DEPTH_M = 0.014
SHININESS = 24
NEAR_M = 0.02
"""Triangles that come nearer to the camera are left out."""


class Paint(NamedTuple):
    """What the surface is made of, per vertex of the mesh."""

    albedo: FloatArray  # (N, 3) linear RGB
    gloss: FloatArray  # (N,) strength of the highlight
    rest: FloatArray  # (N, 3) m, place in the rest pose, where the grain is anchored
    grain: NDArray[np.float32]  # (S, S, S) tileable noise around 0; S a power of two
    grain_m: float  # size of one of its cells
    grain_strength: FloatArray  # (3,) on the logarithm of each channel


class Light(NamedTuple):
    """A key light that casts a shadow, a fill light that does not, and light from everywhere."""

    towards: FloatArray  # (3,) unit, from the hand to the key light, camera frame
    key: FloatArray  # (3,) linear RGB
    fill_towards: FloatArray  # (3,) unit
    fill: FloatArray  # (3,)
    up: FloatArray  # (3,) unit
    ambient: FloatArray  # (3,) from above; 60 % of it comes from below


class Rendering(NamedTuple):
    """The mesh without its background."""

    radiance: FloatArray  # (H, W, 3) linear, times coverage
    coverage: FloatArray  # (H, W) share of the pixel that the mesh covers, 0..1
    depth: FloatArray  # (H, W) m of the nearest surface in the pixel, inf where nothing is


class _View(NamedTuple):
    """The box of the frame that the mesh fills, and its grid of samples."""

    x: int  # px of the box's first column
    y: int
    columns: int  # px
    rows: int
    supersampling: int

    @property
    def grid(self) -> tuple[int, int]:
        """Width and height in samples."""
        return self.columns * self.supersampling, self.rows * self.supersampling

    def to_samples(self, uv: FloatArray) -> FloatArray:
        """Pixels of the frame (..., 2) -> samples of the grid, both whole at their centres."""
        return (uv - self._corner() + 0.5) * self.supersampling - 0.5

    def to_pixels(self, sample: IntArray) -> FloatArray:
        """Flat sample numbers (P,) -> pixels of the frame (P, 2)."""
        row, column = np.divmod(sample, self.grid[0])
        inside = np.stack([column, row], 1).astype(np.float32)
        return (inside + 0.5) / self.supersampling - 0.5 + self._corner()

    def _corner(self) -> FloatArray:
        return np.array([self.x, self.y], np.float32)


def render(
    mesh: Mesh,
    paint: Paint,
    light: Light,
    K: NDArray[np.floating],
    size: tuple[int, int],
    supersampling: int = 1,
) -> Rendering:
    """The mesh seen by a pinhole camera.

    Args:
        mesh: in the camera frame; what is behind the camera or outside of the frame is left out.
        paint: of its vertices.
        light: its directions are in the camera frame.
        K: (3, 3) px.
        size: (width, height) px.
        supersampling: samples per side of a pixel.
    """
    K = np.asarray(K, np.float32)
    uvw = mesh.vertices @ K.T  # (N, 3)
    uv = uvw[:, :2] / np.maximum(uvw[:, 2:], 1e-3)  # (N, 2) px
    far = mesh.vertices[:, 2] > NEAR_M
    faces = mesh.faces if far.all() else mesh.faces[far[mesh.faces].all(1)]
    view = _view(uv[far], size, supersampling)
    seen = rasterize(view.to_samples(uv), mesh.vertices[:, 2], faces, view.grid)
    points = _back_project(view.to_pixels(seen.sample), seen.depth, K)  # (P, 3)
    open_sky = _open_sky(seen, view, float(K[0, 0]))  # (P,)
    radiance = _shade(mesh, paint, light, faces, seen, points, open_sky)
    return _resolve(seen, radiance, view, size)


def _view(uv: FloatArray, size: tuple[int, int], supersampling: int) -> _View:
    """The whole pixels around these points, within the frame; at least one."""
    limit = np.array(size)
    columns = [uv[:, 0], uv[:, 1]] if len(uv) else [np.zeros(1)] * 2
    low, high = (np.array([end(c) for c in columns]) for end in (np.min, np.max))
    first = np.clip(np.floor(low).astype(int), 0, limit - 1)
    last = np.clip(np.ceil(high).astype(int), first, limit - 1)
    extent = last - first + 1
    return _View(int(first[0]), int(first[1]), int(extent[0]), int(extent[1]), supersampling)


def _back_project(uv: FloatArray, depth: FloatArray, K: FloatArray) -> FloatArray:
    """Camera points (P, 3) of pixels and their depths."""
    xy = (uv - K[:2, 2]) / K[[0, 1], [0, 1]]
    return np.concatenate([xy * depth[:, None], depth[:, None]], 1)


def _shade(
    mesh: Mesh,
    paint: Paint,
    light: Light,
    faces: IntArray,
    seen: Fragments,
    points: FloatArray,
    open_sky: FloatArray,
) -> FloatArray:
    """Linear light that leaves each visible sample towards the camera: (P, 3)."""
    table = np.concatenate([mesh.normals, paint.albedo, paint.gloss[:, None], paint.rest], 1)
    corners = faces[seen.face]  # (P, 3)
    a, b, c = (table[corners[:, k]] * seen.weights[:, k, None] for k in range(3))
    value = a + b + c  # (P, 10)
    normal, gloss, rest = _unit(value[:, :3]), value[:, 6:7], value[:, 7:]
    albedo = value[:, 3:6] * np.exp(_grain(paint, rest)[:, None] * paint.grain_strength)

    facing = (normal @ light.towards)[:, None]  # (P, 1)
    lit = lit_share(mesh, faces, points, normal, light.towards)[:, None]  # (P, 1)
    key = np.maximum((facing + WRAP) / (1 + WRAP), 0) * lit * light.key
    fill = np.maximum(0.5 + 0.5 * (normal @ light.fill_towards)[:, None], 0) * light.fill
    sky = (0.8 + 0.2 * (normal @ light.up)[:, None]) * light.ambient
    halfway = _unit(light.towards - _unit(points))
    shine = np.maximum(_dot(normal, halfway), 0) ** SHININESS  # (P, 1)
    glint = gloss * shine * lit * (facing > 0) * light.key
    return np.asarray(albedo * (key + (fill + sky) * open_sky[:, None]) + glint, np.float32)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Row by row: a, b (P, 3) -> (P, 1)."""
    return np.asarray(np.einsum("pk,pk->p", a, b)[:, None])


def _unit(vectors: FloatArray) -> FloatArray:
    """The vectors (P, 3) at length 1."""
    return np.asarray(vectors / np.sqrt(_dot(vectors, vectors) + 1e-20))


def _grain(paint: Paint, rest: FloatArray) -> FloatArray:
    """The noise at places of the rest pose: rest (P, 3) m -> (P,)."""
    side = paint.grain.shape[0]
    cell = np.floor(rest / paint.grain_m).astype(np.int64) & (side - 1)
    return np.asarray(paint.grain[cell[:, 0], cell[:, 1], cell[:, 2]])


def _open_sky(seen: Fragments, view: _View, focal: float) -> FloatArray:
    """How much of the ambient light reaches a sample: less where it lies behind its surroundings.

    Screen-space occlusion: depth against the mean depth of the mesh around it, at two scales.
    """
    columns, rows = view.grid
    mask = np.zeros(rows * columns, np.float32)
    depth = np.zeros(rows * columns, np.float32)
    mask[seen.sample] = 1
    depth[seen.sample] = seen.depth
    middle = float(seen.depth.mean()) if len(seen.depth) else 1.0
    darkening = np.zeros(len(seen.sample), np.float32)
    for radius in OCCLUSION_RADII_M:
        reach = 2 * round(radius * focal / middle * view.supersampling) + 1
        around = [
            cv2.blur(image.reshape(rows, columns), (reach, reach), borderType=cv2.BORDER_CONSTANT)
            for image in (depth, mask)
        ]
        mean, share = (np.asarray(image).reshape(-1)[seen.sample] for image in around)
        behind = (seen.depth - mean / np.maximum(share, 1e-6)) / OCCLUSION_DEPTH_M
        darkening += np.clip(behind, 0, 1)
    return 1 - 0.6 * np.minimum(darkening, 1)


def _resolve(
    seen: Fragments, radiance: FloatArray, view: _View, size: tuple[int, int]
) -> Rendering:
    """Samples averaged into the pixels of the whole frame."""
    columns, rows = view.grid
    s = view.supersampling
    colour = np.zeros((rows * columns, 4), np.float32)
    colour[seen.sample, :3] = radiance
    colour[seen.sample, 3] = 1
    depth = np.full(rows * columns, np.inf, np.float32)
    depth[seen.sample] = seen.depth
    width, height = size
    picture = np.zeros((height, width, 4), np.float32)
    nearest = np.full((height, width), np.inf, np.float32)
    box = np.s_[view.y : view.y + view.rows, view.x : view.x + view.columns]
    picture[box] = colour.reshape(view.rows, s, view.columns, s, 4).mean((1, 3))
    nearest[box] = depth.reshape(view.rows, s, view.columns, s).min((1, 3))
    return Rendering(picture[..., :3], picture[..., 3], nearest)

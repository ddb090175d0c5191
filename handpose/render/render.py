"""Renderer in plain numpy: a skin-like mesh under a key light with a soft shadow.

Camera x right, y down, z forward, metres; pixel centres at whole numbers. Colours are linear;
`synthetic/sensor.py` applies the tone curve. Shading is computed once per visible sample, only
inside the bounding box of the mesh.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from handpose.render.raster import Fragments, rasterize
from handpose.render.shadow import lit_fraction
from handpose.render.surface import FloatArray, IntArray, Mesh
from handpose.render.texture_charts import Charts, tilted

WRAP = np.array([0.42, 0.22, 0.16], np.float32)
"""Wrapped diffuse lighting per channel, widest in red: a cheap approximation of skin."""

OCCLUSION_RADII_M = (0.006, 0.016)
OCCLUSION_DEPTH_M = 0.014
SHININESS = 24
NEAR_M = 0.02
"""Near clipping distance: triangles closer to the camera are dropped."""


class Material(NamedTuple):
    """Surface material, per vertex of the mesh."""

    albedo: FloatArray  # (N, 3) linear RGB
    gloss: FloatArray  # (N,) strength of the specular highlight
    rest: FloatArray  # (N, 3) m, rest-pose position, which anchors the grain
    grain: NDArray[np.float32]  # (S, S, S) tileable noise around 0; S a power of two
    grain_m: float  # size of a grain cell
    grain_strength: FloatArray  # (3,) scale in log albedo, per channel
    charts: Charts | None = None  # texture finer than the mesh


class Light(NamedTuple):
    """A shadow-casting key light, a fill light without shadow, and ambient light."""

    towards: FloatArray  # (3,) unit, from the hand to the key light, camera frame
    key: FloatArray  # (3,) linear RGB
    fill_towards: FloatArray  # (3,) unit
    fill: FloatArray  # (3,)
    up: FloatArray  # (3,) unit
    ambient: FloatArray  # (3,) from above; from below it is 60 % of this


class Rendering(NamedTuple):
    """The rendered mesh, without background."""

    radiance: FloatArray  # (H, W, 3) linear, premultiplied by coverage
    coverage: FloatArray  # (H, W) fraction of the pixel that the mesh covers, 0..1
    depth: FloatArray  # (H, W) m, nearest surface in the pixel; inf where there is none


class _Viewport(NamedTuple):
    """Bounding box of the mesh in the frame, and its sample grid."""

    x: int  # px, first column of the box
    y: int
    columns: int  # px
    rows: int
    supersampling: int

    @property
    def grid(self) -> tuple[int, int]:
        """Width and height in samples."""
        return self.columns * self.supersampling, self.rows * self.supersampling

    def to_samples(self, uv: FloatArray) -> FloatArray:
        """Pixels of the frame (..., 2) -> samples of the grid; both whole at centres."""
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
    material: Material,
    light: Light,
    K: NDArray[np.floating],
    size: tuple[int, int],
    supersampling: int = 1,
) -> Rendering:
    """Render the mesh with a pinhole camera.

    Args:
        mesh: in the camera frame; parts behind the camera or outside the frame are clipped.
        material: of the vertices.
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
    viewport = _viewport(uv[far], size, supersampling)
    fragments = rasterize(viewport.to_samples(uv), mesh.vertices[:, 2], faces, viewport.grid)
    points = _back_project(viewport.to_pixels(fragments.sample), fragments.depth, K)  # (P, 3)
    ambient_visibility = _ambient_visibility(fragments, viewport, float(K[0, 0]))  # (P,)
    middle = float(np.median(fragments.depth)) if len(fragments.depth) else 1.0
    footprint = middle / float(K[0, 0]) / supersampling  # m between neighbouring samples
    radiance = _shade(
        mesh, material, light, faces, fragments, points, ambient_visibility, footprint
    )
    return _resolve(fragments, radiance, viewport, size)


def _viewport(uv: FloatArray, size: tuple[int, int], supersampling: int) -> _Viewport:
    """The box of whole pixels around these points, clipped to the frame; at least one pixel."""
    limit = np.array(size)
    columns = [uv[:, 0], uv[:, 1]] if len(uv) else [np.zeros(1)] * 2
    low, high = (np.array([end(c) for c in columns]) for end in (np.min, np.max))
    first = np.clip(np.floor(low).astype(int), 0, limit - 1)
    last = np.clip(np.ceil(high).astype(int), first, limit - 1)
    extent = last - first + 1
    return _Viewport(int(first[0]), int(first[1]), int(extent[0]), int(extent[1]), supersampling)


def _back_project(uv: FloatArray, depth: FloatArray, K: FloatArray) -> FloatArray:
    """Pixels and depths to camera points (P, 3)."""
    xy = (uv - K[:2, 2]) / K[[0, 1], [0, 1]]
    return np.concatenate([xy * depth[:, None], depth[:, None]], 1)


def _shade(
    mesh: Mesh,
    material: Material,
    light: Light,
    faces: IntArray,
    fragments: Fragments,
    points: FloatArray,
    ambient_visibility: FloatArray,
    footprint: float,
) -> FloatArray:
    """Linear radiance of each visible sample towards the camera: (P, 3)."""
    charts = material.charts
    columns = [mesh.normals, material.albedo, material.gloss[:, None], material.rest]
    table = np.concatenate(columns if charts is None else [*columns, charts.uv, charts.weights], 1)
    corners = faces[fragments.face]  # (P, 3)
    a, b, c = (table[corners[:, k]] * fragments.weights[:, k, None] for k in range(3))
    value = a + b + c  # (P, 10) or more
    normal, gloss, rest = _unit(value[:, :3]), value[:, 6:7], value[:, 7:10]
    albedo = value[:, 3:6] * np.exp(_grain(material, rest)[:, None] * material.grain_strength)
    lit = lit_fraction(mesh, faces, points, normal, light.towards)[:, None]  # (P, 1)
    if charts is not None:
        texture = charts.look_up(value[:, 10:12], value[:, 12:], footprint)  # (P, CHANNELS)
        albedo = albedo * np.exp(texture[:, :3])
        normal = _unit(normal + tilted(mesh, faces, fragments.face, charts.uv, texture[:, 3:]))

    facing = (normal @ light.towards)[:, None]  # (P, 1)
    key = np.maximum((facing + WRAP) / (1 + WRAP), 0) * lit * light.key
    fill = np.maximum(0.5 + 0.5 * (normal @ light.fill_towards)[:, None], 0) * light.fill
    sky = (0.8 + 0.2 * (normal @ light.up)[:, None]) * light.ambient
    halfway = _unit(light.towards - _unit(points))
    specular = np.maximum(_dot(normal, halfway), 0) ** SHININESS  # (P, 1)
    highlight = gloss * specular * lit * (facing > 0) * light.key
    return np.asarray(
        albedo * (key + (fill + sky) * ambient_visibility[:, None]) + highlight, np.float32
    )


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Row-wise dot product: a, b (P, 3) -> (P, 1)."""
    return np.asarray(np.einsum("pk,pk->p", a, b)[:, None])


def _unit(vectors: FloatArray) -> FloatArray:
    """The vectors (P, 3) normalised."""
    return np.asarray(vectors / np.sqrt(_dot(vectors, vectors) + 1e-20))


def _grain(material: Material, rest: FloatArray) -> FloatArray:
    """Grain noise at rest-pose positions: rest (P, 3) m -> (P,)."""
    side = material.grain.shape[0]
    cell = np.floor(rest / material.grain_m).astype(np.int64) & (side - 1)
    return np.asarray(material.grain[cell[:, 0], cell[:, 1], cell[:, 2]])


def _ambient_visibility(fragments: Fragments, viewport: _Viewport, focal: float) -> FloatArray:
    """Fraction of the ambient light that reaches each sample: (P,).

    Screen-space ambient occlusion: depth against the mean depth of the mesh around, at two scales.
    """
    columns, rows = viewport.grid
    mask = np.zeros(rows * columns, np.float32)
    depth = np.zeros(rows * columns, np.float32)
    mask[fragments.sample] = 1
    depth[fragments.sample] = fragments.depth
    middle = float(fragments.depth.mean()) if len(fragments.depth) else 1.0
    darkening = np.zeros(len(fragments.sample), np.float32)
    for radius in OCCLUSION_RADII_M:
        reach = 2 * round(radius * focal / middle * viewport.supersampling) + 1
        around = [
            cv2.blur(image.reshape(rows, columns), (reach, reach), borderType=cv2.BORDER_CONSTANT)
            for image in (depth, mask)
        ]
        mean, share = (np.asarray(image).reshape(-1)[fragments.sample] for image in around)
        behind = (fragments.depth - mean / np.maximum(share, 1e-6)) / OCCLUSION_DEPTH_M
        darkening += np.clip(behind, 0, 1)
    return 1 - 0.6 * np.minimum(darkening, 1)


def _resolve(
    fragments: Fragments, radiance: FloatArray, viewport: _Viewport, size: tuple[int, int]
) -> Rendering:
    """Average the samples into the pixels of the full frame."""
    columns, rows = viewport.grid
    s = viewport.supersampling
    colour = np.zeros((rows * columns, 4), np.float32)
    colour[fragments.sample, :3] = radiance
    colour[fragments.sample, 3] = 1
    depth = np.full(rows * columns, np.inf, np.float32)
    depth[fragments.sample] = fragments.depth
    width, height = size
    picture = np.zeros((height, width, 4), np.float32)
    nearest = np.full((height, width), np.inf, np.float32)
    box = np.s_[viewport.y : viewport.y + viewport.rows, viewport.x : viewport.x + viewport.columns]
    picture[box] = colour.reshape(viewport.rows, s, viewport.columns, s, 4).mean((1, 3))
    nearest[box] = depth.reshape(viewport.rows, s, viewport.columns, s).min((1, 3))
    return Rendering(picture[..., :3], picture[..., 3], nearest)

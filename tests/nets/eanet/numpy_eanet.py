"""EANet for one hand a second time, in numpy, written from the published facts and not from ours.

One image at a time, tokens as rows; every norm, softmax and product spelled out. Only the names of
the weights are shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import erf

Array = NDArray[Any]
EPS = 1e-5


class NumpyEaNet:
    """Its forward pass from the deepest level of the backbone on, in evaluation."""

    def __init__(self, weights: Mapping[str, Array], *, heads: int, depth: int) -> None:
        self.w = {name: np.asarray(value, np.float64) for name, value in weights.items()}
        self.heads, self.depth = heads, depth

    def hand(self, level: Array) -> dict[str, Array]:
        """What a level (channels, G, G) says: one hand's voxels, axis-angles, betas and camera."""
        features, voxels = self.position_net(level)
        axis_angle, betas, camera = self.rotation_net(features, voxels)
        return {"voxels": voxels, "axis_angle": axis_angle, "betas": betas, "camera": camera}

    def position_net(self, level: Array) -> tuple[Array, Array]:
        block = "position_net.extract_adapt"
        channels, side, _ = level.shape
        cells = level.reshape(channels, side * side).T  # one row per cell, row by row of the map
        right = self.conv_norm(f"{block}.project.0", cells)
        second = f"{block}.project.1"
        left = self.conv_norm(second, cells) if f"{second}.0.weight" in self.w else right
        shared = self.fuse(f"{block}.extract", right, left)
        adapted = self.fuse(f"{block}.adapt", right, shared)
        features = self.conv_norm(f"{block}.merge", np.hstack([right, adapted]))
        scores = self.pointwise("position_net.volume", features)  # (G G, 21 D)
        joints = scores.shape[1] // self.depth
        voxels = np.zeros((joints, 3))
        for joint in range(joints):
            mass = scores[:, joint * self.depth : (joint + 1) * self.depth]
            mass = np.exp(mass - mass.max())
            mass /= mass.sum()
            for cell in range(side * side):
                for z in range(self.depth):
                    voxels[joint] += mass[cell, z] * np.array([cell % side, cell // side, z])
        return features, voxels

    def rotation_net(self, features: Array, voxels: Array) -> tuple[Array, Array, Array]:
        pooled = features.mean(0)
        betas, camera = (
            self.linear(f"rotation_net.{name}", pooled) for name in ("shape", "camera")
        )
        reduced = self.conv_norm("rotation_net.reduce", features)
        side = round(len(reduced) ** 0.5)
        grid = reduced.reshape(side, side, -1)
        tokens = np.stack([bilinear(grid, x, y) for x, y, _ in voxels])
        tokens = tokens + self.w["rotation_net.position"]
        for k in self.layers("rotation_net.blocks"):
            tokens = self.self_block(f"rotation_net.blocks.{k}", tokens)
        read = np.concatenate(
            [np.append(t, place) for t, place in zip(tokens, voxels, strict=True)]
        )
        six = [self.linear(f"rotation_net.{name}", read) for name in ("root", "pose")]
        axis_angle = [gram_schmidt(row) for row in np.concatenate(six).reshape(16, 6)]
        return np.stack(axis_angle), betas, camera

    def fuse(self, name: str, first: Array, second: Array) -> Array:
        w = self.w
        join = self.linear(f"{name}.join", np.hstack([first, second]))
        similar = np.vstack([w[f"{name}.class_token"], first, second])
        similar = similar + w[f"{name}.similar_position"]
        for k in self.layers(f"{name}.similar"):
            similar = self.self_block(f"{name}.similar.{k}", similar)
        keys = self.linear(f"{name}.similar_out", similar) + w[f"{name}.key_position"]
        query = join + w[f"{name}.join_position"]
        for k in self.layers(f"{name}.cross"):
            block = f"{name}.cross.{k}"
            normed = self.norm(f"{block}.norm_key", keys)
            query = query + self.attend(block, self.norm(f"{block}.norm_query", query), normed)
            query = query + self.mlp(block, query)
        return self.linear(f"{name}.out", query)

    def self_block(self, block: str, x: Array) -> Array:
        y = self.norm(f"{block}.norm_attention", x)
        x = x + self.attend(block, y, y)
        return np.asarray(x + self.mlp(block, x))

    def attend(self, block: str, x: Array, context: Array) -> Array:
        q, k, v = (
            self.w[f"{block}.attention.{part}.weight"] @ source.T  # (C, tokens)
            for part, source in (("query", x), ("key", context), ("value", context))
        )
        width = len(q) // self.heads
        rows = []
        for head in range(self.heads):
            own = slice(head * width, (head + 1) * width)
            score = q[own].T @ k[own] / np.sqrt(width)  # (N, M)
            share = np.exp(score - score.max(1, keepdims=True))
            rows.append(share / share.sum(1, keepdims=True) @ v[own].T)
        return self.linear(f"{block}.attention.out", np.hstack(rows))

    def mlp(self, block: str, x: Array) -> Array:
        hidden = self.linear(f"{block}.mlp.0", self.norm(f"{block}.norm_mlp", x))
        hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        return self.linear(f"{block}.mlp.2", hidden)

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPS)
        return np.asarray(scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])

    def linear(self, name: str, x: Array) -> Array:
        bias = self.w.get(f"{name}.bias", np.zeros(()))
        return np.asarray(x @ self.w[f"{name}.weight"].T + bias)

    def pointwise(self, name: str, cells: Array) -> Array:
        return np.asarray(cells @ self.w[f"{name}.weight"][:, :, 0, 0].T + self.w[f"{name}.bias"])

    def conv_norm(self, name: str, cells: Array) -> Array:
        mean, var = self.w[f"{name}.1.running_mean"], self.w[f"{name}.1.running_var"]
        x = (self.pointwise(f"{name}.0", cells) - mean) / np.sqrt(var + EPS)
        return np.maximum(0, x * self.w[f"{name}.1.weight"] + self.w[f"{name}.1.bias"])

    def layers(self, name: str) -> range:
        depth = len(name.split("."))
        found = {int(k.split(".")[depth]) for k in self.w if k.startswith(f"{name}.")}
        return range(len(found))


def bilinear(grid: Array, x: float, y: float) -> Array:
    """The row between four cells of a grid (G, G, C)."""
    value = np.zeros(grid.shape[-1])
    for row in range(len(grid)):
        for column in range(len(grid)):
            value += max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column)) * grid[row, column]
    return value


def gram_schmidt(six: Array) -> Array:
    """Six numbers, alternating between two columns, to an axis-angle (3,)."""
    a, b = six[0::2], six[1::2]
    first = a / np.linalg.norm(a)
    second = b - first * (first @ b)
    second = second / np.linalg.norm(second)
    matrix = np.stack([first, second, np.cross(first, second)], 1)
    return np.asarray(Rotation.from_matrix(matrix).as_rotvec())

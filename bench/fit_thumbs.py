"""Fits the peaks of `handpose/data/gesture_poses.csv` so that what should touch touches.

    python -m bench.fit_thumbs data/mano            # prints each row before and after
    python -m bench.fit_thumbs data/mano --write fist

Starts from the table and stays near it. A gesture's `touches` are pulled together, whatever runs
through something else is pushed out, angles stay whole degrees within what hands can do. The
surface is the hand model's own: heights of vertices above the nearest vertex of another segment.
Fitted on the stand-in hand; run it again when that changes shape. Look at the result:
`handpose gestures`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares

from handpose.hand.articulation import (
    ANGLES,
    COLUMNS,
    DIGITS,
    Articulation,
    GesturePose,
    read_gesture_poses,
)
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, MANO_JOINTS, inverse

Array = NDArray[np.floating[Any]]
Ids = NDArray[np.intp]

LIMITS_DEG = {
    "MCP": (-20, 94),
    "PIP": (-5, 110),
    "DIP": (-5, 70),
    "abduction": (-16, 22),
    "oppose": (-20, 75),
    "spread": (-32, 32),
    "twist": (-30, 45),
    "IP": (-16, 82),
}
SLACK_DEG = {"abduction": 1.5, "DIP": 3.0}
"""How far an angle may leave the table at the cost of one: FINGER_DEG unless told here."""
FINGER_DEG, THUMB_DEG, PINCHING_DEG = 4.0, 9.0, 8.0
FLESH_MM = 1.0
"""What may sink in at no cost."""
WEB_MM = 24.0
"""Parts this near in the rest pose are joined by skin: their overlap is skinning, not contact."""
REACH_MM = 14.0
"""Beyond this the side of the nearest vertex says nothing."""
STEP_DEG = 0.4


class Flesh:
    """The hand model's surface, cut into the segments of MANO's joints; mm."""

    def __init__(self, mano: Mano) -> None:
        """In the rest pose."""
        self._mano = mano
        self._faces = mano.faces.numpy()  # (F, 3)
        self._around = np.zeros((778, len(self._faces)), np.float32)  # 1: the face has the vertex
        self._around[self._faces.T, np.arange(len(self._faces))] = 1
        self.segment = mano.layer.lbs_weights.numpy().argmax(1)  # (778,)
        flat = np.zeros((1, 15, 3))
        self.rest, joints = (part[0] for part in self._bend(flat))
        self._joints = joints[inverse(FROM_MANO_AND_TIPS)][:16]
        self._articulation = Articulation(self._joints / 1000)
        self.normals = self.normals_of(self.rest[None])[0]
        self.movers, self.others = self._pairs()

    def _bend(self, pose: Array) -> tuple[Array, Array]:
        """Vertices (N, 778, 3) and joints (N, 21, 3): absolute axis-angle (N, 15, 3)."""
        rotations = axis_angle_to_matrix(torch.tensor(pose, dtype=torch.float32))
        root, betas = torch.eye(3).expand(len(pose), 3, 3), torch.zeros(len(pose), 10)
        with torch.no_grad():
            hand = self._mano(root, rotations, betas)
        return 1000 * hand.vertices.numpy(), 1000 * hand.joints.numpy()

    def posed(self, angles: Array) -> tuple[Array, Array]:
        """Vertices and normals (N, 778, 3): angles (N, 21) degrees."""
        vertices, _ = self._bend(self._articulation.pose(angles))
        return vertices, self.normals_of(vertices)

    def normals_of(self, vertices: Array) -> Array:
        """Unit normals (N, 778, 3)."""
        a, b, c = (vertices[:, self._faces[:, k]] for k in range(3))
        sums = np.asarray(self._around @ np.cross(b - a, c - a))  # (N, 778, 3)
        return _unit(sums)

    def _pairs(self) -> tuple[Ids, NDArray[np.bool_]]:
        """Vertices that may run into something (M,), and into which (M, 778)."""
        names = np.array([MANO_JOINTS[s] for s in self.segment])
        digit = np.array([name.split("_")[0] for name in names])
        outer = np.char.endswith(names, "_2") | np.char.endswith(names, "_3")
        movers = np.flatnonzero(outer)
        apart = np.linalg.norm(self.rest[movers][:, None] - self.rest, axis=-1)  # (M, 778)
        free = np.where(outer, apart > 3, apart > WEB_MM)
        return movers, (digit[movers][:, None] != digit) & free

    def patch(self, name: str, other: str) -> Ids:
        """The vertices of a segment that can touch `other`: its pad, its back, or all of it."""
        ids = np.flatnonzero(self.segment == MANO_JOINTS.index(name))
        at = dict(zip(MANO_JOINTS, self._joints, strict=True))
        across = at["index_1"] - at["pinky_1"]
        palmar = _unit(np.cross(across, at["middle_1"] - at["wrist"]))
        if name == "wrist":
            return np.asarray(ids[self.normals[ids] @ palmar > 0.4])
        if "thumb_3" not in (name, other):
            return ids
        digit, level = name.split("_")
        bone = at[f"{digit}_3"] - at[f"{digit}_2"]
        pad = palmar - _unit(across) * np.tan(np.radians(55)) if digit == "thumb" else palmar
        facing = self.normals[ids] @ _unit(pad - (pad @ _unit(bone)) * _unit(bone))
        if level == "2":
            return np.asarray(ids[facing < -0.5])
        along = (self.rest[ids] - at[f"{digit}_3"]) @ _unit(bone)
        return np.asarray(ids[(facing > 0.5) & (along > 0.35 * along.max())])


def residuals(flesh: Flesh, pose: GesturePose) -> Callable[[Array], Array]:
    """What is wrong with angles (N, 21) -> (N, R); the sum of squares is to be small."""
    touches = [(flesh.patch(a, b), flesh.patch(b, a)) for a, b in pose.touches]
    pinching = {b.split("_")[0] for pair in pose.touches for b in pair if b.endswith("_3")}
    slack = np.array([_slack(name, pinching) for name in ANGLES])

    def wrong(angles: Array) -> Array:
        vertices, normals = flesh.posed(angles)
        parts = [0.5 * (angles - pose.angles) / slack]
        sunk = [_sunk(flesh, v, n) for v, n in zip(vertices, normals, strict=True)]
        parts.append(1.1 * np.minimum(np.stack(sunk) + FLESH_MM, 0))
        for one, other in touches:
            height = _heights(vertices, normals, one, other)  # (N, A)
            near = -0.7 * np.log(np.exp(-np.clip(height, -15, 60) / 0.7).mean(1) + 1e-30)
            parts.append((height.min(1) + near)[:, None])
            middles = vertices[:, one].mean(1) - vertices[:, other].mean(1)
            parts.append(0.1 * middles)  # which place of the two
        return np.concatenate(parts, 1)

    return wrong


def _slack(name: str, pinching: set[str]) -> float:
    digit, angle = name.split(".")
    if digit == "thumb":
        return THUMB_DEG
    if digit in pinching:
        return PINCHING_DEG if angle != "abduction" else 5.0
    return SLACK_DEG.get(angle, FINGER_DEG)


def _sunk(flesh: Flesh, vertices: Array, normals: Array) -> Array:
    """Heights (M,) of the movers above what they might run into."""
    offset = vertices[flesh.movers][:, None] - vertices  # (M, 778, 3)
    distance = np.where(flesh.others, np.linalg.norm(offset, axis=-1), np.inf)
    return _height(offset, distance, normals)


def _heights(vertices: Array, normals: Array, one: Ids, other: Ids) -> Array:
    """Heights of the vertices `one` above `other`: (N, A)."""
    rows = []
    for v, n in zip(vertices, normals, strict=True):
        offset = v[one][:, None] - v[other]  # (A, B, 3)
        rows.append(_height(offset, np.linalg.norm(offset, axis=-1), n[other]))
    return np.stack(rows)


def _height(offset: Array, distance: Array, normals: Array) -> Array:
    """Signed distance (A,) to the nearest of B vertices, negative below it."""
    nearest = distance.argmin(1)
    row = np.arange(len(nearest))
    height = np.einsum("ak,ak->a", offset[row, nearest], normals[nearest])
    away = distance[row, nearest]
    return np.where((height > 0) | (away > REACH_MM), away, height)


def fit(flesh: Flesh, pose: GesturePose) -> Array:
    """Better angles (21,) in whole degrees."""
    wrong = residuals(flesh, pose)
    both = STEP_DEG * np.concatenate([np.eye(len(ANGLES)), -np.eye(len(ANGLES))])

    def slope(x: Array) -> Array:
        ahead, behind = np.split(wrong(x + both), 2)
        return np.asarray((ahead - behind).T / (2 * STEP_DEG))

    low, high = np.array([LIMITS_DEG[name.split(".")[1]] for name in ANGLES], float).T
    start = np.clip(pose.angles, low + 0.1, high - 0.1)
    found = least_squares(lambda x: wrong(x[None])[0], start, slope, (low, high), max_nfev=40)
    return _whole(wrong, np.round(found.x))


def _whole(wrong: Callable[[Array], Array], angles: Array) -> Array:
    """Whole degrees from which no single degree leads to something better."""
    steps = np.concatenate([np.eye(len(ANGLES)), -np.eye(len(ANGLES))])
    while True:
        trials = np.concatenate([angles[None], angles + steps])
        cost = np.square(wrong(trials)).sum(1)
        if cost.argmin() == 0:
            return angles
        angles = trials[cost.argmin()]


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _cells(angles: Array) -> dict[str, str]:
    """The columns of the table that hold these angles."""
    values = iter(angles + 0.0)  # no minus before a zero
    return {d: "/".join(f"{next(values):g}" for _ in names) for d, names in DIGITS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mano", help="folder with MANO_RIGHT.npz")
    parser.add_argument("gestures", nargs="*", help="default: all that touch something")
    parser.add_argument("--write", action="store_true", help="into the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    flesh, changed = Flesh(Mano.load(args.mano)), {}
    for pose in read_gesture_poses():
        if pose.gesture in args.gestures or (pose.touches and not args.gestures):
            changed[pose.gesture] = _cells(fit(flesh, pose))
            print(f"{pose.gesture}\n  {_cells(pose.angles)}\n  {changed[pose.gesture]}")
    if args.write:
        table = Path(str(resources.files("handpose.data") / "gesture_poses.csv"))
        rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
        lines = [COLUMNS, *((r | changed.get(r["gesture"], {})).values() for r in rows)]
        table.write_text("".join(",".join(line) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()

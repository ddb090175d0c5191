"""Fits the peaks of `handpose/synthetic/gesture_poses.csv` so that what should touch touches.

    python -m bench.fit_thumbs data/mano            # prints each row before and after
    python -m bench.fit_thumbs data/mano --write fist
    python -m bench.fit_thumbs data/anny --table FILE --starts 2 --write

Starts from the table and stays near it, and moves only the thumb and fingers whose tips
should touch. A gesture's `touches` are pulled together, parts that intersect are pushed apart,
angles stay whole degrees within what hands can do. Heights are those of vertices above the
nearest vertex of another segment. The project's table was fitted on the stand-in hand, and Anny's
hand has one of its own, fitted from two starts (`--starts 2`); run this again when a hand changes
shape, and look at the result: `handpose gestures`.
"""

from __future__ import annotations

import argparse
import csv
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import least_squares

from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, MANO_JOINTS, inverse
from handpose.synthetic.articulation import (
    ANGLES,
    COLUMNS,
    DIGITS,
    THUMB_ROLL,
    Articulation,
    GesturePose,
    read_gesture_poses,
)

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
SLACK_DEG = {"abduction": 5.0}
"""How far an angle may leave the table at the cost of one, if not OTHERWISE_DEG."""
OTHERWISE_DEG = 10.0
FLESH_MM = 1.0
"""Penetration that costs nothing."""
WEB_MM = 24.0
"""Parts this near in the rest pose are joined by skin: their overlap is skinning, not contact."""
REACH_MM = 14.0
"""Beyond this the side of the nearest vertex is meaningless."""
STEP_DEG = 0.4
OTHER_STARTS = ((8.0, 6.0, 0.0, 0.0, 0.0),)
"""Added to the thumb's angles, whose last they are: it comes from further out."""


class Flesh:
    """The hand model's surface, cut into the segments of MANO's joints; mm."""

    def __init__(self, mano: Mano) -> None:
        """In the rest pose."""
        self._mano = mano
        self._faces = mano.faces.numpy()  # (F, 3)
        corner = self._faces.ravel()
        ones = np.ones(len(corner), np.float32)
        face = np.repeat(np.arange(len(self._faces)), 3)
        count = len(mano.layer.v_template)
        self._around = sparse.csr_matrix((ones, (corner, face)), (count, len(self._faces)))
        self.segment = mano.layer.lbs_weights.numpy().argmax(1)  # (V,)
        flat = np.zeros((1, 15, 3))
        self.rest, joints = (part[0] for part in self._bend(flat))
        self._joints = joints[inverse(FROM_MANO_AND_TIPS)][:16]
        self._articulation = Articulation(self._joints / 1000)
        self.normals = self.normals_of(self.rest[None])[0]
        self.movers, self.others = self._pairs()

    def _bend(self, pose: Array) -> tuple[Array, Array]:
        """Vertices (N, V, 3) and joints (N, 21, 3): absolute axis-angle (N, 15, 3)."""
        rotations = axis_angle_to_matrix(torch.tensor(pose, dtype=torch.float32))
        root, betas = torch.eye(3).expand(len(pose), 3, 3), torch.zeros(len(pose), 10)
        with torch.no_grad():
            hand = self._mano(root, rotations, betas)
        return 1000 * hand.vertices.numpy(), 1000 * hand.joints.numpy()

    def posed(self, angles: Array) -> tuple[Array, Array]:
        """Vertices and normals (N, V, 3): angles (N, 21) degrees."""
        vertices, _ = self._bend(self._articulation.pose(angles))
        return vertices, self.normals_of(vertices)

    def normals_of(self, vertices: Array) -> Array:
        """Unit normals (N, V, 3)."""
        a, b, c = (vertices[:, self._faces[:, k]] for k in range(3))
        faces = np.cross(b - a, c - a).swapaxes(0, 1)  # (F, N, 3)
        sums = self._around @ faces.reshape(len(faces), -1)  # (V, 3 N)
        return _unit(sums.reshape(len(sums), -1, 3).swapaxes(0, 1))

    def _pairs(self) -> tuple[Ids, NDArray[np.bool_]]:
        """Vertices that may run into something (M,), and into which (M, V)."""
        names = np.array([MANO_JOINTS[s] for s in self.segment])
        digit = np.array([name.split("_")[0] for name in names])
        outer = np.char.endswith(names, "_2") | np.char.endswith(names, "_3")
        movers = np.flatnonzero(outer)
        apart = np.linalg.norm(self.rest[movers][:, None] - self.rest, axis=-1)  # (M, V)
        free = np.where(outer, apart > 3, apart > WEB_MM)
        return movers, (digit[movers][:, None] != digit) & free

    def part(self, name: str) -> Ids:
        """The vertices of a segment."""
        return np.flatnonzero(self.segment == MANO_JOINTS.index(name))

    def inner_side(self, name: str) -> Ids:
        """Where a thumb would touch: the palm, the back of a bent finger, the pad of a tip."""
        ids, at = self.part(name), dict(zip(MANO_JOINTS, self._joints, strict=True))
        radial = at["index_1"] - at["pinky_1"]
        palmar = _unit(np.cross(radial, at["middle_1"] - at["wrist"]))
        if name == "wrist":
            return np.asarray(ids[self.normals[ids] @ palmar > 0.4])
        digit, level = name.split("_")
        bone = _unit(at[f"{digit}_3"] - at[f"{digit}_2"])
        pad = palmar - np.tan(THUMB_ROLL) * _unit(radial) if digit == "thumb" else palmar
        facing = self.normals[ids] @ _unit(pad - (pad @ bone) * bone)
        if level == "2":
            return np.asarray(ids[facing < -0.5])
        along = (self.rest[ids] - at[name]) @ bone
        return np.asarray(ids[(facing > 0.5) & (along > 0.35 * along.max())])


class Fit:
    """One gesture's free angles: those of the thumb, and of fingers whose tip should touch."""

    def __init__(self, flesh: Flesh, pose: GesturePose) -> None:
        """Nothing is moved yet."""
        self._flesh = flesh
        self._pose = pose
        sides = [flesh.part] * len(pose.touches)
        if pose.touches and "thumb_3" in pose.touches[0]:
            sides[0] = flesh.inner_side  # the first touch is the gesture's own
        self._touches = [(f(a), f(b)) for f, (a, b) in zip(sides, pose.touches, strict=True)]
        tips = {name.split("_")[0] for pair in pose.touches for name in pair if name[-1] == "3"}
        self._free = np.flatnonzero([name.split(".")[0] in tips | {"thumb"} for name in ANGLES])
        kinds = [ANGLES[k].split(".")[1] for k in self._free]
        self._low, self._high = np.array([LIMITS_DEG[kind] for kind in kinds], float).T
        self._slack = np.array([SLACK_DEG.get(kind, OTHERWISE_DEG) for kind in kinds])

    def angles(self, starts: int = 1) -> Array:
        """The best whole degrees, (21,), from the table and from `OTHER_STARTS`."""
        own = self._pose.angles[self._free]
        moved = [own + np.pad(np.array(s), (len(own) - len(s), 0)) for s in OTHER_STARTS]
        found = [self._from(start) for start in [own, *moved][:starts]]
        worst = [float(np.square(self._wrong(x[None])).sum()) for x in found]
        return np.asarray(self._all(found[int(np.argmin(worst))][None])[0])

    def _from(self, start: Array) -> Array:
        """The best whole degrees of the free angles near a start: (K,)."""
        count = len(self._free)
        both = STEP_DEG * np.concatenate([np.eye(count), -np.eye(count)])

        def slope(x: Array) -> Array:
            ahead, behind = np.split(self._wrong(x + both), 2)
            return np.asarray((ahead - behind).T / (2 * STEP_DEG))

        found = least_squares(
            lambda x: self._wrong(x[None])[0],
            np.clip(start, self._low + 0.1, self._high - 0.1),
            slope,
            (self._low, self._high),
            max_nfev=60,
        )
        return self._whole(np.round(found.x))

    def _all(self, free: Array) -> Array:
        """Free angles (N, K) among the others: (N, 21)."""
        angles = np.tile(self._pose.angles, (len(free), 1))
        angles[:, self._free] = free
        return np.asarray(angles)

    def _wrong(self, free: Array) -> Array:
        """What is wrong with free angles (N, K): (N, R), the sum of squares is to be small."""
        vertices, normals = self._flesh.posed(self._all(free))
        left = (free - self._pose.angles[self._free]) / self._slack
        sunk = [_sunk(self._flesh, v, n) for v, n in zip(vertices, normals, strict=True)]
        parts = [0.5 * left, np.minimum(np.stack(sunk) + FLESH_MM, 0)]
        for one, other in self._touches:
            height = _heights(vertices, normals, one, other)  # (N, A)
            nearest = -np.log(np.exp(-np.clip(height, -15, 60)).mean(1) + 1e-30)  # softly
            middles = vertices[:, one].mean(1) - vertices[:, other].mean(1)  # (N, 3)
            parts += [(height.min(1) + nearest)[:, None], 0.05 * middles]
        return np.concatenate(parts, 1)

    def _whole(self, free: Array) -> Array:
        """Whole degrees from which no single degree leads to something better."""
        steps = np.concatenate([np.eye(len(free)), -np.eye(len(free))])
        while True:
            trials = np.concatenate([free[None], free + steps])
            best = int(np.square(self._wrong(trials)).sum(1).argmin())
            if best == 0:
                return free
            free = trials[best]


def _sunk(flesh: Flesh, vertices: Array, normals: Array) -> Array:
    """Heights (M,) of the movers above what they might run into."""
    movers = vertices[flesh.movers]  # (M, 3)
    squares = (
        np.square(movers).sum(1)[:, None] + np.square(vertices).sum(1) - 2 * movers @ vertices.T
    )
    nearest = np.where(flesh.others, squares, np.inf).argmin(1)  # (M,)
    offset = movers - vertices[nearest]
    return _signed(offset, np.linalg.norm(offset, axis=1), normals[nearest])


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
    return _signed(offset[row, nearest], distance[row, nearest], normals[nearest])


def _signed(offset: Array, away: Array, normals: Array) -> Array:
    """Distances (A,) over offsets (A, 3) from points with normals (A, 3), negative below them."""
    height = np.einsum("ak,ak->a", offset, normals)
    return np.asarray(np.where((height > 0) | (away > REACH_MM), away, height))


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
    parser.add_argument(
        "--table", type=Path, help="of this hand model, read and written; default: the project's"
    )
    parser.add_argument("--starts", type=int, choices=(1, 2), default=1)
    parser.add_argument("--write", action="store_true", help="into the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    flesh, changed = Flesh(Mano.load(args.mano)), {}
    start = args.table if args.table and args.table.is_file() else None
    for pose in read_gesture_poses(start):
        if pose.gesture in args.gestures or (pose.touches and not args.gestures):
            changed[pose.gesture] = _cells(Fit(flesh, pose).angles(args.starts))
            print(f"{pose.gesture}\n  {_cells(pose.angles)}\n  {changed[pose.gesture]}")
    if args.write:
        own = Path(str(resources.files("handpose.synthetic") / "gesture_poses.csv"))
        table = args.table or own
        old = table if table.is_file() else own
        rows = list(csv.DictReader(old.read_text("utf-8").splitlines()))
        lines = [COLUMNS, *((r | changed.get(r["gesture"], {})).values() for r in rows)]
        table.write_text("".join(",".join(line) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()

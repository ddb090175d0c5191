"""Made-up gestures: maps of a few, and samples.parquet with their joints, without a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.interhand.folders import NAMING
from pipeline.labels.edit import GestureMapFile
from stages.paths import SAMPLES

Array = NDArray[np.float64]


def small_map(folder: Path, classes: Mapping[str, str]) -> GestureMapFile:
    """A map of these gestures (name -> fine class, each in a coarse class of its own name)."""
    names = sorted(set(classes.values()))
    lines = ["folder,hand,gesture,coarse_id,coarse,fine_id,fine,twin"]
    for side, hand in enumerate(("right", "left")):
        for k, (gesture, fine) in enumerate(classes.items()):
            number = names.index(fine) + side * len(names)
            own, twin = (f"0{s}{k:02}_{gesture}" for s in (side, 1 - side))
            lines.append(f"{own},{hand},{gesture},{number},{fine},{number},{fine},{twin}")
    path = folder / "map.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return GestureMapFile.read(path, NAMING)


def flat_hand() -> Array:
    """(21, 3) m: the joints of a right hand with straight fingers, somewhat bent to be 3D."""
    joints = [np.zeros(3)]
    for x, y in ((45, 25), (25, 90), (3, 95), (-18, 88), (-36, 78)):
        base = np.array([x, y, 0.0])
        joints += [base + step * np.array([x / 90, 1, 0.1]) for step in (0, 32, 54, 74)]
    return np.array(joints) / 1000


def write_samples(
    root: Path, poses: Mapping[str, Array], *, people: int = 5, frames: int = 8, seed: int = 0
) -> None:
    """samples.parquet: each folder by each person, turned every way, two cameras a frame.

    Args:
        root: of the clone.
        poses: (21, 3) m of a right hand, by folder; folders 01xx show it mirrored.
        people: each with a size, and a manner of each gesture, of their own.
        frames: of each sequence.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        size = rng.uniform(0.8, 1.2)
        for folder, pose in poses.items():
            own = pose + rng.normal(0, 0.002, pose.shape)
            for frame in range(frames):
                joints = size * (own + rng.normal(0, 0.002, pose.shape))
                left = folder.startswith("01")
                joints = joints * (-1 if left else 1, 1, 1)
                for camera in ("a", "b"):
                    turn = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
                    rows.append((person, folder, frame, camera, left, joints @ turn.T + (0, 0, 1)))
    persons, folders, numbers, cameras, lefts, joints_cam = zip(*rows, strict=True)
    flat = np.array(joints_cam, np.float32).reshape(-1)
    table = pa.table(
        {
            "sample_id": np.arange(len(rows)),
            "session": persons,
            "subject": persons,
            "sequence": folders,
            "camera": cameras,
            "frame": numbers,
            "kind": ["gesture"] * len(rows),
            "split": ["test"] * len(rows),
            "is_left": lefts,
            "joints_cam": pa.FixedSizeListArray.from_arrays(pa.array(flat), 63),
            "joint_valid": pa.FixedSizeListArray.from_arrays(
                pa.array(np.ones(21 * len(rows), bool)), 21
            ),
        }
    )
    path = root / SAMPLES
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def different_poses(gestures: int, seed: int = 1) -> list[Array]:
    """(21, 3) m each: hands whose joints beyond the knuckles lie 15 mm apart."""
    rng = np.random.default_rng(seed)
    beyond = [j for j in range(21) if j not in (0, 5, 9, 13, 17)]
    found = []
    for _ in range(gestures):
        pose = flat_hand()
        pose[beyond] += rng.normal(0, 0.015, (len(beyond), 3))
        found.append(pose)
    return found

"""Photos and samples for the benches: of InterHand2.6M's image and file size, without hands.

512 x 334 or 334 x 512 px, 4:2:0, about 19 KB: soft background, a textured blob where a hand would
be. The real ones are probably progressive, which takes twice as long to decode.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SIDES = (512, 334)
BOX_PX = 150.0
"""Longer side of a hand's box; with `box_scale` 1.4 and a third more as border, 280 px are cut."""


def photo(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A picture (height, width, 3)."""

    def noise(sigma: float, spread: float) -> NDArray[np.float32]:
        raw = rng.standard_normal((height, width, 3)).astype(np.float32)
        soft = cv2.GaussianBlur(raw, (0, 0), sigma)
        return np.asarray(soft * (spread / soft.std()), np.float32)

    v, u = np.indices((height, width))
    distance = np.hypot(u - width / 2, v - height / 2)[..., None]
    blob = np.clip((100 - distance) / 20, 0, 1)  # (H, W, 1)
    image = 60 + noise(20, 15) + noise(0.8, 1.0) + blob * (70 + noise(2, 12))
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def write_photos(folder: Path, count: int, *, progressive: bool, seed: int = 0) -> list[Path]:
    """JPEGs in the layout of the data set, half of them portrait."""
    rng = np.random.default_rng(seed)
    camera = folder / "images" / "train" / "Capture0" / "0003_fake_gun" / "cam400026"
    camera.mkdir(parents=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    paths = []
    for number in range(count):
        width, height = SIDES if number % 2 else SIDES[::-1]
        paths.append(camera / f"image{number:05d}.jpg")
        cv2.imwrite(str(paths[-1]), photo(rng, height, width), options)
    return paths


def samples(folder: Path, paths: list[Path], count: int, seed: int = 0) -> pa.Table:
    """`count` rows of samples.parquet that cycle through these photos."""
    rng = np.random.default_rng(seed)

    def floats(size: int, centre: float, spread: float) -> pa.Array:
        values = rng.normal(centre, spread, count * size).astype(np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(values), size)

    sizes = [SIDES if (n % len(paths)) % 2 else SIDES[::-1] for n in range(count)]
    boxes = [
        [w / 2 - BOX_PX / 2 + dx, h / 2 - BOX_PX / 2 + dy, BOX_PX, 0.8 * BOX_PX]
        for (w, h), (dx, dy) in zip(sizes, rng.uniform(-15, 15, (count, 2)), strict=True)
    ]
    return pa.table(
        {
            "sample_id": np.arange(count),
            "split": ["train"] * count,
            "session": [0] * count,
            "subject": [4] * count,
            "sequence": ["0003_fake_gun"] * count,
            "kind": ["gesture"] * count,
            "camera": ["400026"] * count,
            "frame": np.arange(count),
            "image": [str(paths[n % len(paths)].relative_to(folder)) for n in range(count)],
            "width": [w for w, _ in sizes],
            "height": [h for _, h in sizes],
            "bbox": pa.array(boxes, pa.list_(pa.float32(), 4)),
            "K": pa.array(
                [[1260, 0, 256, 0, 1260, 167, 0, 0, 1]] * count, pa.list_(pa.float32(), 9)
            ),
            "joints_cam": floats(63, 0.8, 0.05),
            "joint_valid": [[True] * 21] * count,
            "has_mano": [True] * count,
            "global_orient": floats(3, 0, 1),
            "hand_pose": floats(45, 0, 0.4),
            "betas": floats(10, 0, 1),
            "is_left": [n % 2 == 0 for n in range(count)],
        }
    )

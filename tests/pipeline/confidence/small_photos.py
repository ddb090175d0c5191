"""A few synthetic photos and their samples.parquet, with what `handpose confidence` reads."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handpose.hand.camera import project
from handpose.hand.mano import Mano
from pipeline.release.shifted_sets import SETS
from tests.synthetic.specs import make_spec

SPLITS = ("train", "validation", "test")


def write_small_photos(samples: Path, photos: Path, mano: Mano) -> None:
    """Six people's photos, the splits taking turns; hands are small, so that windows have room."""
    spec = SETS[0].spec(make_spec(image_px=(120, 96), filled=(0.25, 0.3)), people=6, images=36)
    rows = []
    (photos / "images").mkdir(parents=True)
    for k, photo in enumerate(SETS[0].photographs(spec, mano)):
        name = f"images/{k:03d}.jpg"
        cv2.imwrite(str(photos / name), photo.image[..., ::-1])
        height, width = photo.image.shape[:2]
        uv = np.clip(project(photo.joints_cam, photo.K), 0, (width, height))
        rows.append(
            {
                "subject": photo.subject,
                "split": SPLITS[photo.subject % len(SPLITS)],
                "image": name,
                "width": width,
                "height": height,
                "kind": "gesture",
                "bbox": [*uv.min(0), *np.ptp(uv, axis=0)],
                "K": photo.K.ravel().tolist(),
                "joints_cam": photo.joints_cam.ravel().tolist(),
                "joint_valid": [True] * 21,
                "is_left": photo.is_left,
            }
        )
    samples.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), samples)

"""`handpose data rejects`: how many annotations were rejected for which reason, and one of each.

`ingest` rejects most of them; `shard` rejects those whose photo cannot be cropped, because it was
damaged since or was not checked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from handpose.data.photo import END_OF_IMAGE
from handpose.errors import HandPoseError
from handpose.render.tiles import Tile, draw_page
from stages.params import Params
from stages.paths import REJECTS, SHARD_REJECTS

COLUMNS_READ = ["image", "reason", "detail"]
TEXTS = pa.schema(dict.fromkeys(COLUMNS_READ, pa.string()))

PICTURE_PX = 240
COLUMNS = 4
LOOKED_AT = 200
"""Annotations of one reason that are searched for a photo that can be shown."""

MEANING = {
    "two_hands": "both hands are annotated; this pipeline is for one",
    "hand_type_not_valid": "nobody was sure which hand it is",
    "hand_contradicts_folder": "another hand than the folder's number stands for",
    "too_few_joints": "fewer valid joints in this view than ingest.min_valid_joints",
    "nan_in_joints": "a valid joint is not a number",
    "behind_camera": "a valid joint is behind the camera",
    "empty_box": "the valid joints span no area inside the photo",
    "no_camera": "its camera is not in the camera file",
    "nan_in_camera": "its camera has a value that is not a number",
    "no_joint_3d": "its frame is not in the joint_3d file",
    "nan_in_mano": "its MANO fit has a value that is not a number",
    "malformed": "something is missing, or not of its type",
    "dangling_image_id": "it names an image that is not listed",
    "duplicate_image_id": "several images have its image's id",
    "duplicate_annotation_id": "an annotation before it has the same id",
    "image_missing": "its photo is not there",
    "image_unreadable": "its photo may not be read, or the disk fails",
    "image_truncated": "its photo ends early",
    "image_undecodable": "its photo is not a picture",
    "image_black": "its photo is black",
    "image_size": "its photo has another size than annotated",
}
"""An explanation of each reason, for people."""


class RejectsError(HandPoseError):
    """There are no rejects to draw."""


def rejects(params: Params, out: Path) -> list[str]:
    """Draw one annotation of each reason into a PNG file; returns lines with the counts.

    Raises:
        RejectsError: `ingest` has not run.
    """
    if not REJECTS.is_file():
        raise RejectsError(f"{REJECTS}: not found; run `dvc repro ingest` first")
    table, sources = pq.read_table(REJECTS, columns=COLUMNS_READ), str(REJECTS)
    if SHARD_REJECTS.is_file() and len(not_cut := _not_cut()):
        table, sources = pa.concat_tables([table, not_cut]), f"{REJECTS} and {SHARD_REJECTS}"
    if not len(table):
        return ["no annotation was rejected; nothing to draw"]
    counts = table["reason"].value_counts().to_pylist()
    by_count = sorted(((entry["counts"], entry["values"]) for entry in counts), reverse=True)
    root = Path(params.data.root)
    tiles = [_tile(table, reason, count, root) for count, reason in by_count]
    title = f"{len(table):,} annotations are not used: one of each reason"
    draw_page(tiles, out, size=(PICTURE_PX, PICTURE_PX), columns=COLUMNS, title=title)
    lines = [f"{count:>9,} {reason:<24} {MEANING.get(reason, '')}" for count, reason in by_count]
    return [*lines, f"all are in {sources}, with their details; wrote {out}"]


def _not_cut() -> pa.Table:
    """The rejects of `shard`, as rows of COLUMNS_READ."""
    return pa.csv.read_csv(SHARD_REJECTS).select(COLUMNS_READ).cast(TEXTS)


def _tile(table: pa.Table, reason: str, count: int, root: Path) -> Tile:
    """One annotation of this reason, if possible one whose photo can be read."""
    rows = table.filter(pc.equal(table["reason"], reason)).slice(0, LOOKED_AT).to_pylist()
    photos = ((row, _photo(row, root)) for row in rows)
    row, photo = next((some for some in photos if some[1] is not None), (rows[0], None))
    meaning, detail = MEANING.get(reason, ""), row["detail"] or ""
    lines = [meaning, "" if detail == meaning else detail]
    if row["image"] and row["image"] not in detail:
        lines.append(row["image"])
    return Tile(photo, f"{reason}: {count:,}", lines)


def _photo(row: Mapping[str, Any], root: Path) -> NDArray[np.uint8] | None:
    """Its photo, or the part of it that can be decoded; None if there is none."""
    if not row["image"]:
        return None
    path = root / row["image"]
    if not path.is_file():
        return None
    content = np.frombuffer(path.read_bytes() + END_OF_IMAGE, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    return None if image is None else np.asarray(image, np.uint8)

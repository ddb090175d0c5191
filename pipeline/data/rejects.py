"""`handpose data rejects`: how many annotations were rejected for which reason, and one of each.

`ingest` rejects most of them; `shard` rejects those whose photo cannot be cropped, because it was
damaged since or was not checked before. Hands that are used without their MANO fit are shown too.
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

from handpose.counted import counted
from handpose.data.annotation_table import FIT_FAULTS
from handpose.data.photo import END_OF_IMAGE
from handpose.errors import HandPoseError
from handpose.render.tiles import Tile, draw_page
from pipeline.data.contradiction import draw_contradiction
from stages.params import Params
from stages.paths import CONTRADICTIONS, REJECTS, SHARD_REJECTS, require

COLUMNS_READ = ["image", "reason", "detail"]
TEXTS = pa.schema(dict.fromkeys(COLUMNS_READ, pa.string()))

PICTURE_PX = 240
COLUMNS = 4
LOOKED_AT = 200
"""Annotations of one reason that are searched for a photo that can be shown."""

MEANING = {
    "two_hands": "both hands are annotated, which ingest.interacting leaves out",
    "hand_type_not_valid": "nobody was sure which hand it is",
    "hand_contradicts_folder": "another hand than the folder's number stands for",
    "too_few_joints": "fewer valid joints in this view than ingest.min_valid_joints",
    "nan_in_joints": "a valid joint is not a number",
    "behind_camera": "too few valid joints are in front of the camera",
    "joints_outside_boxes": "its camera's joints (blue) lie beside the annotated box (green)",
    "empty_box": "the valid joints span no area inside the photo",
    "no_camera": "its camera is not in the camera file",
    "nan_in_camera": "its camera has a value that is not a number",
    "no_joint_3d": "its frame is not in the joint_3d file",
    "early_release": "its frame is written as of the early release",
    "not_annotated": "the data set has no hand for it",
    "malformed": "something is missing, or not of its type",
    "dangling_image_id": "it names an image that is not listed",
    "duplicate_image_id": "several images have its image's id",
    "duplicate_annotation_id": "an annotation before it has the same id",
    "image_missing": "its photo is not there",
    "image_unreadable": "its photo may not be read, or the disk fails",
    "image_empty": "its photo has 0 bytes",
    "image_truncated": "its photo ends early",
    "image_damaged": "its photo's data are damaged, or those of two photos",
    "image_undecodable": "its photo is not a picture",
    "image_black": "its photo is black",
    "image_size": "its photo has another size than annotated",
    "excluded": "labels/exclusions.csv leaves it out",
    "fit_excluded": "used without its MANO fit, as labels/exclusions.csv says",
    "fit_off_joints": "used without its MANO fit (blue), which is far from the joints (green)",
    "nan_in_mano": "used without its MANO fit, which has a value that is not a number",
    "malformed_mano": "used without its MANO fit, which lacks a value, or has one of another type",
}
"""An explanation of each reason, for people."""


class RejectsError(HandPoseError):
    """There are no rejects to draw."""


def rejects(params: Params, out: Path) -> list[str]:
    """Draw one annotation of each reason into a PNG file; returns lines with the counts.

    Raises:
        RejectsError: `ingest` has not run.
    """
    for path in (REJECTS, CONTRADICTIONS):
        require(path, "ingest", RejectsError)
    table, sources = pq.read_table(REJECTS, columns=COLUMNS_READ), str(REJECTS)
    if SHARD_REJECTS.is_file() and len(not_cut := _not_cut()):
        table, sources = pa.concat_tables([table, not_cut]), f"{REJECTS} and {SHARD_REJECTS}"
    odd = pq.read_table(CONTRADICTIONS)
    fits = odd.filter(pc.is_in(odd["reason"], pa.array(list(FIT_FAULTS))))
    if not len(table) and not len(fits):
        return ["no annotation was rejected, and no MANO fit; nothing to draw"]
    root = Path(params.data.root)
    by_count, by_fault = _by_count(table), _by_count(fits)
    drawable = odd.filter(pc.is_valid(odd["joints"]))
    tiles = [
        _tile(_examples(drawable, reason) or _examples(own, reason), reason, count, root)
        for own, counts in ((table, by_count), (fits, by_fault))
        for count, reason in counts
        if reason not in FIT_FAULTS or _examples(drawable, reason)
    ]
    title = f"{counted(len(table), 'annotation is', 'annotations are')} not used"
    if len(fits):
        title += f", and {counted(len(fits), 'MANO fit')}"
    if tiles:
        draw_page(
            tiles,
            out,
            size=(PICTURE_PX, PICTURE_PX),
            columns=COLUMNS,
            title=f"{title}: one of each reason",
        )
    lines = [_line(count, reason) for count, reason in by_count]
    if by_fault:
        lines.append("MANO fits that are not used; the hands are:")
        lines += [_line(count, reason) for count, reason in by_fault]
        sources += f", the fits in {CONTRADICTIONS}"
    wrote = f"; wrote {out}" if tiles else ""
    return [*lines, f"all are in {sources}, with their details{wrote}"]


def _by_count(table: pa.Table) -> list[tuple[int, str]]:
    """Count and reason, the most frequent first."""
    counts = table["reason"].value_counts().to_pylist()
    return sorted(((entry["counts"], entry["values"]) for entry in counts), reverse=True)


def _line(count: int, reason: str) -> str:
    return f"{count:>9,} {reason:<24} {MEANING.get(reason, '')}"


def _not_cut() -> pa.Table:
    """The rejects of `shard`, as rows of COLUMNS_READ."""
    return pa.csv.read_csv(SHARD_REJECTS).select(COLUMNS_READ).cast(TEXTS)


def _examples(table: pa.Table, reason: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        table.filter(pc.equal(table["reason"], reason)).slice(0, LOOKED_AT).to_pylist()
    )
    return rows


def _tile(rows: list[dict[str, Any]], reason: str, count: int, root: Path) -> Tile:
    """One annotation of this reason, if possible one whose photo can be read."""
    photos = ((row, _photo(row, root)) for row in rows)
    row, photo = next((some for some in photos if some[1] is not None), (rows[0], None))
    if photo is not None and row.get("joints"):
        photo = draw_contradiction(photo, row, PICTURE_PX)
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

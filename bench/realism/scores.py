"""What the judge said of photos, held against what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.realism.frames import Frame
from bench.realism.judge import Judge, Reading
from handpose.data.photo import read_photo
from handpose.detection.palm_detector import Palm
from handpose.evaluation.metrics import pa_mpjpe_mm
from handpose.evaluation.statistics import (
    ANY,
    LENGTH,
    SHARE,
    Bounds,
    Comparison,
    Estimate,
    compare,
    mean,
)
from handpose.hand.facing import FACINGS, facing

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]

NEAR = 0.1
"""PCK: share of joints that are nearer than this share of the joints' box."""

BOX_PX = (64, 90, 128, 180, 256)
"""Limits of the groups by size: about a factor of the root of two."""

FAR = 1e6
"""A picture that is seen from so far away is flat."""


class Metric(NamedTuple):
    """A figure of one photo, of which the mean is reported."""

    heading: str
    bounds: Bounds
    better: int  # 1: higher, -1: lower


METRICS = {
    "logit": Metric("logit", ANY, 1),
    "side": Metric("side right", SHARE, 1),
    "palm_as_back": Metric("palm as back", SHARE, -1),
    "back_as_palm": Metric("back as palm", SHARE, -1),
    "error_2d": Metric("2D error", LENGTH, -1),
    "pck": Metric("PCK@0.1", SHARE, 1),
    "pa_mm": Metric("PA mm", LENGTH, -1),
    "palm_found": Metric("palm found", SHARE, 1),
}
"""By name in the record; `error_2d` is a share of the longer side of the joints' box."""


class Judged(NamedTuple):
    """N photos with their figures."""

    frames: Sequence[Frame]
    is_grey: NDArray[np.bool_]  # (N,)
    columns: Columns  # of `METRICS`, each (N,); NaN where a photo has none

    @property
    def subjects(self) -> NDArray[np.int64]:
        """(N,)."""
        return np.array([frame.subject for frame in self.frames])


def judged(judge: Judge, frames: Iterable[Frame]) -> Judged:
    """Every photo shown to the judge.

    Raises:
        PhotoError: a photo is missing or damaged.
    """
    seen, rows, grey = [], [], []
    for frame in frames:
        photo = read_photo(frame.photo)
        rows.append(figures(frame, judge.read(photo, frame.uv), judge.palms(photo)))
        grey.append(bool((photo == photo[..., :1]).all()))
        seen.append(frame)
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in METRICS}
    return Judged(seen, np.array(grey), columns)


def figures(frame: Frame, reading: Reading, palms: Sequence[Palm]) -> dict[str, float]:
    """The figures of one photo, by the names of `METRICS`."""
    distance = np.linalg.norm(reading.uv - frame.uv, axis=1)[frame.valid] / frame.box_px
    joints, truth, valid = (
        torch.from_numpy(part)[None] for part in (reading.joints, frame.joints, frame.valid)
    )
    face = face_read(reading)
    return {
        "logit": reading.logit,
        "side": float(reading.is_left == frame.is_left),
        "palm_as_back": float(face == "back") if frame.facing == "palm" else np.nan,
        "back_as_palm": float(face == "palm") if frame.facing == "back" else np.nan,
        "error_2d": float(distance.mean()),
        "pck": float((distance < NEAR).mean()),
        "pa_mm": float(pa_mpjpe_mm(joints, truth, valid)),
        "palm_found": float(any(_is_of(palm, frame) for palm in palms)),
    }


def face_read(reading: Reading) -> str:
    """The face of the hand, from the judge's own side and the winding of its landmarks."""
    flat = np.concatenate([reading.uv - reading.uv.mean(0), np.full((len(reading.uv), 1), FAR)], 1)
    everything = torch.ones(1, len(flat), dtype=torch.bool)
    side = torch.tensor([reading.is_left])
    return FACINGS[int(facing(torch.from_numpy(flat)[None], everything, side))]


def _is_of(palm: Palm, frame: Frame) -> bool:
    """Whether a palm that was found is this hand's: its middle lies in the joints' box."""
    middle = (palm.box[:2] + palm.box[2:]) / 2
    inside = frame.uv[frame.valid]
    return bool(((inside.min(0) <= middle) & (middle <= inside.max(0))).all())


def groups(found: Judged) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """The photos of each group, (N,) masks, by kind of group and by name."""
    box = np.array([frame.box_px for frame in found.frames])
    size = np.digitize(box, BOX_PX)
    limits = [0, *BOX_PX, np.inf]
    names = [f"{low:g}-{high:g} px" for low, high in pairwise(limits)]
    kinds = {
        "facing": [frame.facing for frame in found.frames],
        "size": [names[k] for k in size],
        "colour": np.where(found.is_grey, "grey", "colour").tolist(),
        "gesture": [frame.gesture for frame in found.frames],
    }
    order = {"facing": FACINGS, "size": names, "colour": ("colour", "grey")}
    return {
        kind: {
            name: np.array([value == name for value in values])
            for name in order.get(kind, sorted(set(values)))
            if name in values
        }
        for kind, values in kinds.items()
    }


def summary(found: Judged, rows: NDArray[np.bool_]) -> dict[str, Estimate]:
    """Means with intervals by person over the photos of a mask (N,)."""
    subjects = found.subjects[rows]
    return {
        name: mean(found.columns[name][rows], subjects, bounds=metric.bounds)
        for name, metric in METRICS.items()
    }


class Change(NamedTuple):
    """How a figure changed from one rendering of the same instants to another."""

    comparison: Comparison
    better: int  # photos
    worse: int


def changes(base: Judged, other: Judged) -> dict[str, Change]:
    """Each figure's change from `base`, paired by photo; photos that only one has do not count.

    A share's `better` and `worse` are the photos that became right and wrong.
    """
    at = {frame.image: row for row, frame in enumerate(other.frames)}
    rows = [row for row, frame in enumerate(base.frames) if frame.image in at]
    others = [at[base.frames[row].image] for row in rows]
    found = {}
    for name, metric in METRICS.items():
        first, second = base.columns[name][rows], other.columns[name][others]
        gain = metric.better * (second - first)
        found[name] = Change(
            compare(first, second, base.subjects[rows], seed=0),
            better=int((gain > 0).sum()),
            worse=int((gain < 0).sum()),
        )
    return found

"""The evaluated samples of this clone: which there are, and what is drawn of each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from handpose.data.annotation_table import INTERACTING
from handpose.data.shards import Shards
from handpose.errors import HandPoseError
from handpose.evaluation.scores import STAGE_1
from handpose.hand.camera import project
from handpose.hand.skeleton import JOINTS, PARENTS, WRIST
from handpose.sample import UNLABELLED, HandBatch
from stages.evaluation.data import EvaluationData, hands
from stages.evaluation.summary import MODELS, RUNS
from stages.paths import LABELS, PREDICTIONS, SHARDS

ERROR = "wrist_mpjpe_mm"
PROBABILITY = f"{STAGE_1}_probability"

ORDERS = {
    "as stored": None,
    "largest error": (f"{RUNS[0]}_{ERROR}", "descending"),
    "smallest error": (f"{RUNS[0]}_{ERROR}", "ascending"),
    "least sure": (PROBABILITY, "ascending"),
}
"""Names of orders, and the column and direction of each."""

MOST = 500
"""Rows of one answer."""


class ViewError(HandPoseError):
    """There is nothing to view."""


@dataclass(frozen=True)
class Query:
    """Which samples are listed."""

    split: str
    gesture: str = ""  # a name; empty: all
    wrong_gesture: bool = False  # only those whose gesture Stage 1 does not recognise
    least_mm: float = 0.0  # wrist-relative MPJPE of the full model
    order: str = "as stored"
    offset: int = 0


@dataclass(frozen=True)
class EvaluatedSamples:
    """`results/predictions.parquet` with the images of the shards."""

    table: pa.Table  # with the columns row, position in its split, gesture and predicted
    data: EvaluationData
    last: dict[str, Any] = field(default_factory=dict)  # row and batch that were read last

    @classmethod
    def open(cls) -> EvaluatedSamples:
        """The results of this folder.

        Raises:
            ViewError: there are no results, or they are of other shards or of older code.
            HandPoseError: the shards or labels are missing or damaged.
        """
        if not PREDICTIONS.is_file():
            raise ViewError(f"{PREDICTIONS}: not found; `dvc repro` evaluates, then view it")
        image_px = Shards.open(SHARDS).index.view_px
        data = EvaluationData.open(image_px=image_px, canonical=False, batch=1)
        table = pq.read_table(PREDICTIONS)
        if PROBABILITY not in table.column_names:
            raise ViewError(
                f"{PREDICTIONS}: has no column {PROBABILITY}; it was written by older code: "
                "`dvc repro` writes it anew"
            )
        counts = {
            one["values"]: one["counts"] for one in pc.value_counts(table["split"]).to_pylist()
        }
        expected = {split: data.shards.index.count(split) for split in data.splits}
        if counts != expected:
            raise ViewError(
                f"{PREDICTIONS} has samples {counts}, the shards {expected}: they are not of one "
                "run; `dvc repro` evaluates these shards"
            )
        split = np.array(table["split"].to_pylist())
        position = np.zeros(len(table), np.int64)
        for name in counts:
            position[split == name] = np.arange(counts[name])
        classes = len(data.classes.coarse)
        for level in ("coarse", f"{STAGE_1}_coarse"):
            if len(table) and not UNLABELLED <= pc.max(table[level]).as_py() < classes:
                raise ViewError(
                    f"{PREDICTIONS} contains classes missing from {LABELS}: the labels changed "
                    "after this evaluation. Run `dvc repro`"
                )
        names = {
            "gesture": data.gesture_names(table["coarse"].to_numpy()),
            "predicted": data.gesture_names(table[f"{STAGE_1}_coarse"].to_numpy()),
        }
        for name, values in {"row": np.arange(len(table)), "position": position, **names}.items():
            table = table.append_column(name, pa.array(values))
        return cls(table, data)

    def choices(self) -> dict[str, Any]:
        """What the page offers: splits, gestures, orders, models, the skeleton."""
        return {
            "splits": sorted(set(self.table["split"].to_pylist()), key=lambda s: (s != "test", s)),
            "gestures": sorted(set(self.table["gesture"].to_pylist())),
            "orders": list(ORDERS),
            "models": {run: MODELS[run] for run in RUNS},
            "joints": list(JOINTS),
            "parents": list(PARENTS),
        }

    def listed(self, query: Query) -> dict[str, Any]:
        """The rows that a query names, at most `MOST` from its offset on, and how many there are.

        Raises:
            ViewError: the order is none of `ORDERS`.
        """
        if query.order not in ORDERS:
            raise ViewError(f"order {query.order!r}: expected one of {', '.join(ORDERS)}")
        table, error = self.table, f"{RUNS[0]}_{ERROR}"
        mask = pc.equal(table["split"], query.split)
        if query.gesture:
            mask = pc.and_(mask, pc.equal(table["gesture"], query.gesture))
        if query.wrong_gesture:
            known = pc.not_equal(table["coarse"], UNLABELLED)
            wrong = pc.not_equal(table["coarse"], table[f"{STAGE_1}_coarse"])
            mask = pc.and_(mask, pc.and_(known, wrong))
        if query.least_mm > 0:
            mask = pc.and_(mask, pc.greater_equal(table[error], query.least_mm))
        found = table.filter(mask)
        if order := ORDERS[query.order]:
            found = found.take(pc.sort_indices(found, [order]))  # rows without a value come last
        rows = found["row"].slice(query.offset, MOST).to_pylist()
        return {"total": len(found), "offset": query.offset, "rows": rows}

    def photo(self, row: int) -> bytes:
        """The image of a sample, as PNG."""
        content = io.BytesIO()
        image = self._batch(row).image[0].permute(1, 2, 0).numpy()
        Image.fromarray(image).save(content, "PNG")
        return content.getvalue()

    def described(self, row: int) -> dict[str, Any]:
        """What is drawn and listed of a sample.

        Joints are in mm about the true wrist, in camera axes; uv in pixels of the photo; a joint
        without an annotation is None.
        """
        batch = self._batch(row)
        known = {name: self.table[name][row].as_py() for name in self.table.column_names
                 if not name.endswith("_joints")}  # fmt: skip
        joints = batch.joints_cam[0].double().numpy()
        valid = batch.joint_valid[0].numpy()
        wrist, K = joints[WRIST], batch.K[0].double().numpy()
        hands_drawn = {"truth": _drawn(joints, wrist, K, valid)}
        for run in RUNS:
            predicted = np.array(self.table[f"{run}_joints"][row].as_py()).reshape(21, 3)
            hands_drawn[run] = _drawn(predicted + wrist, wrist, K, np.ones(21, bool))
        if not valid[WRIST]:  # predictions are placed at the true wrist
            hands_drawn = {"truth": hands_drawn["truth"]}
        side = hands({"is_left": np.array([known["is_left"]])})[0]
        side += " hand of two" if known["kind"] == INTERACTING else " hand"
        return {
            "title": (
                f"{known['gesture']}, {side}, subject {known['subject']}, "
                f"{known['sequence']}, camera {known['camera']}, frame {known['frame']}"
            ),
            "predicted": known["predicted"],
            "right": known["coarse"] == known[f"{STAGE_1}_coarse"]
            if known["coarse"] != UNLABELLED
            else None,
            "probability": round(known[PROBABILITY], 4),
            "errors_mm": {run: _rounded(known[f"{run}_{ERROR}"]) for run in RUNS},
            "pa_errors_mm": {run: _rounded(known[f"{run}_pa_mpjpe_mm"]) for run in RUNS},
            "image_px": int(batch.image.shape[-1]),
            "hands": hands_drawn,
        }

    def _batch(self, row: int) -> HandBatch:
        """The sample alone.

        Raises:
            ViewError: there is no such row, or the shards hold another sample there.
        """
        if not 0 <= row < len(self.table):
            raise ViewError(f"row {row}: expected 0 to {len(self.table) - 1}")
        if self.last.get("row") != row:  # its photo and its hands are asked for in turn
            split, position = (self.table[name][row].as_py() for name in ("split", "position"))
            batch = self.data.one(split, position)
            own, stored = self.table["sample_id"][row].as_py(), int(batch.sample_id[0])
            if own != stored:
                raise ViewError(
                    f"row {row} of {PREDICTIONS} is of sample {own}, the shards hold sample "
                    f"{stored} there: they are not of one run; `dvc repro` evaluates these shards"
                )
            self.last.update(row=row, batch=batch)
        found: HandBatch = self.last["batch"]
        return found


def _drawn(
    joints: NDArray[np.float64],
    wrist: NDArray[np.float64],
    K: NDArray[np.float64],
    valid: NDArray[np.bool_],
) -> Mapping[str, Any]:
    """Joints (21, 3) m in camera axes, as lists for the page."""
    shown = valid & (joints[:, 2] > 0)
    uv = project(np.where(shown[:, None], joints, K[2]), K)
    about = 1000 * (joints - wrist)
    return {
        "joints_mm": [_point(p, ok) for p, ok in zip(about, valid, strict=True)],
        "uv": [_point(p, ok) for p, ok in zip(uv, shown, strict=True)],
    }


def _point(values: NDArray[np.float64], known: bool) -> list[float] | None:
    return [round(float(v), 2) for v in values] if known else None


def _rounded(value: float | None) -> float | None:
    return round(value, 2) if value is not None and np.isfinite(value) else None

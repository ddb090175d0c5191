"""What the data say about two gestures: how far apart their poses are, and how often confused.

Poses are joints in the frame of the palm, in millimetres of a hand of mean size: mirrored twins
are brought together, and neither the hand's size nor its turn as a whole counts. Each frame counts
once, however many cameras saw it; each person counts once, however many frames there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from handpose.data.labels import Labels
from handpose.data.splits import TEST
from handpose.errors import HandPoseError
from handpose.evaluation.statistics import SHARE, Estimate, estimate, mean
from handpose.hand.palm_frame import in_palm_frame, palm_length
from stages.paths import require

Floats = NDArray[np.floating[Any]]

HELD = (0.25, 0.75)
"""Part of a sequence that is used: it begins and ends with another pose, the neutral one."""

MM = 1000.0
JOINTS = 21
COORDINATES = 3 * JOINTS
FEWEST = 3
"""People of which an interval is made: leaving one out must leave two."""
POOLED = 0.5
"""Weight of the mean over the joints in the spread of each: a knuckle's alone is close to 0."""

ORIGIN = ("subject", "session", "sequence", "frame")


class EvidenceError(HandPoseError):
    """There is nothing to judge labels by."""


@dataclass(frozen=True)
class PoseSums:
    """Poses of F gesture folders by P people, summed over frames."""

    folders: tuple[str, ...]
    people: NDArray[np.int64]  # (P,) subjects
    frames: NDArray[np.int64]  # (F, P)
    poses: Floats  # (F, P, 63) mm, sums of poses in the frame of the palm
    squares: Floats  # (F, P, 21) mm^2, sums of each joint's squared distance from the wrist
    left_out: int  # frames with a joint that is not known, or without a palm

    @classmethod
    def read(cls, path: Path) -> PoseSums:
        """The poses in samples.parquet.

        Raises:
            EvidenceError: there is no such file, or it has no gesture folder.
        """
        require(path, "ingest", EvidenceError)
        file = pq.ParquetFile(path)
        chosen = _chosen(file)
        if not chosen.any():
            raise EvidenceError(f"{path}: has no sample of a gesture folder, so no label is used")
        columns = defaultdict[str, list[Any]](list)
        start = 0
        wanted = ["sequence", "subject", "is_left", "joints_cam", "joint_valid"]
        for batch in file.iter_batches(columns=wanted):
            rows = batch.filter(pa.array(chosen[start : start + len(batch)]))
            start += len(batch)
            if not len(rows):
                continue
            joints = _array(rows["joints_cam"], JOINTS, 3)
            left = torch.from_numpy(np.array(rows["is_left"].to_pylist()))
            pose = in_palm_frame(joints, left).flatten(1).numpy()
            valid = _array(rows["joint_valid"], JOINTS).bool().numpy().all(1)
            columns["sequence"] += rows["sequence"].to_pylist()
            columns["subject"] += rows["subject"].to_pylist()
            columns["valid"].append(valid & np.isfinite(pose).all(1))
            columns["length"].append(palm_length(joints).numpy())
            columns["pose"].append(pose)
        valid, length, pose = (
            np.concatenate(columns[name]) for name in ("valid", "length", "pose")
        )
        if not valid.any():
            raise EvidenceError(f"{path}: no gesture has a sample whose 21 joints are all known")
        return cls.of(
            np.array(columns["sequence"])[valid],
            np.array(columns["subject"])[valid],
            pose[valid] * MM * float(length[valid].mean()),
            left_out=int((~valid).sum()),
        )

    @classmethod
    def of(
        cls, folders: NDArray[Any], subjects: NDArray[Any], poses: Floats, left_out: int = 0
    ) -> PoseSums:
        """Sums of N frames: their folders (N,), people (N,) and poses (N, 63) mm."""
        names, folder = np.unique(folders, return_inverse=True)
        people, person = np.unique(subjects, return_inverse=True)
        shape = (len(names), len(people))
        frames, total = np.zeros(shape, np.int64), np.zeros((*shape, COORDINATES))
        squares = np.zeros((*shape, JOINTS))
        poses = poses.astype(np.float64)
        np.add.at(frames, (folder, person), 1)
        np.add.at(total, (folder, person), poses)
        np.add.at(squares, (folder, person), (poses.reshape(-1, JOINTS, 3) ** 2).sum(-1))
        return cls(tuple(names.tolist()), people, frames, total, squares, left_out)

    def by_person(self, folders: Sequence[str]) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Of these folders as one gesture: mean pose (P, 63), mean squares (P, 21), frames (P,).

        Both means are 0 for a person who made none of them.
        """
        at = [self.folders.index(name) for name in folders if name in self.folders]
        frames = self.frames[at].sum(0)
        count = np.maximum(frames, 1)[:, None]
        return self.poses[at].sum(0) / count, self.squares[at].sum(0) / count, frames

    def distance(self, first: Sequence[str], second: Sequence[str]) -> PoseDistance:
        """How far apart two gestures are, over the K people who made both.

        Source: Walther et al., NeuroImage 137 (2016), for a distance that is not the larger the
        fewer people there are: products of the differences of two different people.
        """
        sides = [self.by_person(folders) for folders in (first, second)]
        both = np.all([frames > 0 for _, _, frames in sides], 0)
        a, b = (pose[both] for pose, _, _ in sides)  # (K, 63)
        square_a, square_b = (squares[both] for _, squares, _ in sides)  # (K, 21)
        samples, people = sum(int(frames[both].sum()) for *_, frames in sides), int(both.sum())
        nan = float("nan")
        if not people:
            return PoseDistance(nan, nan, Estimate(nan, nan, nan, 0, 0))
        alone = _squared_length(a - b)  # (K, 21)
        one = np.ones((people, 1))
        totals = np.concatenate([one, a, b, square_a, square_b, alone], 1)
        found = estimate(totals, one[:, 0], _ratio_squared, samples=samples)
        bounds = (found.low, found.high) if people >= FEWEST else (nan, nan)
        value, low, high = (float(np.sqrt(np.maximum(v, 0))) for v in (found.value, *bounds))
        apart = np.sqrt(_squared_length((a - b).mean(0))).mean()
        spread = np.sqrt(_spread_squared(totals.sum(0)).mean())
        return PoseDistance(
            float(apart), float(spread), Estimate(value, low, high, samples, people)
        )


@dataclass(frozen=True)
class PoseDistance:
    """How far apart the poses of two gestures are. NaN where nobody made both."""

    apart_mm: float  # between the mean poses of both, mean over the joints
    spread_mm: float  # of single frames about the mean pose of their gesture, root mean square
    ratio: Estimate  # the same of each joint in units of its spread, root mean square


def _ratio_squared(totals: Floats) -> Floats:
    """Squared distance in units of the spread, mean over the joints: (..., 190) -> (...).

    Unbiased, so that it may be below 0; of a single person it is that person's.
    """
    people, a, b, _, _, alone = _parts(totals)
    other = people * (people - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        paired = (_squared_length(a - b) - alone) / other
        apart = np.where(people > 1, paired, alone)  # (..., 21)
        own = _spread_squared(totals)
        spread = (1 - POOLED) * own + POOLED * own.mean(-1, keepdims=True)
        return np.asarray(np.where(spread > 0, apart / spread, 0.0)[..., 1:].mean(-1))


def _spread_squared(totals: Floats) -> Floats:
    """Variance of each joint about its gesture's mean, of both: (..., 190) -> (..., 21) mm^2."""
    people, a, b, square_a, square_b, _ = _parts(totals)
    own = [
        square / people - _squared_length(pose / people)
        for pose, square in ((a, square_a), (b, square_b))
    ]
    return np.maximum(own[0] + own[1], 0) / 2


def _parts(totals: Floats) -> list[Floats]:
    """Number of people, two poses, two squares, and the squares of each person's difference."""
    ends = np.cumsum([1, COORDINATES, COORDINATES, JOINTS, JOINTS])
    return np.split(totals, ends, axis=-1)


def _squared_length(poses: Floats) -> Floats:
    """Of each joint: (..., 63) -> (..., 21)."""
    return np.asarray((poses.reshape(*poses.shape[:-1], JOINTS, 3) ** 2).sum(-1))


@dataclass(frozen=True)
class Confusions:
    """What Stage 1 took the test images for, by fine class name; the hand does not count."""

    folder: NDArray[np.object_]  # (N,)
    subject: NDArray[np.int64]  # (N,)
    predicted: NDArray[np.object_]  # (N,) name of the fine class
    names: dict[str, str]  # fine class of each folder when the network was trained

    @classmethod
    def read(cls, predictions: Path, labels: Path) -> Confusions | None:
        """Those of predictions.parquet; None where it is missing, or written by another version."""
        columns = ["split", "kind", "sequence", "subject", "stage_1_fine"]
        if not predictions.is_file() or not labels.is_file():
            return None
        if not set(columns) <= set(pq.read_schema(predictions).names):
            return None
        known, table = Labels.read(labels), pq.read_table(predictions, columns=columns)
        rows = {name: np.array(table[name].to_pylist()) for name in columns}
        fine = rows["stage_1_fine"].astype(int)
        used = (rows["split"] == TEST) & (rows["kind"] == "gesture")
        used &= (fine >= 0) & (fine < len(known.fine))
        return cls(
            rows["sequence"][used].astype(object),
            rows["subject"][used],
            np.array(known.fine, object)[fine[used]],
            {folder: fine for folder, (_, fine) in known.names().items()},
        )

    def between(self, first: Sequence[str], second: Sequence[str]) -> Estimate:
        """Share of the images of either gesture that were taken for the other's class.

        NaN where both were one class when the network was trained, or there is no image.
        """
        classes = [{self.names[f] for f in side if f in self.names} for side in (first, second)]
        nothing = Estimate(float("nan"), float("nan"), float("nan"), 0, 0)
        if not all(classes) or classes[0] & classes[1]:
            return nothing
        own = [np.isin(self.folder, list(side)) for side in (first, second)]
        wrong = [np.isin(self.predicted, list(side)) for side in classes]
        used = own[0] | own[1]
        if not used.any():
            return nothing
        taken = ((own[0] & wrong[1]) | (own[1] & wrong[0])).astype(np.float64)
        return mean(taken[used], self.subject[used], bounds=SHARE)


def _chosen(file: pq.ParquetFile) -> NDArray[np.bool_]:
    """(N,) one sample of each frame of a gesture, of the middle part of its sequence."""
    table = file.read(columns=[*ORIGIN, "kind", "is_left"])
    ids = [np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in ORIGIN[:3]]
    keys = np.stack([*ids, table["frame"].to_numpy(), table["is_left"].to_numpy()], 1)
    gesture = np.flatnonzero(np.array(table["kind"].to_pylist()) == "gesture")
    _, first = np.unique(keys[gesture], axis=0, return_index=True)  # in the order of the keys
    once = gesture[first]
    sequence = keys[once][:, [0, 1, 2, 4]]
    _, number, count = np.unique(sequence, axis=0, return_inverse=True, return_counts=True)
    order = np.lexsort((keys[once][:, 3], number.ravel()))
    starts = np.cumsum(count) - count
    rank = np.empty(len(once))
    rank[order] = np.arange(len(once)) - np.repeat(starts, count)
    place = (rank + 0.5) / count[number.ravel()]
    chosen = np.zeros(len(table), bool)
    chosen[once[(place >= HELD[0]) & (place <= HELD[1])]] = True
    return chosen


def _array(column: Any, *shape: int) -> torch.Tensor:
    """A column of lists as a tensor (N, *shape)."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return torch.from_numpy(np.array(flat)).view(-1, *shape)

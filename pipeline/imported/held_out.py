"""The images of a split that is evaluated: their keys, people and truth, without any pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.data.crop import affine
from handpose.data.merged.interval_units import PEOPLE, Units
from handpose.data.records import FIELDS, view_of
from handpose.imported.statement import ImportedError
from handpose.sample import UNLABELLED, HandBatch
from stages.evaluation.data import EvaluationData, column
from stages.paths import SAMPLES

Key: TypeAlias = tuple[str, bool]
"""Path of the photo below the data set's root, and whether the hand in it is a left one."""

SHAPES = {"K": (3, 3), "joints_cam": (21, 3)}
"""Of the fields that are stored flattened."""


@dataclass(frozen=True)
class HeldOut:
    """The N evaluated samples of a split, in the order of the shards."""

    split: str
    keys: Sequence[Key]
    origin: Mapping[str, NDArray[Any]]  # (N,) by name of `stages.evaluation.data.ORIGIN`
    fields: Mapping[str, NDArray[Any]]  # (N, ...) those of `HandBatch`; K of the network's view
    K_photo: NDArray[np.float64]  # (N, 3, 3) px
    units: Units = PEOPLE  # what `subjects` are, which intervals resample

    @classmethod
    def open(cls, data: EvaluationData, split: str) -> HeldOut:
        """The samples of a split.

        Raises:
            ImportedError: the split is not evaluated, samples.parquet is of an older version, or
                two samples are of one side in one photo.
            ShardError: the shards are damaged.
        """
        if split not in data.splits:
            raise ImportedError(
                f"split {split!r} is not evaluated; there are {', '.join(data.splits)}"
            )
        fields = _fields(data, split)
        photos = sample_columns(split, ["sample_id", "image", "K"]).sort_by("sample_id")
        ids = photos["sample_id"].to_numpy()
        photos = photos.take(pa.array(np.searchsorted(ids, fields["sample_id"])))
        images, is_left = photos["image"].to_pylist(), fields["is_left"].tolist()
        keys = list(zip(images, is_left, strict=True))
        if len(set(keys)) < len(keys):
            raise ImportedError(
                f"{SAMPLES}: some photo of {split} has two hands of one side, which rows of "
                "predictions cannot tell apart"
            )
        K_photo = column(photos, "K").reshape(-1, 3, 3).astype(np.float64)
        origin, units = data.origin(fields["sample_id"]), data.units.of(split)
        return cls(split, keys, origin, fields, K_photo, units)

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.keys)

    @property
    def subjects(self) -> NDArray[Any]:
        """(N,) the person of each sample, or what stands for people where nobody is named."""
        return self.origin["subject"]

    @property
    def sha256(self) -> str:
        """Of photos, sides and annotated joints, in any order: whose numbers are of these data."""
        found = hashlib.sha256()
        for k in sorted(range(len(self)), key=self.keys.__getitem__):
            image, is_left = self.keys[k]
            found.update(f"{image} {'left' if is_left else 'right'}\n".encode())
            for name, kind in (("joint_valid", "u1"), ("joints_cam", "<f4")):
                found.update(self.fields[name][k].astype(kind).tobytes())
        return found.hexdigest()

    @property
    def is_left(self) -> NDArray[np.bool_]:
        """(N,)."""
        found: NDArray[np.bool_] = self.fields["is_left"]
        return found

    @property
    def to_view(self) -> NDArray[np.float64]:
        """(N, 3, 3): pixels of the photo -> pixels of the network's view."""
        found: NDArray[np.float64] = self.fields["K"].astype(np.float64) @ np.linalg.inv(
            self.K_photo
        )
        return found

    def batch(self, rows: NDArray[np.intp]) -> HandBatch:
        """The labels of these samples in the camera's own frame, not mirrored, without images."""
        own = {name: torch.from_numpy(values[rows]) for name, values in self.fields.items()}
        size = len(rows)
        unlabelled = torch.full((size,), UNLABELLED)
        return HandBatch(
            image=torch.empty(size, 3, 0, 0, dtype=torch.uint8),
            view_rotation=torch.eye(3).expand(size, 3, 3),
            coarse=unlabelled,
            fine=unlabelled,
            **own,
        )

    def truth(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Annotated joints (n, 21, 3) m and their validity (n, 21) of these samples."""
        index = rows.numpy()
        joints = torch.from_numpy(self.fields["joints_cam"][index]).double()
        return joints, torch.from_numpy(self.fields["joint_valid"][index])


def _fields(data: EvaluationData, split: str) -> dict[str, NDArray[Any]]:
    """The labels in the shards as arrays, those that were rejected there left out."""
    index = data.shards.index
    found: dict[str, list[Any]] = {name: [] for name in FIELDS}
    for label in data.shards.labels(split, index.count(split)):
        view = view_of(label, index.crop_px, index.view_px)
        for name in FIELDS:
            value = label[name]
            if isinstance(value, list):
                flags = name == "joint_valid"
                value = np.array(value, np.bool_ if flags else np.float32)
                value = value.reshape(SHAPES.get(name, (-1,)))
            if name == "K":
                value = (affine(view, data.image_px) @ value).astype(np.float32)
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def sample_columns(split: str, names: Sequence[str]) -> pa.Table:
    """These columns of samples.parquet, of the rows of a split.

    Raises:
        ImportedError: an older version wrote the file, without one of them.
    """
    if missing := set(names) - set(pq.read_schema(SAMPLES).names):
        raise ImportedError(
            f"{SAMPLES}: has no {', '.join(sorted(missing))}: an older version wrote it; run `dvc "
            "repro ingest`"
        )
    return pq.read_table(SAMPLES, columns=list(names), filters=[("split", "=", split)])


def splits_of(images: Sequence[str]) -> dict[Key, str]:
    """The split of every sample whose photo is one of these, evaluated or not."""
    names = ["image", "is_left", "split"]
    rows = pq.read_table(SAMPLES, columns=names, filters=[("image", "in", list(images))])
    return {(row["image"], row["is_left"]): row["split"] for row in rows.to_pylist()}

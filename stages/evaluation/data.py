"""What evaluation reads: held-out samples, where they come from, and the training averages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from handpose.data.labels import Labels, majority
from handpose.data.loading import HERE, Loading
from handpose.data.merged.interval_units import IntervalUnits
from handpose.data.shards import Shards
from handpose.data.splits import PHOTO_SPLITS, TEST, TRAIN, VALIDATION
from handpose.errors import HandPoseError
from handpose.evaluation.baselines import TrainingMeans
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.sample import UNLABELLED, HandBatch
from handpose.training.model_io import ModelRecord
from stages.evaluation.summary import Classes
from stages.params import EvaluateParams
from stages.paths import LABELS, MEMBERSHIP, SAMPLES, SHARDS, require

ORIGIN = ("split", "subject", "session", "sequence", "kind", "camera", "frame", "is_left")
FITTED = ("joints_cam", "joint_valid", "is_left", "hand_pose", "betas", "has_mano")
NO_GESTURE = "no gesture"


class EvaluateError(HandPoseError):
    """There is nothing to evaluate."""


class BesideOthers(NamedTuple):
    """N hands of photos in which another hand is annotated too."""

    is_known: NDArray[np.bool_]  # (N,) where that one is
    in_other_box: NDArray[np.bool_]  # (N, 21) valid joints inside its box
    wrists: NDArray[np.float64]  # (N, 3) m, camera, as annotated; NaN where not known


@dataclass(frozen=True)
class EvaluationData:
    """The held-out samples and what is known of them."""

    origins: pa.Table  # of samples.parquet, by sample_id
    units: IntervalUnits  # what intervals resample, by split
    shards: Shards
    labels: Labels
    classes: Classes
    unseen: int  # coarse classes of the test without a training sample
    image_px: int
    canonical: bool
    turn_camera: bool
    batch: int
    loading: Loading

    @classmethod
    def open(
        cls,
        *,
        image_px: int,
        canonical: bool,
        batch: int,
        turn_camera: bool = False,
        loading: Loading = HERE,
    ) -> EvaluationData:
        """The data in their usual places, with batches of the networks' images made by `loading`.

        `canonical` and `turn_camera` are as the networks were trained: see `Shards.batches`.

        Raises:
            EvaluateError: a file is missing, or the test split has no labelled sample.
            ShardError: the shards are missing or damaged.
        """
        for path, stage in ((SAMPLES, "ingest"), (LABELS, "label"), (MEMBERSHIP, "label")):
            require(path, stage, EvaluateError)
        labels = Labels.read(LABELS)
        origins = pq.read_table(SAMPLES, columns=["sample_id", *ORIGIN]).sort_by("sample_id")
        folder, split = column(origins, "sequence"), column(origins, "split")
        numbers, kinds = (origins[name].to_pylist() for name in ("sample_id", "kind"))
        own = labels.classes(numbers, folder.tolist(), kinds)
        coarse = np.array([ids.coarse for ids in own])
        labelled = coarse != UNLABELLED
        trained, tested = (labelled & (split == s) for s in (TRAIN, TEST))
        data = cls(
            origins=origins,
            units=IntervalUnits.of_metadata(pq.read_schema(SAMPLES).metadata),
            shards=Shards.open(SHARDS),
            labels=labels,
            classes=Classes(
                coarse=labels.coarse,
                fine=labels.fine,
                hands=labels.hands,
                majority=majority([own[i] for i in np.flatnonzero(trained)]),
            ),
            unseen=len(set(coarse[tested]) - set(coarse[trained])),
            image_px=image_px,
            canonical=canonical,
            turn_camera=turn_camera,
            batch=batch,
            loading=loading,
        )
        data._check_labelled(Counter(split[labelled].tolist()))
        return data

    @classmethod
    def for_model(
        cls, record: ModelRecord, settings: EvaluateParams, device: torch.device
    ) -> EvaluationData:
        """As `open`, with images and frames as a Stage 2 model was trained with."""
        return cls.open(
            image_px=record.encoder["image_px"],
            canonical=record.handedness == "canonical",
            turn_camera=bool(record.pose_net.get("turn_camera", True)),
            batch=settings.batch,
            loading=Loading.on(
                device, workers=settings.loader_workers, key="evaluate.loader_workers"
            ),
        )

    def _check_labelled(self, counts: Mapping[str, int]) -> None:
        images = self.shards.index.count(TEST)
        if not images or not counts.get(TEST):
            raise EvaluateError(
                f"the test split has {images} images in {SHARDS} and {counts.get(TEST, 0)} with "
                f"a gesture in {SAMPLES} (labelled images per split: {dict(counts)}); an "
                "evaluation without any would mean nothing. Let ingest.test_subjects in "
                "params.yaml name subjects of the training data: data/ingest/folders.csv "
                "and split.json list them"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The evaluated splits that hold samples: test, and those that the data set has besides."""
        others = (TRAIN, VALIDATION, *PHOTO_SPLITS)
        return tuple(s for s in self.shards.index.splits if s not in others)

    def batches(self, split: str) -> Iterator[HandBatch]:
        """The samples of a split in their order, as they are."""
        return self._read(split, batch=self.batch, loading=self.loading)

    def one(self, split: str, position: int) -> HandBatch:
        """The sample at this position of a split alone."""
        return next(self._read(split, batch=1, skip=position))

    def _read(
        self, split: str, *, batch: int, skip: int = 0, loading: Loading = HERE
    ) -> Iterator[HandBatch]:
        return self.shards.batches(
            split,
            batch=batch,
            image_px=self.image_px,
            labels=self.labels.of_images,
            canonical=self.canonical,
            turn_camera=self.turn_camera,
            skip=skip,
            loading=loading,
        )

    def origin(self, sample_id: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Where these samples come from: a column per name of `ORIGIN`."""
        index = np.searchsorted(self.origins["sample_id"].to_numpy(), sample_id)
        rows = self.origins.take(index)
        return {name: column(rows, name) for name in ORIGIN}

    def beside_others(self, split: str, sample_id: NDArray[Any]) -> BesideOthers:
        """The other hands of the photos of these samples, of a split of two hands."""
        names = ["sample_id", "other_hand", "in_other_box", "joints_cam", "joint_valid"]
        rows = pq.read_table(SAMPLES, columns=names, filters=[("split", "=", split)])
        order = np.argsort(rows["sample_id"].to_numpy())
        at = np.searchsorted(rows["sample_id"].to_numpy()[order], sample_id)
        rows = rows.take(pa.array(order[at]))
        wrists = column(rows, "joints_cam").reshape(-1, 21, 3)[:, WRIST].astype(np.float64)
        known = column(rows, "joint_valid")[:, [WRIST]]
        return BesideOthers(
            is_known=column(rows, "other_hand"),
            in_other_box=column(rows, "in_other_box"),
            wrists=np.where(known, wrists, np.nan),
        )

    def training_means(self, mano: Mano) -> TrainingMeans:
        """The averages of the training samples, of all and of each coarse class."""
        rows = pq.read_table(
            SAMPLES,
            columns=["sample_id", "sequence", "kind", *FITTED],
            filters=[("split", "=", TRAIN)],
        )
        members = pa.array(MEMBERSHIP.read_text("utf-8").splitlines(), pa.string())
        rows = rows.filter(pc.is_in(rows["sequence"], members))
        columns = {name: torch.from_numpy(np.array(column(rows, name))) for name in FITTED}
        joints, valid = columns.pop("joints_cam").view(-1, 21, 3), columns.pop("joint_valid")
        names = ("sample_id", "sequence", "kind")
        own = self.labels.classes(*(rows[name].to_pylist() for name in names))
        coarse = [ids.coarse for ids in own]
        return TrainingMeans.of(
            joints=joints, valid=valid, **columns, coarse=torch.tensor(coarse), mano=mano
        )

    def gesture_names(self, coarse: NDArray[Any]) -> NDArray[np.str_]:
        """Names of coarse ids (N,); both hands' classes of a gesture have the same."""
        names = [NO_GESTURE if k == UNLABELLED else self.classes.coarse[k] for k in coarse.tolist()]
        return np.array(names, np.str_)


def column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as (N,), or (N, K) where it holds lists of K."""
    values = table[name].combine_chunks()
    if pa.types.is_nested(values.type):
        flat: NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), -1)
    if pa.types.is_string(values.type):
        return np.array(values.to_pylist(), np.str_)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def hands(origin: Mapping[str, NDArray[Any]]) -> NDArray[np.str_]:
    """Right or left, of the photos."""
    return np.where(origin["is_left"], "left", "right")

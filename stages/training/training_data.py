"""The data of a training stage: shards joined with labels, and how to train on them."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from handpose.counted import counted
from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds, Labels
from handpose.data.loading import HERE, Loading
from handpose.data.shards import Shards
from handpose.data.splits import GESTURE_PHOTOS, TRAIN, VALIDATION
from handpose.data.tar import EncodedSample
from handpose.distributed import SINGLE_PROCESS, Distributed, local_rank
from handpose.errors import HandPoseError
from handpose.files import digest
from handpose.gesture_row import Level
from handpose.sample import UNLABELLED, HandBatch
from handpose.training.checkpoint import Checkpoint
from handpose.training.fit import FitSettings, Fitted
from handpose.training.model_io import ModelRecord
from handpose.training.schedules import lr_factor
from stages.code_digest import stage_digest
from stages.params import TrainParams
from stages.paths import LABELS, SHARDS
from stages.training.class_poses import ClassPoses, class_poses
from stages.training.training_share import TrainingPart, choose

logger = logging.getLogger(__name__)

NOT_IN_IDENTITY = {
    "device",
    "cuda_graph",
    "compile",
    "threads",
    "processes",
    "loader_workers",
    "checkpoint_every_s",
}
"""Keys of a training section that may change when a run is resumed: they change how it runs, not
what it learns."""


class TrainingDataError(HandPoseError):
    """The shards or the labels do not allow this training."""


@dataclass(frozen=True)
class TrainingData:
    """Shards joined with their labels, as a training section of `params.yaml` asks for them."""

    shards: Shards
    labels: Mapping[str, ClassIds]  # by gesture folder, or by image
    coarse: list[str]  # class names by id
    fine: list[str]
    hands: list[str]  # right or left, of each coarse class
    coarse_of_fine: list[int]  # coarse id of each fine class
    image_px: int
    handedness: str
    settings: TrainParams
    distributed: Distributed  # the processes that share it
    loading: Loading
    turn_camera: bool
    part: Sequence[EncodedSample] | None = None  # of the training samples; None: all
    views: int = 1  # of each sample in a batch, augmented one by one; 2: in validation too

    @classmethod
    def open(
        cls,
        settings: TrainParams,
        *,
        image_px: int,
        handedness: str,
        distributed: Distributed = SINGLE_PROCESS,
        loading: Loading = HERE,
        turn_camera: bool = False,
        gesture_photos: bool = False,
        views: int = 1,
    ) -> TrainingData:
        """The shards and labels that `dvc repro` left.

        With `gesture_photos`, photos that have a gesture and no pose, where there are any, are
        trained on too.

        Raises:
            LabelsError: labels are missing or damaged.
            TrainingDataError: there is not a batch to train on or not a sample to validate on, or a
                batch has fewer samples than processes share it.
            ShardError: shards are missing or damaged.
        """
        labels, shards = Labels.read(LABELS), Shards.open(SHARDS)
        if gesture_photos and (photos := shards.index.count(GESTURE_PHOTOS)):
            logger.info("trains on %s besides", counted(photos, "photo of HaGRID"))
            shards = shards.joined(TRAIN, GESTURE_PHOTOS)
        data = cls(
            shards=shards,
            labels=labels.of_images,
            coarse=labels.coarse,
            fine=labels.fine,
            hands=labels.hands,
            coarse_of_fine=labels.coarse_of_fine,
            image_px=image_px,
            handedness=handedness,
            settings=settings,
            distributed=distributed,
            loading=loading,
            turn_camera=turn_camera,
            views=views,
        )
        data._check_sizes()
        return data

    def _check_sizes(self) -> None:
        batch, world = self.settings.batch, self.distributed.world
        if batch < world:
            raise TrainingDataError(
                f"a batch of {batch} samples cannot be shared by {world} processes: start fewer of "
                f"them, or set batch (of all together) in params.yaml to {world} or more"
            )
        for split, least in (("train", batch), ("validation", 1)):
            found = self.shards.index.count(split)
            if found < least:
                raise TrainingDataError(
                    f"{SHARDS}: split {split} holds {found} samples, needed are at least {least}. "
                    "ingest.validation_subjects and ingest.test_subjects in params.yaml say who is "
                    "held out, data/ingest/split.json who is where; `dvc repro` applies a change"
                )

    @property
    def bf16(self) -> bool:
        """Whether networks run in bf16."""
        return self.settings.precision == "bf16"

    @property
    def steps_per_epoch(self) -> int:
        """Whole training batches in an epoch."""
        return self.shards.index.count("train") // self.settings.batch

    def train(self, epoch: int, skip: int) -> Iterator[HandBatch]:
        """This process's slices of an epoch's augmented batches, without the first `skip`."""
        return self.shards.batches(
            "train",
            batch=self.settings.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            seed=self.settings.seed,
            epoch=epoch,
            skip=skip,
            augmentation=self._augmentation,
            turn_camera=self.turn_camera,
            views=self.views,
            part=self.part,
            loading=self.loading,
            distributed=self.distributed,
        )

    def with_labelled_share(self, share: float) -> tuple[TrainingData, TrainingPart]:
        """The same with a part of the labelled training samples alone, and what is in it: logged.

        They are kept in memory, as compressed as they are stored. An epoch has as many steps as
        before.

        Raises:
            TrainingDataError: no training sample has a class.
            ShardError: a tar was changed.
        """
        chosen = self._choose(share, unlabelled=False)
        if not chosen.sample_ids:
            raise TrainingDataError(
                f"{SHARDS}: none of the {self.shards.index.count(TRAIN)} training samples has a "
                "class, so pretrain.labelled_share has nothing to choose from; `dvc repro label` "
                "lists which folders are labelled"
            )
        return self._with_part(chosen), chosen

    def with_annotated_share(self, share: float) -> tuple[TrainingData, TrainingPart]:
        """Likewise a part of all training samples, with and without a gesture.

        Raises:
            ShardError: a tar was changed.
        """
        chosen = self._choose(share, unlabelled=True)
        return self._with_part(chosen), chosen

    def _choose(self, share: float, *, unlabelled: bool) -> TrainingPart:
        labels = self.shards.labels(TRAIN, self.shards.index.count(TRAIN))
        return choose(labels, self.labels, share, self.settings.seed, unlabelled=unlabelled)

    def _with_part(self, chosen: TrainingPart) -> TrainingData:
        logger.info("learns from %s", chosen)
        part = self.shards.stored(TRAIN, chosen.sample_ids)
        return dataclasses.replace(self, part=part)

    def training_labels(self) -> Iterator[dict[str, Any]]:
        """The labels of the samples that it trains on, as shards have them; no crop is decoded.

        Raises:
            ShardError: a tar was changed.
        """
        if self.part is not None:
            return (json.loads(sample.json) for sample in self.part)
        return self.shards.labels(TRAIN, self.shards.index.count(TRAIN))

    def class_poses(self, key: str) -> dict[Level, ClassPoses]:
        """The mean pose of each gesture class over the samples that it trains on.

        Args:
            key: of `params.yaml` that asks for them, for the message.

        Raises:
            TrainingDataError: no sample with a class has a MANO fit.
        """
        sizes: dict[Level, int] = {"coarse": len(self.coarse), "fine": len(self.fine)}
        found = class_poses(self.training_labels(), self.labels, sizes)
        if not found["fine"].known.any():
            raise TrainingDataError(
                f"{SHARDS}: no training sample with a gesture has a MANO fit, so that no class has "
                f"a mean pose, and {key} has nothing to go by; switch it off in params.yaml"
            )
        return found

    @property
    def hands_of_fine(self) -> list[str]:
        """Right or left, of each fine class; '' of an id that nothing has."""
        return ["" if k == UNLABELLED else self.hands[k] for k in self.coarse_of_fine]

    def validation(self, split: str = VALIDATION) -> Iterator[HandBatch]:
        """Every sample of a split once, not augmented: this process's share of the batches.

        With several views each of them is augmented, alike in every epoch.
        """
        return self.shards.batches(
            split,
            batch=self.settings.batch,
            image_px=self.image_px,
            labels=self.labels,
            canonical=self.handedness == "canonical",
            seed=self.settings.seed,
            augmentation=self._augmentation if self.views > 1 else None,
            turn_camera=self.turn_camera,
            views=self.views,
            loading=self.loading,
            distributed=self.distributed,
        )

    @property
    def _augmentation(self) -> Augmentation:
        return Augmentation(**self.settings.augment.keywords())

    def fit_settings(
        self,
        *,
        best: str,
        maximise: bool,
        lr_factors: Mapping[str, float],
        epoch_key: Callable[[int], object],
    ) -> FitSettings:
        """The section as `fit` takes it; the arguments are those of `FitSettings`."""
        settings, steps = self.settings, self.steps_per_epoch

        def lr(step: int) -> float:
            return settings.lr * lr_factor(
                settings.schedule,
                step,
                epochs=settings.epochs,
                steps_per_epoch=steps,
                milestones=settings.milestones,
            )

        return FitSettings(
            epochs=settings.epochs,
            steps_per_epoch=steps,
            lr=lr,
            weight_decay=settings.weight_decay,
            clip_norm=settings.clip_norm,
            ema=settings.ema,
            bf16=self.bf16,
            best=best,
            maximise=maximise,
            checkpoint_every_s=settings.checkpoint_every_s,
            lr_factors=lr_factors,
            cuda_graph=settings.cuda_graph,
            compile=settings.compile,
            epoch_key=epoch_key,
        )

    def identity(
        self,
        encoder: Mapping[str, Any],
        pose_net: Mapping[str, Any] | None = None,
        joints: Mapping[str, str] | None = None,
        *,
        stage: str,
        **more: str,
    ) -> dict[str, Any]:
        """Everything that decides the weights: a checkpoint is resumed only if all of it matches.

        A file of initial weights counts by its content, and the code is that of `stage`, as in DVC
        (`stages/code_digest.py`); `more` are further entries by name, such as digests of other
        inputs.
        """
        return {
            "settings": self.settings.model_dump(mode="json", exclude=NOT_IN_IDENTITY),
            "encoder": dict(encoder),
            "pose_net": dict(pose_net or {}),
            "joints": dict(joints or {}),
            "start": digest(start) if (start := Path(encoder["weights"])).is_file() else "",
            "handedness": self.handedness,
            "labels": digest(LABELS),
            "shards": digest(SHARDS / "index.json"),
            "code": stage_digest(stage),
            **more,
        }

    def record(self, stage: str, fitted: Fitted, checkpoint: Checkpoint) -> ModelRecord:
        """The record of the trained model."""
        return ModelRecord(
            stage=stage,
            encoder=checkpoint.identity["encoder"],
            pose_net=checkpoint.identity["pose_net"],
            joints=checkpoint.identity["joints"],
            coarse=self.coarse,
            fine=self.fine,
            hands=self.hands,
            handedness=self.handedness,
            labels_digest=checkpoint.identity["labels"],
            params_digest=checkpoint.digest,
            seconds={stage: round(fitted.seconds, 2)},
            best_epoch=fitted.best_epoch,
            loss_weights=checkpoint.identity["settings"].get("weights", {}),
        )


def loading_on(device: torch.device, stage: str, settings: TrainParams) -> Loading:
    """How a training stage loads for this device, among the processes of this machine."""
    _, processes = local_rank()
    return Loading.on(device, processes, settings.loader_workers, f"{stage}.loader_workers")

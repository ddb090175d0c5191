"""`params.yaml` as one frozen, checked object: every key known, none missing, no contradiction.

A number that changes a result is in `params.yaml`. Type, limits, default and meaning of a key stand
once, on its field in `stages/sections/`; the file must name every key.

Every stage checks the whole file, so that a fault in a later stage's section ends a run before its
hours of work and not after them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import yaml

from handpose.counted import counted
from handpose.errors import HandPoseError
from stages.paths import STAND_IN, is_same_path
from stages.sections.dataset import (
    DataParams,
    HandParams,
    IngestParams,
    LabelParams,
    ShardParams,
    SynthesizeParams,
)
from stages.sections.evaluation import EvaluateParams, ShiftParams
from stages.sections.networks import EncoderParams, PoseNetParams
from stages.sections.optimization import (
    AugmentParams,
    LossWeights,
    PoseParams,
    PretrainParams,
    ScratchParams,
    TrainParams,
)
from stages.sections.section import Section, checked, missing_keys

__all__ = [
    "AugmentParams",
    "DataParams",
    "EncoderParams",
    "EvaluateParams",
    "HandParams",
    "IngestParams",
    "LabelParams",
    "LossWeights",
    "Params",
    "ParamsError",
    "PoseNetParams",
    "PoseParams",
    "PretrainParams",
    "ScratchParams",
    "ShardParams",
    "ShiftParams",
    "SynthesizeParams",
    "TrainParams",
    "check_values",
    "load_params",
    "read_values",
]


PATCHES = ("convnext", "vit_")
"""How the names of backbones begin that cut the image into patches."""


class ParamsError(HandPoseError):
    """`params.yaml` cannot be used as it stands."""


class Params(Section):
    """The whole of `params.yaml`."""

    hand: HandParams = HandParams()
    data: DataParams = DataParams()
    synthesize: SynthesizeParams = SynthesizeParams()
    ingest: IngestParams = IngestParams()
    label: LabelParams = LabelParams()
    shard: ShardParams = ShardParams()
    encoder: EncoderParams = EncoderParams()
    pose_net: PoseNetParams = PoseNetParams()
    pretrain: PretrainParams = PretrainParams()
    pose: PoseParams = PoseParams()
    pose_scratch: ScratchParams = ScratchParams()
    evaluate: EvaluateParams = EvaluateParams()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Params:
        wrong = [
            *self._handedness(),
            *self._data_format(),
            *self._scratch_tokens(),
            *self._untrained_heads(),
            *self._eanet(),
            *self._enlarged_crops(),
            *self._controls(),
            *self._hagrid(),
            *self._warm_up(),
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _handedness(self) -> list[str]:
        """What canonical hands, or handed ones, do not go with."""
        wrong = []
        canonical = self.label.handedness == "canonical"
        for stage, fit in (("pretrain", self.pretrain), ("pose", self.pose)):
            if canonical and fit.augment.flip > 0:
                wrong.append(
                    f"label.handedness is canonical (left images are mirrored to right) but "
                    f"{stage}.augment.flip is {fit.augment.flip}: a flip would bring left hands "
                    f"back; set {stage}.augment.flip to 0, or label.handedness to handed"
                )
        if canonical and self.pose_net.side_input:
            wrong.append(
                "label.handedness is canonical but pose_net.side_input is true: there is one side "
                "only; set pose_net.side_input to false, or label.handedness to handed"
            )
        if canonical and self.pose_net.view_heads:
            wrong.append(
                "label.handedness is canonical but pose_net.view_heads is true: there is one side "
                "only to predict; set pose_net.view_heads to false, or label.handedness to handed"
            )
        if not canonical and not self.pose_net.side_input:
            wrong.append(
                "label.handedness is handed but pose_net.side_input is false: the pose net must "
                "know which hand it sees; set pose_net.side_input to true, or label.handedness to "
                "canonical"
            )
        return wrong

    def _data_format(self) -> list[str]:
        """What this data set, or this hand model, does not have."""
        wrong = []
        if self.hand.joint_regressor and self.data.format != "interhand":
            wrong.append(
                f"hand.joint_regressor is {self.hand.joint_regressor}, which is InterHand2.6M's, "
                f"but data.format is {self.data.format}; set hand.joint_regressor to ''"
            )
        if self.hand.joint_regressor and is_same_path(self.hand.mano, STAND_IN):
            wrong.append(
                f"hand.joint_regressor is {self.hand.joint_regressor} in {self.hand.mano}, which "
                "`dvc repro` replaces: the stand-in has no such file; set hand.joint_regressor to "
                "'', or hand.mano to the folder of your MANO_RIGHT.npz"
            )
        if self.ingest.each_hand and self.data.format != "interhand":
            wrong.append(
                f"ingest.interacting is {self.ingest.interacting}, which is about InterHand2.6M's "
                f"annotations of both hands, but data.format is {self.data.format}, where each "
                "record is one hand already; set ingest.interacting to drop"
            )
        return wrong

    def _scratch_tokens(self) -> list[str]:
        """Tokens that the network of the run without pretraining lacks."""
        if self.pose_scratch.gesture_tokens and not self.pose_net.gesture_tokens:
            return [
                "pose_scratch.gesture_tokens is true but pose_net.gesture_tokens is false: the run "
                "without pretraining cannot have tokens that the network lacks; set both to the "
                "same"
            ]
        return []

    def _eanet(self) -> list[str]:
        """Encoders that EANet cannot take."""
        wrong = []
        if self.pose_net.network == "eanet" and self.encoder.image_px < 64:
            wrong.append(
                f"pose_net.network is eanet but encoder.image_px is {self.encoder.image_px}: its "
                "volume has a cell to 32 px, and needs two; set encoder.image_px to 64 or more"
            )
        if self.pose_net.network == "eanet" and self.encoder.backbone.startswith(PATCHES):
            wrong.append(
                f"pose_net.network is eanet but encoder.backbone is {self.encoder.backbone}: its "
                "voxel i is at pixel 32 i, where no cell of a network of patches is centred; set "
                "encoder.backbone to an HRNet or a ResNet, or pose_net.network to gesture_guided"
            )
        return wrong

    def _enlarged_crops(self) -> list[str]:
        """Stored crops smaller than what the network sees."""
        if self.shard.view_px < self.encoder.image_px:
            return [
                f"shard.view_px {self.shard.view_px} is smaller than encoder.image_px "
                f"{self.encoder.image_px}: crops would be enlarged; set shard.view_px to "
                f"{self.encoder.image_px} and shard.crop_px to a third more"
            ]
        return []

    def _controls(self) -> list[str]:
        """Controls, for which HaGRID's photos have no poses."""
        wrong = []
        for key, value, plain in (
            ("source", self.label.source, "gestures"),
            ("shuffle", self.label.shuffle, "none"),
        ):
            if self.data.hagrid and value != plain:
                wrong.append(
                    f"data.hagrid is {self.data.hagrid} but label.{key} is {value}: controls give "
                    f"classes to images with a pose alone; set data.hagrid to '', or label.{key} "
                    f"to {plain}"
                )
        return wrong

    def _hagrid(self) -> list[str]:
        """What HaGRID's gestures do not go with."""
        if self.data.hagrid and self.ingest.held_out_gestures:
            return [
                f"data.hagrid is {self.data.hagrid} but ingest.held_out_gestures is "
                f"{list(self.ingest.held_out_gestures)}: HaGRID's photos would teach them; set "
                "data.hagrid to '', or ingest.held_out_gestures to []"
            ]
        if self.data.hagrid and self.pretrain.objective != "gestures":
            return [
                f"data.hagrid is {self.data.hagrid} but pretrain.objective is "
                f"{self.pretrain.objective}, which learns no gesture of it; set data.hagrid to '', "
                "or pretrain.objective to gestures"
            ]
        return []

    def _warm_up(self) -> list[str]:
        """What a Stage 1 without gestures does not go with."""
        objective = self.pretrain.objective
        if objective == "gestures":
            return []
        wrong = []
        if self.pretrain.ema:
            wrong.append(
                f"pretrain.objective is {objective} but pretrain.ema is {self.pretrain.ema}: the "
                "head that is thrown away is not averaged, so validation would be of no model; set "
                "pretrain.ema to 0"
            )
        if self.pose.start:
            wrong.append(
                f"pretrain.objective is {objective} but pose.start is {self.pose.start}, so "
                "Stage 2 does not start from Stage 1 at all; set pretrain.objective to gestures, "
                "or pose.start to ''"
            )
        return wrong

    def _untrained_heads(self) -> list[str]:
        """What Stage 2 would ask of gesture heads that no stage trains: a line for each key."""
        objective = f"pretrain.objective is {self.pretrain.objective}, which trains no gesture head"
        if self.pretrain.objective == "gestures":
            return []
        if not self.pose.train_gesture_heads:
            return [
                f"{objective}, and pose.train_gesture_heads is false: they would stay random; set "
                "pose.train_gesture_heads to true, or pretrain.objective to gestures"
            ]
        return [
            f"{objective}, and pose.weights.gesture is 0, but pose_net.{key} is true, which reads "
            f"them; set pose_net.{key} to false, or pose.weights.gesture above 0"
            for key in ("gesture_tokens", "class_pose")
            if getattr(self.pose_net, key) and not self.pose.weights.gesture
        ]


def load_params(path: Path | str = "params.yaml") -> Params:
    """The checked parameters of this file.

    Raises:
        ParamsError: see `read_values` and `check_values`.
    """
    return check_values(read_values(path), path)


def read_values(path: Path | str) -> Any:
    """What the file holds, unchecked: dictionaries, lists and values.

    Raises:
        ParamsError: it is missing or is not YAML.
    """
    path = Path(path)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(
            f"{path}: not found; run from the folder that holds params.yaml (the repository's root)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: is not readable YAML: {error}") from None


def check_values(values: Any, path: Path | str) -> Params:
    """The parameters with these values, which were read from `path`.

    Raises:
        ParamsError: an unknown key, a missing key, a wrong value or contradicting settings; all are
            reported at once, each with its key.
    """
    params, faults = checked(Params, values)
    faults += missing_keys(Params, values)
    if faults or params is None:
        raise ParamsError("\n".join([f"{path} has {counted(len(faults), 'fault')}:", *faults]))
    return params

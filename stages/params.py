"""`params.yaml` as frozen, checked objects: one class a section, every key known.

A number that changes a result is in `params.yaml`; its meaning and unit are told there and here.
Unknown keys, wrong types and settings that contradict each other are refused in one message that
lists them all.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from handpose.errors import HandPoseError

Probability = Annotated[float, Field(ge=0, le=1)]
Device = Literal["auto", "cpu", "cuda"]
Stride = Literal[4, 8, 16, 32]  # of HRNet's four levels


class ParamsError(HandPoseError):
    """`params.yaml` cannot be used as it stands."""


class Section(pydantic.BaseModel):
    """A part of `params.yaml`: read-only, and a key it does not know is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class HandParams(Section):
    """Which hand model."""

    mano: str  # folder with MANO_RIGHT.npz; in data/stand_in `synthesize` makes a stand-in


class DataParams(Section):
    """Where the data set is."""

    root: str  # folder with images/ and annotations/ in InterHand2.6M's layout


class SynthesizeParams(Section):
    """The synthetic InterHand2.6M; made only while data.root is data/synthetic."""

    seed: NonNegativeInt
    frames: PositiveInt  # images in the gesture folders of the train split, over all subjects
    main_subjects: PositiveInt  # subjects 0.. with long sequences
    short_subjects: NonNegativeInt  # the following subjects, with sequences half as long
    cameras_per_instant: PositiveInt  # how many cameras photograph one instant
    back_cameras: Probability  # share of a rig's cameras that face the back of an upright hand
    image_px: tuple[PositiveInt, PositiveInt]  # long and short side of a frame
    supersampling: PositiveInt  # 1, or 2 for 2x2 anti-aliasing
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    pose_jitter_deg: NonNegativeFloat
    workers: NonNegativeInt  # processes; 0 takes every core; never changes a byte of the result


SPLITS = ("train", "validation", "test", "official_val", "official_test")
"""The parts of the data: three of official train, divided by subject; official val and test."""

LABELLED_SPLITS = SPLITS[:3]
"""Official train alone has gesture folders; each of its parts must hold some."""


class IngestParams(Section):
    """Which annotations are kept, and who is held out."""

    validation_subjects: tuple[int, ...]  # of official train: choose the best checkpoint
    test_subjects: tuple[int, ...]  # of official train: labelled evaluation, never trained on
    min_valid_joints: Annotated[int, Field(ge=1, le=21)]
    # fewer valid joints in a view: rejected, with that reason
    check_images: bool  # decode every image once to find missing, truncated and black ones
    cameras_per_instant: NonNegativeInt = 0  # views of a moment that train; 0 takes all
    trim_ends: Annotated[float, Field(ge=0, lt=0.5)] = (
        0.0  # of a gesture sequence's moments, at each end, not trained on
    )

    @pydantic.model_validator(mode="after")
    def _disjoint(self) -> IngestParams:
        both = sorted(set(self.validation_subjects) & set(self.test_subjects))
        if both:
            raise ValueError(
                f"subjects {both} stand in both ingest.validation_subjects and "
                "ingest.test_subjects; a subject belongs to one split"
            )
        return self


class LabelParams(Section):
    """The gesture map and the handedness of its classes."""

    map: str  # the curated table, edited by hand
    handedness: Literal["handed", "canonical"]
    # handed (the paper): a class per gesture and hand, images as they are
    # canonical: left images mirrored to right, one class per gesture


class ShardParams(Section):
    """The crops that training reads."""

    box_scale: PositiveFloat  # side of the network's square view / longer side of the joint box
    view_px: PositiveInt  # side of that view as stored; net.image_px reads it without resampling
    stored_px: PositiveInt  # side of a stored crop: the view and a border for augmentation
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    lossless: Literal["never", "auto", "always"] = "never"
    # never: crops are resampled to stored_px; the same bytes on every machine
    # always: the photo's own pixels, cut out of its JPEG without decoding; needs libturbojpeg
    # auto: the photo's own pixels, encoded anew where that library is not: machines may differ
    samples_per_tar: PositiveInt
    seed: NonNegativeInt  # of the one global shuffle
    workers: NonNegativeInt  # processes; 0 takes every core; never changes a byte of the result

    @pydantic.model_validator(mode="after")
    def _centred(self) -> ShardParams:
        border = self.stored_px - self.view_px
        if border < 0 or border % 2:
            raise ValueError(
                f"shard.stored_px {self.stored_px} must be shard.view_px {self.view_px} plus an "
                "even border (the same whole pixels on every side); a third of the view is usual"
            )
        return self


class NetParams(Section):
    """The networks; shared by both training stages."""

    backbone: str  # a timm HRNet
    feature_location: Literal["", "incre"]  # '' raw branches; 'incre' 128/256/512/1024 channels
    weights: str  # '' random; 'imagenet' (timm hub); or a path to a state dict
    frozen_stages: Annotated[int, Field(ge=0, le=4)]  # HRNet's, from the image on; not trained
    image_px: Annotated[int, Field(gt=0, multiple_of=32)]  # side of the network's input
    imagenet_normalisation: bool
    gesture_levels: Annotated[tuple[Stride, ...], Field(min_length=1)]  # pooled, for the heads
    gesture_hidden: NonNegativeInt  # width of the heads' hidden layer; 0 is a linear head
    gesture_dropout: Probability
    pose_levels: tuple[Stride, Stride]  # strides of the two projected levels
    grid: Annotated[int, Field(ge=2)]  # side of the token grid both levels are resampled to
    dim: PositiveInt  # token width
    heads: PositiveInt  # attention heads
    encoder_layers: PositiveInt  # global token encoder
    fusion_layers: PositiveInt  # joint + gesture token Transformer
    fusion: Literal["self", "cross"]  # self-attention (paper) or cross-attention (its rebuttal)
    volume_depth: Annotated[int, Field(ge=2)]  # depth bins of the heatmap volume
    volume_sharpness: PositiveFloat  # factor of the volume's logits
    depth_range_m: PositiveFloat  # the volume spans wrist +- this
    gate_init: float  # of both gesture gates
    gesture_tokens: bool  # off: the ablation without guidance tokens
    side_input: bool  # tell the pose net which hand it sees

    @pydantic.model_validator(mode="after")
    def _divisible(self) -> NetParams:
        if self.dim % (2 * self.heads):
            raise ValueError(
                f"net.dim {self.dim} must be a multiple of 2 x net.heads (2 x {self.heads})"
            )
        return self


class AugmentParams(Section):
    """What training does to a crop; image, intrinsics, joints, MANO and label move together."""

    rotation_deg: NonNegativeFloat  # in-plane, uniform +-
    scale: Annotated[float, Field(ge=0, lt=1)]  # uniform 1 +-
    shift: Annotated[float, Field(ge=0, lt=1)]  # of the crop side, uniform +-
    colour: Annotated[float, Field(ge=0, lt=1)]  # per-channel gain, uniform 1 +-
    flip: Probability  # mirror the image and swap the class with its twin


class TrainParams(Section):
    """One training run; the loop is the same for both stages."""

    seed: NonNegativeInt
    epochs: PositiveInt
    batch: PositiveInt  # of all processes together
    lr: PositiveFloat
    schedule: Literal["one_cycle", "cosine", "step", "constant"]
    milestones: tuple[PositiveInt, ...]  # epochs at which 'step' divides lr by 10
    weight_decay: NonNegativeFloat
    clip_norm: NonNegativeFloat  # of the gradient; 0 is off
    ema: Annotated[float, Field(ge=0, lt=1)]  # decay of the weights' moving average; 0 is off
    precision: Literal["fp32", "bf16"]
    device: Device
    threads: NonNegativeInt  # of torch on the CPU; 0: every core, or what OMP_NUM_THREADS says
    processes: NonNegativeInt = 1  # on this machine, sharing each batch; 0: one for each GPU
    checkpoint_every_s: NonNegativeFloat  # seconds between checkpoints; 0 is after every step
    augment: AugmentParams


class PretrainParams(TrainParams):
    """Stage 1: gesture classification."""

    best: Literal["coarse_accuracy", "fine_accuracy", "loss"]  # validation metric that picks
    fine_weight_start: NonNegativeFloat  # lambda of the paper
    fine_weight_step: NonNegativeFloat
    fine_weight_every_epochs: PositiveInt
    fine_weight_max: NonNegativeFloat


class LossWeights(Section):
    """Weights of Stage 2's terms; their values are our choice, the paper prints none."""

    rotation: NonNegativeFloat  # 6D rotations of the 15 joints
    root: NonNegativeFloat  # 6D rotation of the root
    betas: NonNegativeFloat
    joints_volume: NonNegativeFloat  # 3D from the 2.5D volume, metres
    joints_mano: NonNegativeFloat  # 3D from MANO, metres
    uvd: NonNegativeFloat  # 2.5D in the volume's [-1, 1]
    reprojection_volume: NonNegativeFloat  # in [-1, 1] of the crop
    reprojection_mano: NonNegativeFloat
    bone: NonNegativeFloat  # continuity of consecutive rotations
    gesture: NonNegativeFloat  # keeps the Stage 1 heads alive in Stage 2


class PoseParams(TrainParams):
    """Stage 2: gesture-guided pose."""

    best: Literal["mpjpe_mm", "pa_annotated_mpjpe_mm", "loss"]
    weights: LossWeights


class EvaluateParams(Section):
    """Evaluation and its report."""

    device: Device
    batch: PositiveInt
    bootstrap: PositiveInt  # resamples of the subjects for the intervals
    tsne_samples: PositiveInt
    pictures: PositiveInt  # overlays each of best, median and worst
    seed: NonNegativeInt


class Params(Section):
    """The whole of `params.yaml`."""

    hand: HandParams
    data: DataParams
    synthesize: SynthesizeParams
    ingest: IngestParams
    label: LabelParams
    shard: ShardParams
    net: NetParams
    pretrain: PretrainParams
    pose: PoseParams
    evaluate: EvaluateParams

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Params:
        wrong = []
        canonical = self.label.handedness == "canonical"
        for stage, fit in (("pretrain", self.pretrain), ("pose", self.pose)):
            if canonical and fit.augment.flip > 0:
                wrong.append(
                    f"label.handedness is canonical (left images are mirrored to right) but "
                    f"{stage}.augment.flip is {fit.augment.flip}: a flip would bring left hands "
                    f"back; set {stage}.augment.flip to 0, or label.handedness to handed"
                )
        if canonical and self.net.side_input:
            wrong.append(
                "label.handedness is canonical but net.side_input is true: there is one side only; "
                "set net.side_input to false, or label.handedness to handed"
            )
        if not canonical and not self.net.side_input:
            wrong.append(
                "label.handedness is handed but net.side_input is false: the pose net must know "
                "which hand it sees; set net.side_input to true, or label.handedness to canonical"
            )
        if self.shard.view_px < self.net.image_px:
            wrong.append(
                f"shard.view_px {self.shard.view_px} is smaller than net.image_px "
                f"{self.net.image_px}: crops would be enlarged; set shard.view_px to "
                f"{self.net.image_px} and shard.stored_px to a third more"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def load_params(path: Path | str = "params.yaml") -> Params:
    """The checked parameters of this file.

    Raises:
        ParamsError: the file is missing, is not YAML, or has an unknown key, a wrong value or
            contradicting settings; all of them are told at once, each with its key.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(
            f"{path}: not found; run from the folder that holds params.yaml (the repository's root)"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: is not readable YAML: {error}") from None
    try:
        return Params.model_validate(raw)
    except pydantic.ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise ParamsError(f"{path}: " + "\n".join(["please mend", *lines])) from None


def _explain(detail: Any) -> str:
    """One line for one fault: the dotted key, what is wrong, and the nearest known key."""
    key = ".".join(str(part) for part in detail["loc"]) or "(whole file)"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"  {key}: is missing"
    if detail["type"] != "extra_forbidden":
        found = (
            ""
            if detail["loc"] == () or isinstance(detail["input"], dict)
            else (f" (found {detail['input']!r})")
        )
        return f"  {key}: {message}{found}"
    near = difflib.get_close_matches(str(detail["loc"][-1]), _keys(detail["loc"][:-1]), n=1)
    hint = f"; did you mean {'.'.join([*map(str, detail['loc'][:-1]), near[0]])}?" if near else ""
    return f"  {key}: unknown key{hint}"


def _keys(loc: tuple[Any, ...]) -> list[str]:
    """The known keys of the section at this place."""
    section: Any = Params
    for part in loc:
        section = section.model_fields[str(part)].annotation
    return list(section.model_fields)

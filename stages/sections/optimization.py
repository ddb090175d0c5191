"""Sections of both training stages: optimiser, schedule, augmentation, loss weights."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.sections.section import (
    Automatic,
    Device,
    LoaderWorkers,
    Probability,
    Section,
    Share,
)


class AugmentParams(Section):
    """What training does to a crop; image, intrinsics, joints, MANO and label move together."""

    one_line: ClassVar[bool] = True

    rotation_deg: NonNegativeFloat = 0.0
    """uniform +-"""
    upright: Probability = 0.0
    """share of hands turned fingers up, by the annotation, then +-30 degrees"""
    scale: Share = 0.0
    """uniform 1 +-"""
    shift: Share = 0.0
    """uniform +-, of the side"""
    colour: Share = 0.0
    """each channel's gain, uniform 1 +-"""
    flip: Probability = 0.0
    """probability of a mirror image, with the twin's class"""
    occlude: Probability = 0.0
    """probability of a rectangle or an ellipse of noise or of one colour, sides 0.1 to 0.45 of the
    view's"""

    @property
    def varies(self) -> bool:
        """Whether two draws for one image can differ."""
        ranges = (self.rotation_deg, self.upright, self.scale, self.shift, self.colour)
        return any((*ranges, self.occlude, 0 < self.flip < 1))


class TrainParams(Section):
    """One training run; the loop is the same for both stages."""

    seed: NonNegativeInt = 0
    """of the initial weights, the order of samples and augmentation"""
    epochs: PositiveInt
    """over the training samples"""
    batch: PositiveInt = 16
    """images, of all processes together"""
    lr: PositiveFloat = 0.001
    """AdamW's, at its peak"""
    schedule: Literal["one_cycle", "cosine", "step", "constant"] = "one_cycle"
    """of lr: one_cycle, cosine, step or constant"""
    milestones: tuple[PositiveInt, ...] = ()
    """epochs at which step divides lr by 10"""
    weight_decay: NonNegativeFloat = 0.02
    """AdamW's"""
    clip_norm: NonNegativeFloat = 20.0
    """of the gradient, rarely reached; 0: off"""
    ema: Share = 0.0
    """decay of the weights' moving average, which warms up; 0: off"""
    precision: Literal["fp32", "bf16"] = "fp32"
    """or bf16"""
    device: Device = "auto"
    """or cpu, cuda"""
    cuda_graph: Automatic = "auto"
    """a step is one launch (docs/gpu.md); auto: of one process on a GPU; or true, false"""
    compile: Automatic = "auto"
    """torch.compile of the network, which takes minutes; auto: likewise, from 5,000 steps on"""
    threads: NonNegativeInt = 0
    """of torch on the CPU; 0: every core, or OMP_NUM_THREADS"""
    processes: NonNegativeInt = 1
    """that share each batch; 0: one for each GPU (docs/many-gpus.md)"""
    loader_workers: LoaderWorkers = -1
    """processes that make batches; -1: for a GPU all cores but one, at most 12, shared by the
    training processes; 0: none"""
    checkpoint_every_s: NonNegativeFloat = 60
    """seconds; 0: after every step"""
    augment: AugmentParams = AugmentParams()


class PretrainParams(TrainParams):
    """Stage 1: gesture classification."""

    epochs: PositiveInt = 4
    objective: Literal["gestures", "instances", "pose"] = "gestures"
    """or controls without gestures, whose heads are thrown away: instances: which two views are of
    one image (self-supervised); pose: the joints

    `instances` sees each image twice in an epoch, as `augment` draws it.
    """
    labelled_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """of the labelled training images that it learns from, by whole sequences; steps stay as many

    A smaller share is a part of a larger one of the same `seed`. Below 1, images without a gesture
    are left out too.
    """
    best: Literal["last", "coarse_accuracy", "fine_accuracy", "loss"] = "last"
    """epoch that is kept: last, or the best by validation coarse_accuracy, fine_accuracy or loss"""
    coarse_weight: NonNegativeFloat = 1.0
    """ours; of the coarse loss; 0: fine classes alone, as fine_weight_start and _max 0: coarse ones
    alone"""
    fine_weight_start: NonNegativeFloat = 0.5
    """ours; lambda in the first epochs; paper's profile: 0.1"""
    fine_weight_step: NonNegativeFloat = 0.1
    """ours; is added to lambda"""
    fine_weight_every_epochs: PositiveInt = 10
    """paper; how often it is added"""
    fine_weight_max: NonNegativeFloat = 0.5
    """ours; lambda's end"""
    contrastive: NonNegativeFloat = 0.0
    """weight of a loss that makes features of a fine class alike; for batches with several of a
    class; paper: none"""
    hierarchical: bool = False
    """fine probabilities, summed to coarse classes, must agree with the coarse head's; paper: no"""
    soft_targets_deg: NonNegativeFloat = 0.0
    """classes of similar poses are partly right: e times less than the own one where the mean poses
    differ by this angle; 0: the own class alone (paper)"""

    @pydantic.model_validator(mode="after")
    def _warm_up(self) -> PretrainParams:
        if self.objective == "gestures":
            return self
        wrong = {
            "contrastive": self.contrastive > 0,
            "hierarchical": self.hierarchical,
            "soft_targets_deg": self.soft_targets_deg > 0,
            "labelled_share": self.labelled_share < 1,
            "best": self.best.endswith("accuracy"),
        }
        faults = [
            f"pretrain.objective is {self.objective}, which reads no gestures, but pretrain.{key} "
            f"is {getattr(self, key)}; set pretrain.{key} to "
            f"{PretrainParams.model_fields[key].default}, or pretrain.objective to gestures"
            for key, on in wrong.items()
            if on
        ]
        if self.objective == "instances" and not self.augment.varies:
            faults.append(
                "pretrain.objective is instances, but pretrain.augment does the same to every "
                "image: its two views would be one, which teaches nothing; set "
                "pretrain.augment.rotation_deg, scale, shift, colour or occlude, such as to 30.0, "
                "0.25, 0.1, 0.4 or 0.5"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @pydantic.model_validator(mode="after")
    def _learns(self) -> PretrainParams:
        fine_start = min(self.fine_weight_start, self.fine_weight_max)
        if not self.coarse_weight and not fine_start:
            raise ValueError(
                "pretrain.coarse_weight is 0 and lambda starts at 0: the first epochs would learn "
                "nothing; set pretrain.coarse_weight, or pretrain.fine_weight_start and "
                "pretrain.fine_weight_max, above 0"
            )
        for level, weight in (("coarse", self.coarse_weight), ("fine", self.fine_weight_max)):
            if not weight and self.best == f"{level}_accuracy":
                raise ValueError(
                    f"pretrain.best is {self.best}, but no loss trains the {level} classes; set "
                    "pretrain.best to last, loss or the other accuracy"
                )
        return self


class LossWeights(Section):
    """Of the loss terms; ours, see docs/choices.md."""

    rotation: NonNegativeFloat = 1.0
    """6D rotations of the 15 joints"""
    root: NonNegativeFloat = 1.0
    """6D rotation of the root"""
    betas: NonNegativeFloat = 0.1
    """MANO's shape"""
    joints_volume: NonNegativeFloat = 10.0
    """3D from the 2.5D volume, m"""
    joints_mano: NonNegativeFloat = 10.0
    """3D from MANO, m"""
    uvd: NonNegativeFloat = 1.0
    """2.5D in the volume's [-1, 1]"""
    reprojection_volume: NonNegativeFloat = 1.0
    """in [-1, 1] of the crop"""
    reprojection_mano: NonNegativeFloat = 1.0
    """in [-1, 1] of the crop"""
    bone: NonNegativeFloat = 0.01
    """continuity of consecutive rotations"""
    vertices: NonNegativeFloat = 0.0
    """mesh about the wrist against the MANO fit's, m; off"""
    edges: NonNegativeFloat = 0.0
    """lengths of the mesh's edges against the MANO fit's, m; off"""
    gesture: NonNegativeFloat = 0.1
    """keeps Stage 1's heads alive; paper: 0, the logits decay"""
    side: NonNegativeFloat = 0.1
    """left or right, of pose_net.view_heads"""
    facing: NonNegativeFloat = 0.1
    """palm, back or edge, of pose_net.view_heads"""


class PoseParams(TrainParams):
    """Stage 2: gesture-guided pose; keys without comment: as above."""

    start: str = ""
    """folder of a Stage 2 model whose weights training starts from, such as handpose/released; '':
    Stage 1's network"""
    epochs: PositiveInt = 3
    augment: AugmentParams = AugmentParams(rotation_deg=15, scale=0.1, shift=0.05, colour=0.15)
    annotated_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """of the training images that it learns from, with or without Stage 1, by whole sequences;
    steps stay as many

    A smaller share is a part of a larger one of the same `seed`. Stage 1 still sees all images.
    """
    gate_lr_factor: PositiveFloat = 20.0
    """ours; factor of the gesture gates' learning rate"""
    train_gesture_heads: bool = True
    """false: Stage 1's gesture heads stay as they are; the encoder behind them is trained

    `pose_scratch` trains them in any case: it starts from heads that know nothing.
    """
    best: Literal["mpjpe_mm", "pa_annotated_mpjpe_mm", "loss", "last"] = "mpjpe_mm"
    """or pa_annotated_mpjpe_mm, loss, last"""
    mano_joints: Literal["annotated", "fit", "both"] = "annotated"
    """what joints_mano compares with: the annotated joints, the MANO fit's, or both in two terms;
    paper's profile: both"""
    weights: LossWeights = LossWeights()
    learned_weights: bool = False
    """learn a factor on the weight of each L1 term; bone, gesture, side and facing keep their
    weights; paper: no"""


class ScratchParams(Section):
    """The comparison without pretraining: what differs from `pose` and `pose_net`."""

    epochs: PositiveInt = 6
    """chosen so that training takes about as long as Stage 1 and `pose` together"""
    gesture_tokens: bool = False
    """true: tokens of logits that no gesture label trained"""
    gesture: NonNegativeFloat = 0.0
    """weight of its gesture loss; paper: no gesture labels, 0"""

    def settings(self, pose: PoseParams) -> PoseParams:
        """The settings of its training, given those of the full model's."""
        weights = pose.weights.model_copy(update={"gesture": self.gesture})
        own = {"epochs": self.epochs, "weights": weights, "start": "", "train_gesture_heads": True}
        return pose.model_copy(update=own)

    def pose_net(self, full: dict[str, Any]) -> dict[str, Any]:
        """The keywords of its network, given those of the full model's.

        EANet has no tokens, and no keyword for them. Mean poses of gesture classes would be
        gesture labels, so this network never has them.
        """
        own = {key: value for key, value in full.items() if key != "class_pose"}
        return {**own, "gesture_tokens": self.gesture_tokens} if "gesture_tokens" in full else full

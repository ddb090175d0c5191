"""Sections of the networks: their keys are keywords of `GestureNet`, and `PoseNet` or `EaNet`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.sections.section import Probability, Section

Stride = Literal[4, 8, 16, 32]  # of the backbone's four levels

EANET_KEYS = (
    *("projections", "dim", "heads", "encoder_layers", "fusion_layers"),
    *("volume_depth", "depth_range_m", "turn_camera", "side_input"),
)
"""What `EaNet` takes of the section `pose_net`; keys that only `PoseNet` has do nothing then."""


OFF_UNNAMED = ("refinements", "ray_input", "class_pose", "place_noise")
"""Keys of `PoseNet` that are younger than some records, which have them where they are on."""


class EncoderParams(Section):
    """Stage 1's network: the backbone and the gesture heads."""

    backbone: str = "hrnet_w18_small"
    """a timm HRNet (paper: HRNet), ResNet, ConvNeXt or ViT (vit_tiny_patch16_224); paper's profile:
    hrnet_w32; EANet: resnet50"""
    feature_location: Literal["", "incre"] = ""
    """'': raw levels; incre, of an HRNet: 128/256/512/1024 channels"""
    weights: str = ""
    """'': random; imagenet, from the timm hub; or a file"""
    frozen_stages: Annotated[int, Field(ge=0, le=4)] = 0
    """of the backbone's four (a ViT: quarters of its blocks), from the image on, not trained"""
    image_px: Annotated[int, Field(gt=0, multiple_of=32)] = 96
    """side of the input; paper's profile: 256"""
    imagenet_normalisation: bool = True
    """as timm's weights of the name want it; else RGB in [0, 1]"""
    gesture_levels: Annotated[tuple[Stride, ...], Field(min_length=1)] = (4, 8, 16, 32)
    """ours; strides of the pooled levels; paper: the deepest, [32]"""
    gesture_hidden: NonNegativeInt = 0
    """ours; heads' hidden width, 0: linear; paper's profile: 1024"""
    gesture_dropout: Probability = 0.2
    """in the heads; paper's profile: 0.5"""


class PoseNetParams(Section):
    """What Stage 2 adds: tokens, fusion, MANO head."""

    network: Literal["gesture_guided", "eanet"] = "gesture_guided"
    """gesture_guided: the paper's; eanet: the paper's baseline, with its own losses"""
    projections: Literal[1, 2] = 1
    """of eanet: 2: two projections of the deepest level take the places of its two hands; 1: one
    takes both"""
    pose_levels: tuple[Stride, Stride] = (8, 32)
    """ours; strides of the two projected levels"""
    grid: Annotated[int, Field(ge=2)] = 12
    """ours; side of the token grid to which both are resampled"""
    dim: PositiveInt = 128
    """ours; token width, a multiple of 2 x heads"""
    heads: PositiveInt = 4
    """ours; attention heads"""
    encoder_layers: PositiveInt = 1
    """ours; blocks of the encoder over the grid"""
    fusion_layers: PositiveInt = 2
    """ours; blocks over joint and gesture tokens"""
    fusion: Literal["self", "cross"] = "cross"
    """cross: joints attend to gestures in a step of their own (rebuttal); self: all together
    (paper)"""
    volume_depth: Annotated[int, Field(ge=2)] = 8
    """depth bins of the heatmap volume"""
    volume_sharpness: PositiveFloat = 5.0
    """ours; factor of logits: 1 learns slowly, 10 saturates the softmax too early"""
    depth_range_m: PositiveFloat = 0.2
    """ours; the volume spans the wrist +- this: EANet's 0.15 misses a finger that points at the
    camera"""
    gate_init: float = 0.01
    """of both gesture gates; paper: near zero"""
    gesture_tokens: bool = True
    """false: the ablation without guidance tokens"""
    token_classes: Literal["both", "coarse", "fine"] = "both"
    """both, or coarse or fine alone: the classes that Stage 2 has tokens of, and that its gesture
    loss counts"""
    global_feature: bool = False
    """give the MANO head the feature behind the logits as well; paper: false"""
    turn_camera: bool = True
    """ours; hands in the frame of the camera turned onto the crop's centre"""
    side_input: bool = True
    """input the hand's side: handed needs it, canonical forbids it"""
    view_heads: bool = False
    """ours; predict the side, and whether palm, back or edge is seen: for data all round the hand,
    whose side is not given"""
    second_look: bool = False
    """ours; when not training, predict again from the crop turned upright by the first
    prediction"""
    refinements: NonNegativeInt = 0
    """further passes of the MANO head, in which it sees its last estimate; paper: none"""
    ray_input: bool = False
    """give each joint token the direction in which its joint is seen; predictions then need K;
    paper: no"""
    place_noise: NonNegativeFloat = 0.0
    """standard deviation, in half crop sides, of Gaussian noise added in training to the joint
    positions taken from the heatmaps; paper: none"""
    class_pose: bool = False
    """the MANO head starts from the mean finger poses of the fine classes, weighted by their
    probabilities, not from one mean pose; paper: no

    `pose_scratch`, which knows no gestures, never does.
    """

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> PoseNetParams:
        lacking = (
            *("gesture_tokens", "global_feature", "view_heads", "second_look"),
            *("ray_input", "class_pose"),
        )
        if self.network == "eanet" and (wrong := [key for key in lacking if getattr(self, key)]):
            keys = " and ".join(f"pose_net.{key}" for key in wrong)
            raise ValueError(
                f"pose_net.network is eanet, which has no such part, but {keys} "
                f"{'is' if len(wrong) == 1 else 'are'} true; set {keys} to false, or "
                "pose_net.network to gesture_guided"
            )
        if self.network == "eanet" and self.refinements:
            raise ValueError(
                "pose_net.network is eanet, whose head has no refinements, but "
                f"pose_net.refinements is {self.refinements}; set pose_net.refinements to 0, or "
                "pose_net.network to gesture_guided"
            )
        if self.network == "eanet" and self.place_noise:
            raise ValueError(
                "pose_net.network is eanet, which takes its heatmaps' joints as they are, but "
                f"pose_net.place_noise is {self.place_noise}; set pose_net.place_noise to 0, or "
                "pose_net.network to gesture_guided"
            )
        if self.network == "eanet" and self.token_classes != "both":
            raise ValueError(
                "pose_net.network is eanet, which has no gesture tokens, but "
                f"pose_net.token_classes is {self.token_classes}; set it to both"
            )
        if self.class_pose and self.token_classes == "coarse":
            raise ValueError(
                "pose_net.class_pose is true, which reads the fine classes, but "
                "pose_net.token_classes is coarse: Stage 2 would not train them; set it to both or "
                "fine, or pose_net.class_pose to false"
            )
        if self.dim % (2 * self.heads):
            raise ValueError(
                f"pose_net.dim {self.dim} must be a multiple of 2 x pose_net.heads "
                f"(2 x {self.heads})"
            )
        if self.second_look and not self.turn_camera:
            raise ValueError(
                "pose_net.second_look needs pose_net.turn_camera: only then does turning the crop "
                "turn the hand about the line of sight"
            )
        return self

    def keywords(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Keyword arguments of the chosen network, and which one it is unless it is the paper's.

        The paper's own has no name in a model's record, as before there was a choice; nor have
        the keys of `OFF_UNNAMED` where they are off, and tokens of both classes.
        """
        keys = super().keywords(without=without)
        if self.network == "eanet":
            return {key: keys[key] for key in ("network", *EANET_KEYS) if key in keys}
        unnamed = {"network", "projections"}
        unnamed |= {key for key in OFF_UNNAMED if not getattr(self, key)}
        if self.token_classes == "both":
            unnamed.add("token_classes")
        return {key: keys[key] for key in keys if key not in unnamed}

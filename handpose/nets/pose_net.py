"""Stage 2: an image in, a MANO hand out; the side is given or predicted (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.hand.camera import back_project, mirrored_intrinsics
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import matrix_to_rot6d, rot6d_to_matrix
from handpose.hand.skeleton import JOINTS, WRIST
from handpose.nets.backbone import Stride
from handpose.nets.gesture_net import GestureNet
from handpose.nets.mano_head import ClassStart, ManoHead
from handpose.nets.second_look import (
    turn_hands_back,
    turn_image,
    turn_intrinsics,
    upright_rotation,
)
from handpose.nets.token_fusion import GestureTokens, TokenFusion
from handpose.nets.view_heads import ViewHeads
from handpose.nets.volumetric import (
    CellGrid,
    GridEncoder,
    VolumeHead,
    sample_tokens,
    soft_argmax,
    spread,
)
from handpose.sample import (
    ConfidenceInput,
    GestureClasses,
    GestureOutput,
    PoseOutput,
    SideFacingOutput,
)

TurnedCut = Callable[[Tensor], Tensor]
"""R (B, 3, 3), about the optical axis -> images (B, 3, S, S) uint8 turned by it."""


class Encoded(NamedTuple):
    """Images after the encoder: what `PoseNet.decode` starts from."""

    levels: dict[int, Tensor]  # by stride s: (B, C_s, S / s, S / s)
    gesture: GestureOutput  # the logits that the tokens are made from, and the pooled feature
    R: Tensor | None = None  # (B, 3, 3) by which the images were turned upright
    mirrored: Encoded | None = None  # of their mirror images, if hands are averaged over both
    K: Tensor | None = None  # (B, 3, 3) px, of the images as they were encoded; for `ray_input`


class Located(NamedTuple):
    """Joints found by the heatmap volume, and what it was made from."""

    grid: Tensor  # (B, C, G, G) tokens
    cells: CellGrid
    volume: Tensor  # (B, 21, D, G, G) logits
    uvd: Tensor  # (B, 21, 3) in [-1, 1]

    @property
    def uv(self) -> Tensor:
        """Pixels of the images, (B, 21, 2)."""
        return (self.uvd[..., :2] + 1) / 2 * (self.cells.side - 1)

    def mean_with(self, in_mirror: Located) -> Located:
        """With joints averaged with those of the mirror images; the grid is of the images."""
        everywhere = torch.ones(self.uvd.shape[0], dtype=torch.bool, device=self.uvd.device)
        return self._replace(uvd=(self.uvd + mirror_points(in_mirror.uvd, everywhere)) / 2)


class ImageFeatures(NamedTuple):
    """What is computed before the side is known."""

    located: Located
    places: Tensor  # (B, 21, 3) of the joints, as the rest of the network gets them; no gradient
    joint_tokens: Tensor  # (B, 21, C)
    view: SideFacingOutput | None


class PassOutput(NamedTuple):
    """Output of one forward pass, of the images or of their mirror images."""

    located: Located
    features: Tensor  # (B, C) pooled
    tokens: Tensor  # (B, 21, C) refined
    rot6d: Tensor  # (B, 16, 6) right-hand frame
    betas: Tensor  # (B, 10)


class PoseNet(nn.Module):
    """The gesture-guided pose network on top of Stage 1's encoder, which lives in `gesture_net`."""

    def __init__(
        self,
        gesture_net: GestureNet,
        mano: Mano,
        *,
        pose_levels: tuple[Stride, Stride],
        grid: int,
        dim: int,
        heads: int,
        encoder_layers: int,
        fusion_layers: int,
        fusion: Literal["self", "cross"],
        volume_depth: int,
        volume_sharpness: float,
        depth_range_m: float,
        gate_init: float,
        gesture_tokens: bool,
        global_feature: bool,
        turn_camera: bool,
        side_input: bool,
        view_heads: bool,
        second_look: bool,
        refinements: int = 0,
        ray_input: bool = False,
        token_classes: GestureClasses = "both",
        class_pose: bool = False,
        place_noise: float = 0.0,
        mean_rotations: Tensor | None = None,
    ) -> None:
        """The network of these sizes.

        Args:
            gesture_net: Stage 1's network; its encoder and its logits serve here.
            mano: the right-hand model; it is fixed and never part of the weights.
            pose_levels: strides of the two levels of the backbone that make the token grid.
            grid: side of that grid.
            dim: width of all tokens; `heads` divides it.
            heads: attention heads.
            encoder_layers: Transformer blocks over the grid.
            fusion_layers: Transformer blocks over joint and gesture tokens.
            fusion: 'self' puts gesture tokens among the joint tokens, 'cross' lets joint tokens
                attend to them.
            volume_depth: depth bins of the heatmap volume, over the wrist's depth
                +- `depth_range_m`.
            volume_sharpness: factor of the volume's logits.
            depth_range_m: see `volume_depth`.
            gate_init: where the gates of both gesture tokens start.
            gesture_tokens: False is the ablation without guidance tokens.
            global_feature: give the MANO head the pooled feature that the logits are computed from.
                The paper does not; it makes the gesture tokens redundant.
            turn_camera: the hands that it is trained on, and hence its own, are in the frame of the
                camera turned onto the crop's centre (`sample.py`); nothing in the network changes.
            side_input: give the network the hand's side, as an embedding on the joint tokens and
                by mirroring the joints' positions that the MANO head reads to a right hand's.
            view_heads: predict the hand's side, and whether its palm, back or edge is seen.
            second_look: in evaluation mode, `encode` makes a second pass over the image turned
                upright by its first prediction (`second_look.py`).
            refinements: further passes of the MANO head, each of which sees the last estimate.
            ray_input: give each joint token the direction of its joint's ray, in the frame of the
                labels. The network then takes the images' K. A model's record has this key and
                `refinements` only where they are not off.
            token_classes: which classes there are gesture tokens of; a record without it is older
                than the choice, and of both.
            class_pose: the MANO head starts from the expected finger pose under the probabilities
                of the fine classes; see `set_class_poses`. In a model's record only if it is on.
            place_noise: in training, standard deviation of noise on the joints' places, in half
                views. In a model's record only if it is on.
            mean_rotations: (16, 3, 3) the pose that training starts from, root first; MANO's mean
                pose with its root at rest by default.
        """
        super().__init__()
        self.gesture_net = gesture_net
        self.mano = mano
        self.pose_levels = pose_levels
        self.depth_range_m = depth_range_m
        self.side_input = side_input
        self.turn_camera = turn_camera
        self.second_look = second_look
        self.token_classes = token_classes

        channels = gesture_net.backbone.channels
        self.grid_encoder = GridEncoder(
            channels=[channels[stride] for stride in pose_levels],
            dim=dim,
            heads=heads,
            layers=encoder_layers,
            grid=grid,
            centred=gesture_net.backbone.centred,
        )
        self.volume_head = VolumeHead(
            dim=dim, joints=len(JOINTS), depth=volume_depth, sharpness=volume_sharpness
        )
        self.gesture_tokens = (
            GestureTokens(
                coarse_classes=gesture_net.heads.coarse_classes,
                fine_classes=gesture_net.heads.fine_classes,
                dim=dim,
                gate=gate_init,
                classes=token_classes,
            )
            if gesture_tokens
            else None
        )
        self.fusion = TokenFusion(
            joints=len(JOINTS),
            dim=dim,
            heads=heads,
            layers=fusion_layers,
            cross=fusion == "cross" and gesture_tokens,
            side_input=side_input,
        )
        self.view_heads = (
            ViewHeads(features=gesture_net.heads.features, dim=dim, joints=len(JOINTS))
            if view_heads
            else None
        )
        if mean_rotations is None:
            mean_rotations = _rest(mano)
        self.mano_head = ManoHead(
            joints=len(JOINTS),
            dim=dim,
            features=gesture_net.heads.features if global_feature else 0,
            mean_rot6d=matrix_to_rot6d(mean_rotations),
            refinements=refinements,
        )
        self.place_noise = place_noise
        self.class_start = ClassStart(gesture_net.heads.fine_classes) if class_pose else None
        self.rays = nn.Linear(3, dim, bias=False) if ray_input else None
        if self.rays is not None:
            nn.init.zeros_(self.rays.weight)  # it starts as without

    @property
    def ray_input(self) -> bool:
        """Whether it must be given K."""
        return self.rays is not None

    @torch.no_grad()
    def set_class_poses(self, hand_pose: Tensor, known: Tensor) -> None:
        """Before training, the mean poses of the fine classes, for a network with `class_pose`.

        They are part of its weights. The head's own start of the fingers becomes their mean.

        Args:
            hand_pose: (K, 45) rad relative to hands_mean, right-hand frame.
            known: (K,) bool, at least one true; of another class no mean is known.

        Raises:
            ValueError: the network has no `class_pose`.
        """
        if self.class_start is None:
            raise ValueError("a network without class_pose takes no poses of classes")
        rotations = self.mano.rotations(hand_pose.nan_to_num())  # (K, 15, 3, 3)
        centre = self.class_start.set_means(matrix_to_rot6d(rotations), known)
        self.mano_head.start_fingers_at(centre)

    def forward(self, image: Tensor, is_left: Tensor | None, K: Tensor | None = None) -> PoseOutput:
        """The hands in images (B, 3, S, S) uint8 RGB.

        Args:
            image: the images.
            is_left: (B,) bool, their side; with None the view heads predict it.
            K: as of `encode`.
        """
        return self.decode(self.encode(image, K), is_left)

    def encode(
        self,
        image: Tensor,
        K: Tensor | None = None,
        *,
        cut: TurnedCut | None = None,
        mirrored: bool = False,
    ) -> Encoded:
        """The encoder's output for images (B, 3, S, S) uint8 RGB.

        With `second_look` and in evaluation mode, for the images turned upright.

        Args:
            image: what the first pass sees.
            K: (B, 3, 3) px, of the labels' frame; read by a network with `ray_input` alone.
            cut: gives the images turned by R (B, 3, 3), cut from where `image` was cut; by default
                `image` itself is turned, which leaves black corners.
            mirrored: encode the mirror images as well; `decode` averages over both. The network
                must have learnt both sides.
        """
        encoded, side = self._encode(image)._replace(K=K), image.shape[-1]
        if self.second_look and not self.training:
            R = upright_rotation(self._locate(encoded.levels).uv)
            image = turn_image(image, R) if cut is None else cut(R)
            K = None if K is None else turn_intrinsics(K, R, side)
            encoded = self._encode(image)._replace(R=R, K=K)
        if mirrored:
            K = None if K is None else mirrored_intrinsics(K, side)
            encoded = encoded._replace(mirrored=self._encode(image.flip(-1))._replace(K=K))
        return encoded

    def _encode(self, image: Tensor) -> Encoded:
        levels = self.gesture_net.backbone(image)
        return Encoded(levels, self.gesture_net.gestures(levels))

    def _locate(self, levels: Mapping[int, Tensor]) -> Located:
        """Where the joints are in the images, by the heatmap volume."""
        stride, level = next(iter(levels.items()))
        encoder = self.grid_encoder
        cells = CellGrid(stride * int(level.shape[-1]), encoder.grid, encoder.centred)
        grid = self.grid_encoder([levels[stride] for stride in self.pose_levels])
        volume = self.volume_head(grid)
        return Located(grid, cells, volume, soft_argmax(volume, cells))

    def _image_features(self, encoded: Encoded) -> ImageFeatures:
        located = self._locate(encoded.levels)
        # Positions are learnt by their own losses: MANO's would drag them to where they help MANO.
        places = located.uvd.detach()
        if self.training and self.place_noise:
            places = places + self.place_noise * torch.randn_like(places)
        tokens = sample_tokens(located.grid, places[..., :2], located.cells)
        view = None
        if self.view_heads is not None:
            view = self.view_heads(encoded.gesture.features, tokens, places)
        return ImageFeatures(located, places, tokens, view)

    def decode(
        self, encoded: Encoded, is_left: Tensor | None, gates: Tensor | None = None
    ) -> PoseOutput:
        """The hands from the encoder's output.

        Evaluation replaces the gesture's logits, or the gates, to see what the tokens do.

        Args:
            encoded: the images; hands of turned ones are turned back.
            is_left: (B,) bool; None takes what the view heads predict.
            gates: (T,) used instead of the learnt ones, T the number of gesture tokens.

        Raises:
            ValueError: there is no side, or no K, where one is needed.
        """
        gesture, other = encoded.gesture, encoded.mirrored
        features = self._image_features(encoded)
        located, view = features.located, features.view
        if other is not None:
            in_mirror = self._image_features(other)
            located, view = located.mean_with(in_mirror.located), _mean_view(view, in_mirror.view)
        if is_left is None:
            if view is None:
                raise ValueError("a network without view heads must be given the side")
            is_left = view.side_logit > 0

        passes = [self._regress_mano(features, encoded, is_left, gates)]
        rot6d, betas = passes[0].rot6d, passes[0].betas
        if other is not None:  # a mirror image has the same right-hand parameters
            passes.append(self._regress_mano(in_mirror, other, ~is_left, gates))
            rot6d, betas = (rot6d + passes[1].rot6d) / 2, (betas + passes[1].betas) / 2
        rotmat = rot6d_to_matrix(rot6d)  # (B, 16, 3, 3)
        hand = self.mano(rotmat[:, 0], rotmat[:, 1:], betas)
        wrist = hand.joints[:, WRIST, None]  # (B, 1, 3)

        hands = PoseOutput(
            uv=located.uv,
            depth_rel=located.uvd[..., 2] * self.depth_range_m,
            rot6d=rot6d,
            rotmat=rotmat,
            betas=betas,
            joints=mirror_points(hand.joints - wrist, is_left),
            vertices=mirror_points(hand.vertices - wrist, is_left),
            coarse_logits=gesture.coarse_logits,
            fine_logits=gesture.fine_logits,
            gates=betas.new_zeros(2) if self.gesture_tokens is None else self.gesture_tokens.gates,
            view=view,
            confidence_input=None if self.training else _confidence_input(passes),
        )
        if encoded.R is None:
            return hands
        return turn_hands_back(hands, encoded.R, is_left, located.cells.side)

    def _regress_mano(
        self,
        features: ImageFeatures,
        encoded: Encoded,
        is_left: Tensor,
        gates: Tensor | None,
    ) -> PassOutput:
        """MANO's parameters of the hands in these images."""
        gesture, guidance = encoded.gesture, None
        if self.gesture_tokens is not None:
            logits = gesture.coarse_logits, gesture.fine_logits
            guidance = self.gesture_tokens(*logits, gates)  # (B, T, C)
        joint_tokens = features.joint_tokens  # (B, 21, C)
        if self.rays is not None:
            directions = self._directions(features.located.uv, encoded.K, is_left)
            joint_tokens = joint_tokens + self.rays(directions)
        tokens = self.fusion(joint_tokens, guidance, is_left)  # (B, 21, C)
        positions = features.places
        if self.side_input:
            positions = mirror_points(positions, is_left)  # as a right hand's, like the parameters
        with torch.autocast(tokens.device.type, enabled=False):  # bf16 costs tenths of millimetres
            start = None if self.class_start is None else self.class_start(gesture.fine_logits)
            inputs = tokens.float(), positions, gesture.features.float()
            rot6d, betas = self.mano_head(*inputs, start=start)
        return PassOutput(features.located, gesture.features, tokens, rot6d, betas)

    def _directions(self, uv: Tensor, K: Tensor | None, is_left: Tensor) -> Tensor:
        """Unit vectors (B, 21, 3) from the camera to the joints; with `side_input` a right hand's.

        No gradient goes into the pixels uv (B, 21, 2).
        """
        if K is None:
            raise ValueError("a network with ray input must be given K")
        rays = F.normalize(back_project(uv.detach(), torch.ones_like(uv[..., 0]), K), dim=-1)
        return mirror_points(rays, is_left) if self.side_input else rays

    def train(self, mode: bool = True) -> PoseNet:
        """Training mode for all but Stage 1's heads: dropout would make the tokens noisy."""
        super().train(mode)
        self.gesture_net.heads.eval()
        return self


def _rest(mano: Mano) -> Tensor:
    """MANO's mean pose with its root at rest, (16, 3, 3)."""
    mean = mano.rotations(mano.hands_mean.new_zeros(1, 45))[0]  # (15, 3, 3)
    return torch.cat([torch.eye(3, device=mean.device)[None], mean])


@torch.no_grad()
def _confidence_input(passes: Sequence[PassOutput]) -> ConfidenceInput:
    """Of one pass, or of those of the images and their mirror images: the mean, and differences."""
    first, last = passes[0], passes[-1]
    difference = first.located.uvd.new_zeros(first.located.uvd.shape)
    if len(passes) > 1:
        difference = 2 * (first.located.uvd - first.located.mean_with(last.located).uvd).abs()
    spreads = [spread(one.located.volume, one.located.cells) for one in passes]
    return ConfidenceInput(
        features=torch.stack([one.features.float() for one in passes]).mean(0),
        tokens=torch.stack([one.tokens.float() for one in passes]).mean(0),
        spread=torch.stack(spreads).mean(0),
        flip_difference=difference,
        rot6d_flip_difference=(first.rot6d - last.rot6d).norm(dim=-1),
    )


def _mean_view(
    view: SideFacingOutput | None, in_mirror: SideFacingOutput | None
) -> SideFacingOutput | None:
    """Logits averaged with those of the mirror images, which show the other side."""
    if view is None or in_mirror is None:
        return None
    return SideFacingOutput(
        (view.side_logit - in_mirror.side_logit) / 2,
        (view.facing_logits + in_mirror.facing_logits) / 2,
    )

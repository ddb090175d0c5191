"""What training minimises: the paper's objective (section 3.2.4), and optional terms beyond it.

A loss is called with a network's output and the batch, and returns its weighted terms by name.
Supervised terms are means over the samples of a batch that carry the annotation, so their size does
not depend on how many do; a batch with none gives 0. `bone` is a prior and averages over all
samples. Call losses outside autocast: bf16 is too coarse for pixels and millimetres.

`count` gives the number that a mean divides by. Several processes that share a batch pass
`DistributedGroup.count`, which sums the masks of all slices: the mean of their losses is then that
of the whole batch.

Letters: B batch, J = 21 joints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from handpose.distributed import SINGLE_PROCESS
from handpose.hand.camera import back_project, project
from handpose.hand.facing import facing
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_rot6d
from handpose.hand.skeleton import WRIST
from handpose.sample import UNLABELLED, GestureClasses, GestureOutput, HandBatch, PoseOutput
from handpose.training.schedules import fine_weight

Count = Callable[[Tensor], Tensor]

TEMPERATURE = 0.1
"""Of the contrastive term's similarities, as in its source."""

NEAR = 0.01
"""Metres in front of the camera that projected points keep: a bad prediction must not divide by
0."""


@dataclass(frozen=True)
class GestureLoss:
    """Stage 1's loss: coarse cross-entropy, and lambda times the fine one.

    lambda grows with the epochs; see `schedules.fine_weight`. The coarse one has a constant weight,
    which the paper does not have: 0 trains with fine classes alone.
    """

    fine_weight_start: float
    fine_weight_step: float
    fine_weight_every_epochs: int
    fine_weight_max: float
    coarse_weight: float = 1.0

    contrastive: float = 0.0
    """Weight of `supervised_contrastive` of the pooled features by fine classes; with 0 there is no
    such term."""

    coarse_of_fine: Tensor | None = None
    """(fine classes,) int64, on the device of the batches: the coarse class of each. With it there
    is a term `hierarchy`, `coarse_disagreement` with weight 1."""

    coarse_targets: Tensor | None = None
    """(coarse classes, coarse classes), likewise: row k has the probabilities to be learnt for an
    image of class k. None: its class alone."""

    fine_targets: Tensor | None = None
    """Those of the fine classes."""

    def __call__(
        self,
        output: GestureOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss. Samples without a gesture do not count.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: counted from 0; None takes lambda's maximum, which makes epochs comparable.
            count: (mask) -> what a mean over its true entries divides by.
        """
        coarse = cross_entropy(output.coarse_logits, batch.coarse, count, self.coarse_targets)
        fine = cross_entropy(output.fine_logits, batch.fine, count, self.fine_targets)
        terms = {"coarse": self.coarse_weight * coarse, "fine": self.fine_weight(epoch) * fine}
        if self.contrastive:
            term = supervised_contrastive(output.features, batch.fine, count)
            terms["contrastive"] = self.contrastive * term
        if self.coarse_of_fine is not None:
            logits = output.coarse_logits, output.fine_logits
            labelled = batch.coarse != UNLABELLED
            apart = coarse_disagreement(*logits, self.coarse_of_fine)
            terms["hierarchy"] = (apart * labelled).sum() / count(labelled)
        return terms

    def fine_weight(self, epoch: int | None) -> float:
        """The paper's lambda in this epoch, or its maximum."""
        if epoch is None:
            return self.fine_weight_max
        return fine_weight(
            epoch,
            start=self.fine_weight_start,
            step=self.fine_weight_step,
            every=self.fine_weight_every_epochs,
            maximum=self.fine_weight_max,
        )


class HandModel(Protocol):
    """What the loss needs of `hand/mano.py::Mano`, which Stage 1 must not depend on."""

    edges: Tensor  # (E, 2) vertices of the mesh, int64

    def rotations(self, hand_pose: Tensor) -> Tensor:
        """Hand pose (B, 45) rad -> (B, 15, 3, 3), with `hands_mean` added."""

    def hand(
        self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor, is_left: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vertices (B, 778, 3) and joints (B, J, 3), m, camera axes, wrist at 0."""


@dataclass(frozen=True)
class PoseLoss:
    """Stage 2's loss, ten weighted terms, and two more of a network with view heads.

    The terms `vertices` and `edges`, of the mesh, are there where their weight is not 0. Sources:
    Lin et al., METRO (CVPR 2021); Ge et al., 3D Hand Shape and Pose Estimation from a Single RGB
    Image (CVPR 2019).
    """

    mano: HandModel
    """Poses the MANO fits, on the device of the batches."""

    weights: Mapping[str, float]
    """One weight per term, by the names of `__call__`."""

    depth_range_m: float
    """What the volume spans in front of the wrist and behind it."""

    mano_joints: Literal["annotated", "fit", "both"]
    """What `joints_mano` compares with: the annotated joints, the MANO fit's, or both: the sum of
    the two terms, as in EANet."""

    gesture_classes: GestureClasses = "both"
    """Whose cross-entropy the term `gesture` is: the coarse one, the fine one, or their sum."""

    def __call__(
        self,
        output: PoseOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: not used; every epoch has the same weights.
            count: (mask) -> what a mean over its true entries divides by.
        """
        root = axis_angle_to_matrix(batch.global_orient)[:, None]  # (B, 1, 3, 3)
        rotations = torch.cat([root, self.mano.rotations(batch.hand_pose)], 1)  # (B, 16, 3, 3)

        valid = batch.joint_valid
        rooted = valid & valid[:, WRIST, None]  # (B, J) the position relative to the wrist is known
        on_axis = batch.K[:, None, 2]  # (B, 1, 3) in front of any camera; masked below
        joints = torch.where(valid[..., None], batch.joints_cam, on_axis)
        wrist = joints[:, WRIST, None]  # (B, 1, 3) m, camera

        side = batch.image.shape[-1]
        uv = _to_unit(project(joints, batch.K), side)  # (B, J, 2) in [-1, 1]
        uv_volume = _to_unit(output.uv, side)
        uv_mano = _to_unit(project(in_front(output.joints + wrist, batch.K), batch.K), side)
        depth, depth_volume = (joints - wrist)[..., 2:], output.depth_rel[..., None]  # (B, J, 1)
        uvd = torch.cat([uv, depth / self.depth_range_m], dim=-1)
        uvd_volume = torch.cat([uv_volume, depth_volume / self.depth_range_m], dim=-1)
        joints_volume = back_project(output.uv, output.depth_rel + wrist[..., 2], batch.K)

        rot6d = matrix_to_rot6d(rotations)  # (B, 16, 6)
        coarse = cross_entropy(output.coarse_logits, batch.coarse, count)
        fine = cross_entropy(output.fine_logits, batch.fine, count)
        n_fits, n_rooted, n_valid = count(batch.has_mano), count(rooted), count(valid)
        share = len(batch) / count(torch.ones_like(batch.has_mano))  # 1 for one process
        joints_mano = masked_l1(output.joints, joints - wrist, rooted, n_rooted)
        of_mesh = [name for name in ("vertices", "edges") if self.weights[name]]
        if self.mano_joints != "annotated" or of_mesh:
            fit_vertices, fit_joints = self._fit_meshes(batch)
        if self.mano_joints != "annotated":
            to_fit = masked_l1(output.joints, fit_joints, batch.has_mano, n_fits)
            joints_mano = to_fit if self.mano_joints == "fit" else joints_mano + to_fit
        terms = {
            "rotation": masked_l1(output.rot6d[:, 1:], rot6d[:, 1:], batch.has_mano, n_fits),
            "root": masked_l1(output.rot6d[:, 0], rot6d[:, 0], batch.has_mano, n_fits),
            "betas": masked_l1(output.betas, batch.betas, batch.has_mano, n_fits),
            "joints_volume": masked_l1(joints_volume, joints, rooted, n_rooted),
            "joints_mano": joints_mano,
            "uvd": masked_l1(uvd_volume, uvd, rooted, n_rooted),
            "reprojection_volume": masked_l1(uv_volume, uv, valid, n_valid),
            "reprojection_mano": masked_l1(uv_mano, uv, rooted, n_rooted),
            "bone": share * bone_discontinuity(output.rotmat),
            "gesture": {"coarse": coarse, "fine": fine, "both": coarse + fine}[
                self.gesture_classes
            ],
        }
        if "vertices" in of_mesh:
            terms["vertices"] = masked_l1(output.vertices, fit_vertices, batch.has_mano, n_fits)
        if "edges" in of_mesh:
            lengths, fit_lengths = (
                edge_lengths(mesh, self.mano.edges) for mesh in (output.vertices, fit_vertices)
            )
            terms["edges"] = masked_l1(lengths, fit_lengths, batch.has_mano, n_fits)
        if output.view is not None:
            faces = facing(batch.joints_cam, valid, batch.is_left)
            terms["side"] = _binary_cross_entropy(output.view.side_logit, batch.is_left, count)
            terms["facing"] = cross_entropy(output.view.facing_logits, faces, count)
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def _fit_meshes(self, batch: HandBatch) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) and joints (B, J, 3) of the MANO fits, m, wrist at 0.

        They have no meaning where there is no fit.
        """
        fit = (batch.global_orient, batch.hand_pose, batch.betas)
        return self.mano.hand(*fit, batch.is_left)


MEASURED: tuple[str, ...] = (
    *("rotation", "root", "betas", "joints_volume", "joints_mano", "uvd"),
    *("reprojection_volume", "reprojection_mano", "vertices", "edges"),
)
"""The L1 terms against a truth, whose weights can be learnt."""

SCALE_LR_FACTOR = 20.0
"""Of the learning rate of `LearnedWeights.log_scales`, which move by several units from 0."""


class LearnedWeights(nn.Module):
    """A loss of whose terms some have learnt weights, by the noise that each is found to have.

    A term L becomes L / exp(s) + s with a learnt s, the negative log-likelihood of an L1 error of
    scale exp(s), but for a constant. Its best s is log L: then the size of the term, and so its
    fixed weight, no longer matters. All s start at 0, the loss as it is. Source: Kendall, Gal and
    Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses (CVPR 2018), where s is a log
    variance. The weight of a prior would grow for no reason, so it is not among `MEASURED`; a term
    that nothing is annotated for leaves its s alone.
    """

    def __init__(self, loss: Callable[..., dict[str, Tensor]], names: Iterable[str]) -> None:
        """Learn the weights of the terms of these names; the others keep theirs.

        Args:
            loss: (output, batch, epoch, count) -> weighted terms, none of them below 0.
            names: of terms that are always there.
        """
        super().__init__()
        self._terms = loss
        self.names = tuple(names)
        self.log_scales = nn.Parameter(torch.zeros(len(self.names)))

    def forward(
        self,
        output: PoseOutput,
        batch: HandBatch,
        epoch: int | None = None,
        count: Count = SINGLE_PROCESS.count,
    ) -> dict[str, Tensor]:
        """The terms, whose sum is the loss.

        Args:
            output: of the network.
            batch: the ground truth.
            epoch: counted from 0; None takes the fixed weights, which makes epochs comparable.
            count: (mask) -> what a mean over its true entries divides by.
        """
        terms = self._terms(output, batch, epoch, count)
        if epoch is None:
            return terms
        for name, log_scale in zip(self.names, self.log_scales.unbind(), strict=True):
            known = terms[name].detach() != 0
            terms[name] = terms[name] * (-log_scale).exp() + log_scale * known / count(known)
        return terms

    def factors(self) -> dict[str, float]:
        """By what each fixed weight is multiplied now."""
        return dict(zip(self.names, (-self.log_scales.detach()).exp().tolist(), strict=True))


def edge_lengths(vertices: Tensor, edges: Tensor) -> Tensor:
    """Lengths of a mesh's edges: vertices (B, V, 3), edges (E, 2) -> (B, E), in the same unit.

    The gradient of an edge without length is 0.
    """
    # not `vertices[:, edges]`: with several threads its gradient is summed in any order
    index = edges.flatten()[None, :, None].expand(len(vertices), -1, 3)
    ends = vertices.gather(1, index).view(len(vertices), -1, 2, 3)  # (B, E, 2, 3)
    lengths: Tensor = torch.linalg.vector_norm(ends[:, :, 1] - ends[:, :, 0], dim=-1)
    return lengths


def bone_discontinuity(rotmat: Tensor) -> Tensor:
    """Mean difference of consecutive joints' local rotations in 6D, along the five fingers.

    A prior, not a comparison with the truth: neighbouring joints of a finger flex alike, so a chain
    whose rotations jump is penalised whatever the annotation says. rotmat (B, 16, 3, 3) -> ().
    The root is left out: a hand's orientation does not constrain its fingers.
    """
    rot6d = matrix_to_rot6d(rotmat)  # (B, 16, 6)
    fingers = rot6d[:, 1:].reshape(-1, 5, 3, 6)  # MANO numbers a finger's joints in a row
    return (fingers[:, :, 1:] - fingers[:, :, :-1]).abs().mean()


def masked_l1(predicted: Tensor, truth: Tensor, mask: Tensor, denominator: Tensor) -> Tensor:
    """Mean absolute difference where the mask (of the leading dimensions) is true, else 0.

    The sum is divided by `denominator` (), such as `count(mask)`.
    """
    error = (predicted - truth).abs().flatten(mask.dim()).mean(-1)  # the mask's shape
    return (error * mask).sum() / denominator


def cross_entropy(
    logits: Tensor, classes: Tensor, count: Count, targets: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy over the labelled samples, 0 without any.

    Args:
        logits: (B, K).
        classes: (B,) int64, UNLABELLED where there is none.
        count: see this module.
        targets: (K, K), in row k the probabilities for a sample of class k; None: the class alone.
    """
    labelled = classes != UNLABELLED
    if targets is None:
        total = F.cross_entropy(logits.float(), classes, ignore_index=UNLABELLED, reduction="sum")
    else:
        wanted = targets[classes.clamp(min=0)]  # (B, K)
        total = -((wanted * logits.float().log_softmax(-1)).sum(-1) * labelled).sum()
    return total / count(labelled)


def supervised_contrastive(features: Tensor, classes: Tensor, count: Count) -> Tensor:
    """How little features of one class resemble each other, compared with those of other classes.

    Of each labelled sample with another of its class in the batch: the mean of -log of the softmax
    of its cosine similarities to all other labelled samples, over those of its class. 0 without any
    such sample. Source: Khosla et al., Supervised Contrastive Learning (NeurIPS 2020), equation 2;
    on the features themselves, without a projection. Several processes compare the samples of their
    own slices alone.

    Args:
        features: (B, C).
        classes: (B,) int64, UNLABELLED where there is none.
        count: see this module.
    """
    directions = F.normalize(features.float(), dim=-1)
    labelled = classes != UNLABELLED
    others = labelled & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)  # (B, B)
    alike = others & labelled[:, None] & (classes[:, None] == classes)  # (B, B)
    similarity = directions @ directions.mT / TEMPERATURE
    # not -inf, whose softmax is not a number where a sample has no other
    log_share = similarity.masked_fill(~others, -1e9).log_softmax(-1)
    of_class = alike.sum(-1)  # (B,)
    losses = -(log_share * alike).sum(-1) / of_class.clamp(min=1)
    return losses.sum() / count(of_class > 0)


def coarse_disagreement(
    coarse_logits: Tensor, fine_logits: Tensor, coarse_of_fine: Tensor
) -> Tensor:
    """Between the coarse probabilities and the fine ones summed to coarse classes, (B,) nats.

    The Jensen-Shannon divergence: 0 where they agree, at most log 2. Source: Garg et al., Learning
    Hierarchy Aware Features for Reducing Mistake Severity (ECCV 2022).

    Args:
        coarse_logits: (B, coarse classes).
        fine_logits: (B, fine classes).
        coarse_of_fine: (fine classes,) int64.
    """
    coarse, fine = (x.float().softmax(-1) for x in (coarse_logits, fine_logits))
    classes = torch.arange(coarse.shape[-1], device=coarse.device)
    summed = fine @ (coarse_of_fine[:, None] == classes).to(fine)  # (B, coarse classes)
    return _entropy((coarse + summed) / 2) - (_entropy(coarse) + _entropy(summed)) / 2


def _entropy(probabilities: Tensor) -> Tensor:
    """Of distributions (..., K): (...,) nats."""
    return -(probabilities * probabilities.clamp(min=1e-12).log()).sum(-1)


def _binary_cross_entropy(logits: Tensor, truth: Tensor, count: Count) -> Tensor:
    """Mean cross-entropy of two classes: logits (B,), truth (B,) bool."""
    total = F.binary_cross_entropy_with_logits(logits.float(), truth.float(), reduction="sum")
    return total / count(torch.ones_like(truth))


def _to_unit(uv: Tensor, side: int) -> Tensor:
    """Pixels of a crop of this side -> [-1, 1] from its first to its last pixel centre."""
    return 2 * uv / (side - 1) - 1


def in_front(points: Tensor, K: Tensor) -> Tensor:
    """Points (B, J, 3) m moved along the axis of the camera K (B, 3, 3) to a depth >= `NEAR`."""
    axis = K[:, None, 2]  # (B, 1, 3) a unit vector, z if the camera is not turned
    depth = (points * axis).sum(-1, keepdim=True)
    return points + (NEAR - depth).clamp(min=0) * axis

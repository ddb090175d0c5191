from __future__ import annotations

import dataclasses
from typing import Any, Literal, Protocol

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from handpose.hand.camera import project
from handpose.hand.facing import facing
from handpose.hand.mano import Mano
from handpose.hand.rotation import axis_angle_to_matrix, matrix_to_rot6d
from handpose.hand.skeleton import MANO_PARENTS
from handpose.sample import (
    GestureClasses,
    HandBatch,
    PoseOutput,
    SideFacingOutput,
)
from handpose.training.loss.pose_loss import (
    MEASURED,
    NEAR,
    PoseLoss,
    bone_discontinuity,
    edge_lengths,
)
from stages.params import LossWeights
from tests.training.loss.pose_outputs import (
    DEPTH_RANGE_M,
    SIDE_PX,
    TERMS,
    changed,
    random_output,
    without_annotation,
)
from tests.turned_batch import turned_batch

Choice = Literal["annotated", "fit", "both"]

OF_VIEW_HEADS = {"side", "facing"}
CLASSES: tuple[GestureClasses, ...] = ("both", "coarse", "fine")


@pytest.fixture
def truth(batch: HandBatch, mano: Mano) -> PoseOutput:
    return perfect(batch, mano)


def perfect(batch: HandBatch, mano: Mano) -> PoseOutput:
    """The output of a perfect network."""
    root = axis_angle_to_matrix(batch.global_orient)[:, None]
    rotations = torch.cat([root, mano.rotations(batch.hand_pose)], dim=1)  # (B, 16, 3, 3)
    hand = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
    return PoseOutput(
        uv=project(batch.joints_cam, batch.K),
        depth_rel=batch.joints_cam[..., 2] - batch.joints_cam[:, :1, 2],
        rot6d=matrix_to_rot6d(rotations),
        rotmat=rotations,
        betas=batch.betas,
        joints=hand.joints,
        vertices=hand.vertices,
        coarse_logits=1e4 * F.one_hot(batch.coarse, 6).float(),
        fine_logits=1e4 * F.one_hot(batch.fine, 9).float(),
        gates=torch.zeros(2),
        view=SideFacingOutput(
            torch.where(batch.is_left, 1e4, -1e4),
            1e4 * F.one_hot(facing(batch.joints_cam, batch.joint_valid, batch.is_left), 3).float(),
        ),
    )


class Terms(Protocol):
    def __call__(
        self,
        output: PoseOutput,
        batch: HandBatch,
        truth: Choice = "annotated",
        **weights: float,
    ) -> dict[str, Tensor]: ...


@pytest.fixture
def terms(mano: Mano) -> Terms:
    """The loss's terms, with all weights 1 except those given."""

    def call(
        output: PoseOutput, batch: HandBatch, truth: Choice = "annotated", **weights: float
    ) -> dict[str, Tensor]:
        loss = PoseLoss(mano, dict.fromkeys(TERMS, 1.0) | weights, DEPTH_RANGE_M, truth)
        return loss(output, batch)

    return call


def test_truth_has_no_loss_but_the_bone_prior(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    losses = terms(truth, batch)
    assert set(losses) == set(TERMS)
    assert losses.pop("bone") > 0.01
    assert all(loss < 1e-5 for loss in losses.values()), losses


def test_truth_of_a_turned_camera_has_no_loss_either(
    batch: HandBatch, mano: Mano, terms: Terms
) -> None:
    turned = turned_batch(batch)
    output = perfect(turned, mano)
    turned.joint_valid[:, 9] = False
    turned.joints_cam[:, 9] = 0
    losses = terms(output, turned)
    del losses["bone"]
    assert all(loss < 1e-5 for loss in losses.values()), losses


def test_a_hand_behind_a_turned_camera_is_projected_in_front_of_it(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    behind = changed(truth, joints=truth.joints - torch.tensor([0, 0, 2.0]))
    for seen in (batch, turned_batch(batch)):
        limit = (
            2 * (1.9 * SIDE_PX + SIDE_PX) / NEAR / SIDE_PX
        )  # of a point 1 m aside at the nearest depth
        assert terms(behind, seen)["reprojection_mano"] < limit


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("rot6d", {"rotation", "root"}),
        ("rotmat", {"bone"}),
        ("betas", {"betas"}),
        ("uv", {"joints_volume", "uvd", "reprojection_volume"}),
        ("depth_rel", {"joints_volume", "uvd"}),
        ("joints", {"joints_mano", "reprojection_mano"}),
        ("vertices", {"vertices", "edges"}),
        ("coarse_logits", {"gesture"}),
        ("fine_logits", {"gesture"}),
    ],
)
def test_each_field_answers_to_its_own_terms(
    field: str, expected: set[str], truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    value: Tensor = getattr(truth, field)
    wrong = changed(truth, **{field: 1.5 * value.roll(1, dims=0)})
    before, after = terms(truth, batch), terms(wrong, batch)
    assert {name for name in TERMS if abs(after[name] - before[name]) > 1e-4} == expected


def test_view_heads_answer_to_side_and_facing_and_have_no_terms_where_there_are_none(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    assert truth.view is not None
    before = terms(truth, batch)
    for field, name in (("side_logit", "side"), ("facing_logits", "facing")):
        wrong = dataclasses.replace(truth.view, **{field: -getattr(truth.view, field)})
        after = terms(changed(truth, view=wrong), batch)
        assert {key for key in TERMS if abs(after[key] - before[key]) > 1e-4} == {name}
    assert set(terms(changed(truth, view=None), batch)) == set(TERMS) - OF_VIEW_HEADS
    unknown = dataclasses.replace(batch, joint_valid=torch.zeros_like(batch.joint_valid))
    assert terms(changed(truth, view=wrong), unknown)["facing"] == 0


def test_sizes_are_metres_pixels_and_depth_ranges(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    """Every joint wrong by so much in one coordinate: the mean over coordinates is known."""
    aside = changed(truth, joints=truth.joints + torch.tensor([0.003, 0, 0]))
    assert terms(aside, batch)["joints_mano"] == pytest.approx(0.001, rel=1e-3)

    right = changed(truth, uv=truth.uv + torch.tensor([1.0, 0]))
    losses = terms(right, batch)
    assert losses["reprojection_volume"] == pytest.approx(2 / (SIDE_PX - 1) / 2, rel=1e-3)
    assert losses["uvd"] == pytest.approx(2 / (SIDE_PX - 1) / 3, rel=1e-3)
    metres = (batch.joints_cam[..., 2] / batch.K[0, 0, 0]).mean() / 3  # of one pixel, at its depth
    assert losses["joints_volume"] == pytest.approx(metres.item(), rel=1e-3)

    behind = changed(truth, depth_rel=truth.depth_rel + 0.03)
    assert terms(behind, batch)["uvd"] == pytest.approx(0.03 / DEPTH_RANGE_M / 3, rel=1e-3)


def test_weights_multiply_their_term_alone(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    wrong = changed(truth, betas=truth.betas + 1, joints=truth.joints + 0.01)
    plain, heavy = terms(wrong, batch), terms(wrong, batch, betas=3.0)
    assert heavy.pop("betas") == pytest.approx(3 * plain.pop("betas").item())
    assert all(heavy[name] == plain[name] for name in plain)


def test_nothing_annotated_is_no_loss_and_no_gradient(batch: HandBatch, terms: Terms) -> None:
    output = random_output(4)
    losses = terms(output, without_annotation(batch, slice(None)))
    bone = losses.pop("bone")
    assert all(loss == 0 for loss in losses.values()), losses
    torch.stack([*losses.values(), bone]).sum().backward()  # type: ignore[no-untyped-call]
    for field in dataclasses.fields(PoseOutput):
        if field.name in ("view", "uv_mano", "confidence_input", "confidence"):
            continue
        grad = getattr(output, field.name).grad
        if field.name == "rotmat":
            assert grad.isfinite().all()
        else:
            assert grad is None or not grad.any(), field.name


def test_sample_without_annotation_does_not_count(batch: HandBatch, terms: Terms) -> None:
    """Two known and two unknown samples are worth as much as the two known alone."""
    output = random_output(4)
    half = {f.name: getattr(batch, f.name)[:2] for f in dataclasses.fields(HandBatch)}
    tensors = {f.name for f in dataclasses.fields(PoseOutput)}
    tensors -= {"view", "uv_mano", "confidence_input", "confidence"}
    known: dict[str, Any] = {name: getattr(output, name)[:2] for name in tensors}
    mixed = terms(output, without_annotation(batch, slice(2, 4)))
    alone = terms(PoseOutput(**known), HandBatch(**half))
    for name in set(TERMS) - OF_VIEW_HEADS - {"bone"}:  # bone needs no annotation
        torch.testing.assert_close(mixed[name], alone[name])


def test_joints_are_masked_one_by_one_and_all_with_the_wrist(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    joint_valid = batch.joint_valid.clone()
    joint_valid[:, 7] = False
    uv, joints = truth.uv.clone(), truth.joints.clone()
    uv[:, 7], joints[:, 7] = 1e3, 1e3
    wrong = changed(truth, uv=uv, joints=joints)
    one = terms(wrong, dataclasses.replace(batch, joint_valid=joint_valid))
    one.pop("bone")
    assert all(loss < 1e-5 for loss in one.values()), one

    joint_valid[:, 0] = False  # without its wrist a hand is known in the picture only
    no_wrist = terms(
        changed(truth, uv=truth.uv + 1),
        dataclasses.replace(batch, joint_valid=joint_valid),
    )
    assert no_wrist["reprojection_volume"] > 0
    for name in ("joints_volume", "joints_mano", "uvd", "reprojection_mano"):
        assert no_wrist[name] == 0, name


def test_hand_behind_the_camera_is_finite(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    joints = (truth.joints - torch.tensor([0, 0, 5.0])).requires_grad_()
    loss = terms(changed(truth, joints=joints), batch)["reprojection_mano"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite() and joints.grad is not None and joints.grad.isfinite().all()


CHOICES: tuple[Choice, ...] = ("annotated", "fit", "both")


def offset(joints: Tensor) -> Tensor:
    """Joints of which every one but the wrist lies 6 mm aside: 2 mm in the mean of coordinates."""
    aside = torch.full((21, 1), 0.006)
    aside[0] = 0
    return joints + aside * torch.tensor([1.0, 0, 0])


@pytest.fixture
def apart(batch: HandBatch) -> HandBatch:
    """A batch whose annotated joints lie 6 mm from those of its fits, as in real data."""
    return dataclasses.replace(batch, joints_cam=offset(batch.joints_cam))


@pytest.mark.parametrize("choice", CHOICES)
def test_each_choice_of_joints_has_no_loss_where_both_truths_are_one(
    truth: PoseOutput, batch: HandBatch, terms: Terms, choice: Choice
) -> None:
    assert terms(truth, batch, choice)["joints_mano"] < 1e-6


def test_each_choice_pulls_to_its_own_joints(
    truth: PoseOutput, apart: HandBatch, terms: Terms
) -> None:
    size = pytest.approx(0.002 * 20 / 21, rel=1e-3)
    annotated = changed(truth, joints=offset(truth.joints))
    assert terms(annotated, apart, "annotated")["joints_mano"] < 1e-6
    assert terms(annotated, apart, "fit")["joints_mano"] == size
    assert terms(truth, apart, "annotated")["joints_mano"] == size
    assert terms(truth, apart, "fit")["joints_mano"] < 1e-6
    for output in (annotated, truth):
        assert terms(output, apart, "both")["joints_mano"] == size


def test_both_is_the_sum_and_no_other_term_depends_on_the_choice(
    apart: HandBatch, terms: Terms
) -> None:
    output = random_output(4)
    one, other, both = (terms(output, apart, choice) for choice in CHOICES)
    torch.testing.assert_close(one["joints_mano"] + other["joints_mano"], both["joints_mano"])
    for name in set(TERMS) - OF_VIEW_HEADS - {"joints_mano"}:
        assert one[name] == other[name] == both[name]


@pytest.mark.parametrize("choice", CHOICES)
def test_the_joints_gradient_is_a_sign_over_what_counts(
    apart: HandBatch, terms: Terms, choice: Choice
) -> None:
    """Annotated: over its valid joints; the fit's: over the 21 of each sample that has one."""
    batch = dataclasses.replace(
        apart,
        joint_valid=apart.joint_valid & (torch.arange(21) != 7),
        has_mano=torch.tensor([True, False, True, True]),
    )
    joints = torch.full((4, 21, 3), 9.0, requires_grad=True)  # on one side of both truths
    loss = terms(changed(random_output(4), joints=joints), batch, choice)["joints_mano"]
    loss.backward()  # type: ignore[no-untyped-call]
    annotated = batch.joint_valid / batch.joint_valid.sum()  # (4, 21)
    fit = (batch.has_mano / batch.has_mano.sum() / 21)[:, None].expand(4, 21)
    expected = {"annotated": annotated, "fit": fit, "both": annotated + fit}[choice] / 3
    torch.testing.assert_close(joints.grad, expected[..., None].expand(4, 21, 3))


def test_a_sample_without_a_fit_counts_in_the_annotated_joints_alone(
    truth: PoseOutput, apart: HandBatch, terms: Terms
) -> None:
    none = torch.zeros(4, dtype=torch.bool)
    far = changed(truth, joints=truth.joints + 1)
    without = dataclasses.replace(apart, has_mano=none)
    assert terms(far, without, "fit")["joints_mano"] == 0
    both, annotated = terms(far, without, "both"), terms(far, without, "annotated")
    assert both["joints_mano"] == annotated["joints_mano"]
    unrooted = dataclasses.replace(apart, joint_valid=torch.zeros(4, 21, dtype=torch.bool))
    assert terms(far, unrooted, "fit")["joints_mano"] > 0.9, "the fit needs no annotated joint"


def test_the_mesh_has_terms_only_where_it_has_weights(
    truth: PoseOutput, batch: HandBatch, mano: Mano
) -> None:
    plain = PoseLoss(mano, LossWeights().keywords(), DEPTH_RANGE_M, "annotated")(truth, batch)
    assert not {"vertices", "edges"} & plain.keys()
    for name, other in (("vertices", "edges"), ("edges", "vertices")):
        weights = LossWeights(**{name: 2.0}).keywords()
        terms = PoseLoss(mano, weights, DEPTH_RANGE_M, "annotated")(truth, batch)
        assert name in terms and other not in terms
        assert {key: terms[key] for key in plain} == plain


def test_the_mesh_is_compared_in_metres_and_its_edges_by_length_alone(
    truth: PoseOutput, batch: HandBatch, mano: Mano, terms: Terms
) -> None:
    aside = terms(changed(truth, vertices=truth.vertices + torch.tensor([0.003, 0, 0])), batch)
    assert aside["vertices"] == pytest.approx(0.001, rel=1e-3) and aside["edges"] < 1e-6
    turn = axis_angle_to_matrix(torch.randn(3))
    turned = terms(changed(truth, vertices=truth.vertices @ turn.mT), batch)
    assert turned["vertices"] > 0.01 and turned["edges"] < 1e-6
    longer = terms(changed(truth, vertices=1.25 * truth.vertices), batch)["edges"]
    corners = truth.vertices[:, mano.faces]  # (B, F, 3, 3)
    sides = (corners - corners.roll(1, dims=2)).norm(dim=-1).flatten(1)
    pairs = torch.stack([mano.faces, mano.faces.roll(1, dims=1)], -1).flatten(0, 1)
    _, first = np.unique(np.sort(pairs.numpy(), axis=1), axis=0, return_index=True)
    assert longer == pytest.approx(0.25 * sides[:, first].mean().item(), rel=1e-4)


def test_only_a_fit_pulls_the_mesh(batch: HandBatch, mano: Mano) -> None:
    """A vertex is pulled to the fit's: a sign over what counts; an unknown hand is not."""
    some = dataclasses.replace(batch, has_mano=torch.tensor([True, False, True, True]))
    loss = PoseLoss(mano, LossWeights(vertices=3.0).keywords(), DEPTH_RANGE_M, "annotated")
    vertices = torch.full((4, 778, 3), 9.0, requires_grad=True)
    loss(changed(random_output(4), vertices=vertices), some)["vertices"].backward()  # type: ignore[no-untyped-call]
    expected = 3 * some.has_mano / 3 / 778 / 3
    torch.testing.assert_close(vertices.grad, expected[:, None, None].expand(4, 778, 3))


def test_a_step_along_the_edges_gradient_makes_lengths_more_alike(
    truth: PoseOutput, batch: HandBatch, terms: Terms
) -> None:
    vertices = (truth.vertices + 0.002 * torch.randn(4, 778, 3)).requires_grad_()
    before = terms(changed(truth, vertices=vertices), batch)["edges"]
    before.backward()  # type: ignore[no-untyped-call]
    assert vertices.grad is not None
    after = terms(changed(truth, vertices=vertices - 0.1 * vertices.grad), batch)["edges"]
    assert after < before


def test_an_edge_without_length_has_a_gradient() -> None:
    vertices = torch.zeros(1, 3, 3, requires_grad=True)
    lengths = edge_lengths(vertices, torch.tensor([[0, 1], [1, 2]]))
    lengths.sum().backward()  # type: ignore[no-untyped-call]
    assert vertices.grad is not None and not vertices.grad.any()


def test_bones_that_turn_alike_are_continuous() -> None:
    finger = axis_angle_to_matrix(torch.randn(2, 5, 1, 3)).expand(2, 5, 3, 3, 3).flatten(1, 2)
    root = axis_angle_to_matrix(torch.randn(2, 1, 3))
    assert bone_discontinuity(torch.cat([root, finger], dim=1)) == 0


def test_bone_discontinuity_goes_along_manos_tree() -> None:
    rotmat = axis_angle_to_matrix(torch.randn(3, 16, 3))
    pairs = [(child, parent) for child, parent in enumerate(MANO_PARENTS) if parent > 0]
    rot6d = matrix_to_rot6d(rotmat)
    expected = torch.stack([(rot6d[:, a] - rot6d[:, b]).abs().mean() for a, b in pairs]).mean()
    assert len(pairs) == 10
    torch.testing.assert_close(bone_discontinuity(rotmat), expected)


def test_bone_discontinuity_is_that_of_the_jump() -> None:
    rotmat = torch.eye(3).repeat(1, 16, 1, 1)
    rotmat[:, 3] = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))  # the last joint of the index finger
    # one of 10 pairs differs, by 2 in two of six numbers
    assert bone_discontinuity(rotmat) == pytest.approx(2 * 2 / 6 / 10)


def test_stage_2_counts_the_chosen_gesture_classes(batch: HandBatch, mano: Mano) -> None:
    output = random_output(4)
    weights = dict.fromkeys(TERMS, 1.0)
    both, coarse, fine = (
        PoseLoss(mano, weights, DEPTH_RANGE_M, "annotated", classes)(output, batch)[
            "gesture"
        ].item()
        for classes in CLASSES
    )
    assert coarse == pytest.approx(F.cross_entropy(output.coarse_logits, batch.coarse).item())
    assert fine == pytest.approx(F.cross_entropy(output.fine_logits, batch.fine).item())
    assert both == pytest.approx(coarse + fine)


def test_what_is_measured_are_terms(terms: Terms, batch: HandBatch) -> None:
    every = set(terms(random_output(4), batch))
    assert set(MEASURED) == every - {"bone", "gesture"}

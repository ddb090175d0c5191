from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from handpose.evaluation.baselines import TrainingMeans
from handpose.evaluation.scores import (
    CLASS_POSE,
    MEAN_JOINTS,
    MEAN_POSE,
    STAGE_1,
    UNTRAINED,
    Models,
    Scores,
    score_split,
)
from handpose.hand.camera import project, turn, turn_back
from handpose.hand.mano import Mano
from handpose.nets.pose_net import Encoded
from handpose.sample import UNLABELLED, GestureOutput, HandBatch, PoseOutput
from tests.host_watch import HostWatch
from tests.turned_batch import turned_batch


class Guess(nn.Module):
    """Stands for a gesture net: features are the image's mean colours, logits come from them."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, image: Tensor) -> GestureOutput:
        features = image.float().mean((2, 3)) + self.bias  # (B, 3)
        return GestureOutput(features.repeat(1, 2), features.repeat(1, 3), features)


class Pose(nn.Module):
    """Stands for a pose net: the hand at rest, wherever, with the volume in the crop's middle.

    With tokens, its thumb's tip moves by the first gate and the first coarse probability.
    """

    def __init__(self, mano: Mano, gates: Tensor | None = None) -> None:
        super().__init__()
        self.mano = mano
        self.gesture_tokens = gates

    def encode(self, image: Tensor, K: Tensor) -> Encoded:
        logits = image.float().mean((1, 2, 3))[:, None] * torch.linspace(-1, 1, 9)
        return Encoded({4: image}, GestureOutput(logits[:, :6], logits, logits))

    def decode(
        self,
        encoded: Encoded,
        is_left: Tensor,
        gates: Tensor | None = None,
    ) -> PoseOutput:
        gesture, image, n = encoded.gesture, encoded.levels[4], len(is_left)
        hand = self.mano.hand(torch.zeros(n, 3), torch.zeros(n, 45), torch.zeros(n, 10), is_left)
        joints = hand.joints + 0.3
        if self.gesture_tokens is not None:
            gates = self.gesture_tokens if gates is None else gates
            joints[:, 4, 2] += gates[0] * gesture.coarse_logits.softmax(-1)[:, 0]
        return PoseOutput(
            uv=torch.full((n, 21, 2), image.shape[-1] / 2),
            depth_rel=torch.zeros(n, 21),
            rot6d=torch.zeros(n, 16, 6),
            rotmat=torch.zeros(n, 16, 3, 3),
            betas=torch.zeros(n, 10),
            joints=joints,
            vertices=hand.vertices + 0.3,
            coarse_logits=gesture.coarse_logits,
            fine_logits=gesture.fine_logits,
            gates=torch.zeros(2),
        )


@pytest.fixture
def models(mano: Mano) -> Models:
    flat = torch.eye(3).repeat(15, 1, 1)
    by_class = dict.fromkeys(range(54), flat)
    means = TrainingMeans(torch.randn(21, 3) * 0.05, flat, torch.zeros(10), by_class=by_class)
    nets: dict[str, Any] = {
        "gesture": Guess(0.0),
        "untrained": Guess(5.0),
        "pose": {"pretrained": Pose(mano, torch.tensor([0.5, 0.0])), "scratch": Pose(mano)},
    }
    return Models(**nets, means=means, mano=mano)


@pytest.fixture
def batch(make_batch: Callable[..., HandBatch]) -> HandBatch:
    return make_batch(7)


def in_parts(batch: HandBatch, size: int) -> list[HandBatch]:
    fields = [f.name for f in dataclasses.fields(batch)]
    return [
        HandBatch(**{name: getattr(batch, name)[start : start + size] for name in fields})
        for start in range(0, len(batch), size)
    ]


def flat(scores: Scores) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{name} {key}", item)
        else:
            found[name] = value

    for field in dataclasses.fields(scores):
        add(field.name, getattr(scores, field.name))
    return found


def test_the_size_of_the_batches_changes_nothing(batch: HandBatch, models: Models) -> None:
    one = flat(score_split([batch], models, feature_rows=np.array([0, 2, 4, 6])))
    many = flat(score_split(in_parts(batch, 3), models, feature_rows=np.array([0, 2, 4, 6])))
    assert one.keys() == many.keys()
    for name, array in one.items():
        np.testing.assert_allclose(many[name], array, rtol=1e-4, atol=1e-4, err_msg=name)


def test_no_batch_waits_for_the_device(batch: HandBatch, models: Models) -> None:
    """Values are read when columns are fetched, many batches at a time."""
    found: set[str] = set()

    def batches() -> Iterator[HandBatch]:
        yield from in_parts(batch, 3)
        found.update(watch.found)

    with HostWatch() as watch:
        score_split(batches(), models, feature_rows=np.array([3]))
    assert not [one for one in found if one.startswith("reads")]
    assert any(one.startswith("reads") for one in watch.found), "the fetch is seen"


def test_columns_are_the_same_however_many_batches_are_fetched_together(
    batch: HandBatch, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.array([0, 5])
    together = flat(score_split(in_parts(batch, 2), models, feature_rows=rows))
    monkeypatch.setattr("handpose.evaluation.scores.BATCHES_AT_A_TIME", 1)
    one_by_one = flat(score_split(in_parts(batch, 2), models, feature_rows=rows))
    for name, array in together.items():
        np.testing.assert_array_equal(one_by_one[name], array, err_msg=name)


def test_every_model_and_baseline_is_scored_on_every_sample(
    batch: HandBatch, models: Models
) -> None:
    scores = score_split([batch], models)
    assert set(scores.pose) == {"pretrained", "scratch", MEAN_JOINTS, MEAN_POSE, CLASS_POSE}
    assert set(scores.predicted) == {STAGE_1, "pretrained", "scratch"}
    assert len(scores) == 7
    for found in scores.pose.values():
        assert all(len(array) == 7 for array in found.values())
        assert np.isfinite(found["wrist_mpjpe_mm"]).all()
    np.testing.assert_array_equal(scores.classes["coarse"], batch.coarse)
    assert scores.joints["scratch"].shape == (7, 21, 3)
    assert np.abs(scores.joints["scratch"][:, 0]).max() < 1e-6, "about the wrist"


def test_joints_are_stored_in_the_frame_of_the_camera(batch: HandBatch, models: Models) -> None:
    turned = turned_batch(batch)
    plain, found = score_split([batch], models), score_split([turned], models)
    # the network is blind: it says the same of both, here about the frame of the turned camera
    expected = turn_back(torch.from_numpy(plain.joints["scratch"]), turned.view_rotation)
    np.testing.assert_allclose(found.joints["scratch"], expected, atol=1e-6)


class Placed(Pose):
    """A hand whose joints it sees where they are when its wrist is here, in the camera's frame."""

    def __init__(self, mano: Mano, batch: HandBatch, wrists: Tensor) -> None:
        super().__init__(mano)
        self.batch, self.wrists = batch, wrists

    def decode(self, encoded: Encoded, is_left: Tensor, gates: Tensor | None = None) -> PoseOutput:
        output = super().decode(encoded, is_left, gates)
        there = turn(self.wrists[:, None], self.batch.view_rotation)
        joints = output.joints - output.joints[:, :1] + there
        return dataclasses.replace(output, uv=project(joints, self.batch.K))


def test_wrists_are_where_the_joints_are_seen_and_found_only_if_asked_for(
    batch: HandBatch, models: Models, mano: Mano
) -> None:
    wrists = torch.tensor([0.05, -0.03, 0.6]) + 0.02 * torch.randn(len(batch), 3)
    for one in (batch, turned_batch(batch)):
        nets: Any = {"scratch": Placed(mano, one, wrists)}
        own = dataclasses.replace(models, pose=nets)
        found = score_split([one], own, placed=True)
        np.testing.assert_allclose(found.wrists["scratch"], wrists, atol=2e-4)
    assert score_split([batch], models).wrists == {}


def test_baselines_are_of_the_camera_and_score_alike_when_it_is_turned(
    batch: HandBatch, models: Models
) -> None:
    plain, found = score_split([batch], models), score_split([turned_batch(batch)], models)
    for name in (MEAN_JOINTS, MEAN_POSE):
        for key, values in plain.pose[name].items():
            np.testing.assert_allclose(found.pose[name][key], values, rtol=1e-3, atol=1e-2)


def test_features_and_logits_are_stored_for_the_chosen_samples(
    batch: HandBatch, models: Models
) -> None:
    scores = score_split(in_parts(batch, 2), models, feature_rows=np.array([6, 0, 3]))
    np.testing.assert_array_equal(scores.feature_rows, [0, 3, 6])
    expected = batch.image[[0, 3, 6]].float().mean((2, 3)).numpy()
    np.testing.assert_allclose(scores.features[STAGE_1], expected, rtol=1e-5)
    np.testing.assert_allclose(scores.features[UNTRAINED], expected + 5, rtol=1e-5)
    np.testing.assert_allclose(scores.logits["coarse"], np.tile(expected, 2), rtol=1e-5)
    np.testing.assert_allclose(scores.logits["fine"], np.tile(expected, 3), rtol=1e-5)
    assert len(score_split([batch], models).feature_rows) == 0


def test_vertex_errors_are_means_over_the_samples_with_a_fit(
    batch: HandBatch, models: Models
) -> None:
    has = torch.arange(len(batch)) % 3 > 0
    some = dataclasses.replace(batch, has_mano=has)
    found = score_split(in_parts(some, 4), models)
    for run, errors in found.vertex_errors_mm.items():
        assert errors.shape == (778,)
        expected = np.nanmean(found.pose[run]["wrist_fit_mpvpe_mm"])
        assert errors.mean() == pytest.approx(expected, rel=1e-4)
    none = score_split([dataclasses.replace(batch, has_mano=~(has | ~has))], models)
    assert all(np.isnan(errors).all() for errors in none.vertex_errors_mm.values())
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()


def test_the_mean_pose_needs_a_true_root_hence_a_fit(batch: HandBatch, models: Models) -> None:
    has = torch.tensor([True, False, True, True, True, True, True])
    scores = score_split([dataclasses.replace(batch, has_mano=has)], models)
    found = scores.pose[MEAN_POSE]
    for key, array in found.items():
        assert np.isnan(array[1]).all(), key
    assert np.isfinite(scores.pose[MEAN_JOINTS]["wrist_mpjpe_mm"]).all()


def test_the_mean_pose_of_the_truth_itself_is_perfect(
    make_batch: Callable[..., HandBatch], models: Models, mano: Mano
) -> None:
    batch = make_batch(2)
    batch.hand_pose[1], batch.betas[1] = batch.hand_pose[0], batch.betas[0]
    means = TrainingMeans(
        models.means.joints, mano.rotations(batch.hand_pose[:1])[0], batch.betas[0]
    )
    scores = score_split([batch], dataclasses.replace(models, means=means))
    assert scores.pose[MEAN_POSE]["wrist_fit_mpvpe_mm"].max() < 1e-2


def test_the_oracle_needs_a_class_that_training_has(
    make_batch: Callable[..., HandBatch], models: Models, mano: Mano
) -> None:
    batch = make_batch(3)
    batch.has_mano[:] = True
    batch.coarse[:] = torch.tensor([5, 3, UNLABELLED])
    own = mano.rotations(batch.hand_pose[:1])[0]
    means = dataclasses.replace(models.means, betas=batch.betas[0], by_class={5: own})
    found = score_split([batch], dataclasses.replace(models, means=means)).pose[CLASS_POSE]
    assert found["wrist_fit_mpvpe_mm"][0] < 1e-2
    for key, array in found.items():
        assert np.isnan(array[1:]).all(), key

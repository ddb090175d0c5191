"""Scores of every model and baseline on every sample of a split.

One pass over the batches; keeps numbers and joints but no images or meshes, so that a split of half
a million samples fits into memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.evaluation.baselines import TrainingMeans
from handpose.evaluation.interventions import INTERVENTIONS, TokenInterventions
from handpose.evaluation.protocols import (
    Prediction,
    Truth,
    finite_scores,
    joint_scores,
    require_finite,
)
from handpose.evaluation.side_and_facing import facing_hits, mirrored_fingers, side_hits
from handpose.hand.camera import project, turn, turn_back
from handpose.hand.facing import facing, image_rotation
from handpose.hand.mano import Mano
from handpose.hand.placement import wrist_by_pixels
from handpose.hand.skeleton import MIDDLE_MCP, WRIST
from handpose.nets.gesture_net import GestureNet
from handpose.nets.network_by_name import PoseNetwork
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch, PoseOutput

Key = tuple[str, ...]
Named = tuple[Key, Tensor]

MEAN_JOINTS = "mean_joints"
MEAN_POSE = "mean_pose"
CLASS_POSE = "class_pose"
STAGE_1 = "stage_1"
UNTRAINED = "untrained"

NOT_FINITE = "not_finite"

BATCHES_AT_A_TIME = 32
"""Batches whose columns stay on the device until they are fetched together."""


@dataclass(frozen=True)
class Models:
    """The evaluated models; all networks on one device, in evaluation mode."""

    gesture: GestureNet  # Stage 1
    untrained: GestureNet  # the same network before Stage 1
    pose: Mapping[str, PoseNetwork]  # Stage 2's runs by name
    means: TrainingMeans
    mano: Mano


@dataclass(frozen=True)
class Scores:
    """Scores of the N samples of a split, in order; N is the first axis of every array."""

    sample_id: NDArray[Any]
    has_mano: NDArray[Any]
    joint_valid: NDArray[Any]  # (N, 21) annotated joints
    classes: dict[str, NDArray[Any]]  # coarse, fine: ground truth or UNLABELLED
    predicted: dict[str, dict[str, NDArray[Any]]]  # by network: coarse, fine
    pose: dict[str, dict[str, NDArray[Any]]]  # by run or baseline: keys of `protocols.score`
    interventions: dict[str, dict[str, dict[str, NDArray[Any]]]]
    """By run with gesture tokens, then by key of `INTERVENTIONS`: wrist_mpjpe_mm and pa_mpjpe_mm,
    (N,), NaN where the sample has no such ground truth or the intervention is not possible."""
    joints: dict[str, NDArray[Any]]
    """By run: (N, 21, 3) m, wrist at 0, axes of the camera of the network's input; that of a
    mirrored photo is mirrored."""
    facing: NDArray[Any]  # (N,) true class of `hand/facing.py`, or UNKNOWN
    rotation: NDArray[Any]  # (N,) rad, in-plane rotation in the network's input, or NaN
    view: dict[str, dict[str, NDArray[Any]]]
    """By run: mirrored_fingers, and with view heads side_accuracy and facing_accuracy: (N,) 0 or 1,
    NaN where the truth is not known."""
    confidence: NDArray[Any]  # (N,) Stage 1's probability of its coarse class
    vertex_errors_mm: dict[str, NDArray[Any]]
    """By run: (V,) mean distance of each vertex from that of the MANO fit, wrists together, over
    the samples with a fit; NaN without any."""
    features: dict[str, NDArray[Any]]  # of Stage 1 and untrained: (n, C) of `feature_rows`
    logits: dict[str, NDArray[Any]]  # of Stage 1's coarse and fine classifier: (n, K) of these
    feature_rows: NDArray[Any]  # (n,) indices of these samples, ascending
    wrists: dict[str, NDArray[Any]] = field(default_factory=dict)
    """By run, if hands were placed: (N, 3) m, where the wrist is, in the axes of `joints`."""

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.sample_id)


@torch.no_grad()
def score_split(
    batches: Iterable[HandBatch],
    models: Models,
    *,
    feature_rows: NDArray[Any] | None = None,
    mano: Mano | None = None,
    placed: bool = False,
) -> Scores:
    """Score all samples.

    Args:
        batches: of the split, each sample once.
        models: what is evaluated.
        feature_rows: indices in the split of the samples whose features and logits are kept.
        mano: with the joints that this split annotates, if they are not those of `models.mano`.
        placed: say where each run's wrists are in the camera's frame. No network predicts it: a
            hand is put where its joints are nearest to the pixels at which they were predicted.

    Raises:
        ProtocolError: a network predicts values that are not finite; on a GPU it is noticed when
            columns are fetched.
    """
    device = next(models.gesture.parameters()).device
    collected = _Collected()
    interventions = {
        run: TokenInterventions(net)
        for run, net in models.pose.items()
        if isinstance(net, PoseNet) and net.gesture_tokens is not None
    }
    kept = np.sort(feature_rows) if feature_rows is not None else np.empty(0, np.int64)
    first = 0
    for batch in batches:
        batch = batch.to(device)
        sampled = kept[slice(*np.searchsorted(kept, [first, first + len(batch)]))]
        rows = torch.from_numpy(sampled - first).to(device)
        collected.add(
            chain(
                _truth(batch),
                _gestures(batch, rows, models),
                _poses(batch, models, interventions, mano or models.mano, placed=placed),
                [(("feature_rows",), torch.from_numpy(sampled))],
            )
        )
        first += len(batch)
    return _assemble(collected.columns())


class _Collected:
    """Columns batch by batch, fetched from the device many batches at a time.

    Each copy waits for all that the device has to do; there are a hundred columns a batch.
    """

    def __init__(self) -> None:
        self._waiting: defaultdict[Key, list[Tensor]] = defaultdict(list)
        self._fetched: defaultdict[Key, list[Tensor]] = defaultdict(list)
        self._batches = 0

    def add(self, columns: Iterable[Named]) -> None:
        """The columns of a batch.

        Raises:
            ProtocolError: predictions were not finite.
        """
        for key, values in columns:
            self._waiting[key].append(values)
        self._batches += 1
        if self._batches % BATCHES_AT_A_TIME == 0:
            self._fetch()

    def columns(self) -> dict[Key, NDArray[Any]]:
        """All of them, by key.

        Raises:
            ProtocolError: predictions were not finite.
        """
        self._fetch()
        return {key: torch.cat(values).numpy() for key, values in self._fetched.items()}

    def _fetch(self) -> None:
        columns = {key: torch.cat(values).cpu() for key, values in self._waiting.items()}
        self._waiting.clear()
        for key, values in columns.items():
            if key[0] == NOT_FINITE:
                require_finite({key[-1]: int(values.sum())})
            else:
                self._fetched[key].append(values)


def _truth(batch: HandBatch) -> Iterator[Named]:
    yield ("sample_id",), batch.sample_id
    yield ("has_mano",), batch.has_mano
    yield ("joint_valid",), batch.joint_valid
    yield ("facing",), facing(batch.joints_cam, batch.joint_valid, batch.is_left)
    known = batch.joint_valid[:, WRIST] & batch.joint_valid[:, MIDDLE_MCP]
    uv = project(torch.where(known[:, None, None], batch.joints_cam, batch.K[:, None, 2]), batch.K)
    yield ("rotation",), torch.where(known, image_rotation(uv), torch.nan)
    yield ("classes", "coarse"), batch.coarse
    yield ("classes", "fine"), batch.fine


def _gestures(batch: HandBatch, rows: Tensor, models: Models) -> Iterator[Named]:
    """Stage 1's predictions; of the given rows, its features and those of the untrained network."""
    output = models.gesture(batch.image)
    yield ("predicted", STAGE_1, "coarse"), output.coarse_logits.argmax(-1)
    yield ("predicted", STAGE_1, "fine"), output.fine_logits.argmax(-1)
    yield ("confidence",), output.coarse_logits.softmax(-1).amax(-1)
    if len(rows):
        yield ("features", STAGE_1), output.features[rows]
        yield ("features", UNTRAINED), models.untrained(batch.image[rows]).features
        yield ("logits", "coarse"), output.coarse_logits[rows]
        yield ("logits", "fine"), output.fine_logits[rows]


def _poses(
    batch: HandBatch,
    models: Models,
    interventions: Mapping[str, TokenInterventions],
    mano: Mano,
    *,
    placed: bool,
) -> Iterator[Named]:
    """Scores of every run and baseline, and the gestures predicted by Stage 2's heads.

    By the joints of `mano`: a network's own are those that it was trained on.
    """
    truth = Truth.of(batch, mano)

    def joints_of(output: PoseOutput) -> Tensor:
        return output.joints if mano is models.mano else mano.joints_from(output.vertices)

    for run, net in models.pose.items():
        encoded = net.encode(batch.image, batch.K)
        output = net.decode(encoded, batch.is_left)
        yield ("predicted", run, "coarse"), output.coarse_logits.argmax(-1)
        yield ("predicted", run, "fine"), output.fine_logits.argmax(-1)
        joints = output.joints - output.joints[:, [WRIST]]
        yield ("joints", run), turn_back(joints, batch.view_rotation)
        if placed:
            yield ("wrists", run), _placed(joints, output.uv, batch)
        yield (
            ("view", run, "mirrored_fingers"),
            mirrored_fingers(output.joints, batch.joints_cam, batch.joint_valid, batch.is_left),
        )
        if output.view is not None:
            yield ("view", run, "side_accuracy"), side_hits(output.view, batch)
            yield ("view", run, "facing_accuracy"), facing_hits(output.view, batch)
        prediction = replace(Prediction.of(output), joints=joints_of(output))
        yield from _scored(run, prediction, truth, mano)
        distances = 1000 * (output.vertices - output.joints[:, [WRIST]] - truth.fit_vertices).norm(
            dim=-1
        )  # a sum for each batch: the distances themselves would not fit into memory
        yield ("vertex_sum", run), distances.nansum(0)[None]
        yield ("vertex_count", run), batch.has_mano.sum()[None]
        if run in interventions:
            for name, changed, possible in interventions[run].outputs(encoded, batch):
                for key, values in joint_scores(joints_of(changed), truth).items():
                    values = torch.where(possible, values, torch.nan)
                    yield ("interventions", run, name, key), values

    in_camera = models.means.mean_joints(batch.is_left)
    mean = Prediction(turn(in_camera, batch.view_rotation))
    yield from _scored(MEAN_JOINTS, mean, truth, mano)

    # without a fit there is no true root, without one in training no mean: no such baseline
    has = batch.has_mano & models.means.has_pose
    known = has & models.means.knows(batch.coarse)
    for name, coarse, rows in ((MEAN_POSE, None, has), (CLASS_POSE, batch.coarse, known)):
        posed = models.means.mean_pose(batch.global_orient, batch.is_left, mano, coarse)
        mean = Prediction(posed.joints, posed.vertices)
        for column, values in _scored(name, mean, truth, mano):
            own = rows.view(-1, *[1] * (values.ndim - 1))
            is_score = column[0] != NOT_FINITE
            yield column, torch.where(own, values, torch.nan) if is_score else values


def _placed(joints: Tensor, uv: Tensor, batch: HandBatch) -> Tensor:
    """Where the wrists (B, 3) m of hands relative to them are, in the camera's axes."""
    parts = (part.double().cpu().numpy() for part in (joints, uv, batch.K))
    wrist = torch.from_numpy(wrist_by_pixels(*parts))
    return turn_back(wrist[:, None], batch.view_rotation.double().cpu())[:, 0]


def _scored(name: str, prediction: Prediction, truth: Truth, mano: Mano) -> Iterator[Named]:
    """Scores of a run or baseline, and how many of its values are not finite."""
    for part, count in prediction.not_finite().items():
        yield (NOT_FINITE, name, part), count
    for key, values in finite_scores(prediction, truth, mano).items():
        yield ("pose", name, key), values


def _assemble(columns: dict[Key, NDArray[Any]]) -> Scores:
    """Scores from the collected columns."""

    def under(*first: str) -> dict[str, NDArray[Any]]:
        """Columns whose key is `first` plus one more word, by that word."""
        size = len(first)
        return {k[size]: v for k, v in columns.items() if k[:size] == first and len(k) == size + 1}

    networks = dict.fromkeys(key[1] for key in columns if key[0] == "predicted")
    models = dict.fromkeys(key[1] for key in columns if key[0] == "pose")
    return Scores(
        sample_id=columns[("sample_id",)],
        has_mano=columns[("has_mano",)],
        joint_valid=columns[("joint_valid",)],
        classes=under("classes"),
        predicted={name: under("predicted", name) for name in networks},
        pose={name: under("pose", name) for name in models},
        interventions={
            run: {name: under("interventions", run, name) for name in INTERVENTIONS}
            for run in dict.fromkeys(key[1] for key in columns if key[0] == "interventions")
        },
        joints=under("joints"),
        wrists=under("wrists"),
        facing=columns[("facing",)],
        rotation=columns[("rotation",)],
        view={
            run: under("view", run)
            for run in dict.fromkeys(key[1] for key in columns if key[0] == "view")
        },
        confidence=columns[("confidence",)],
        vertex_errors_mm={
            run: sums.sum(0) / (columns[("vertex_count", run)].sum() or np.nan)
            for run, sums in under("vertex_sum").items()
        },
        features=under("features"),
        logits=under("logits"),
        feature_rows=columns[("feature_rows",)],
    )

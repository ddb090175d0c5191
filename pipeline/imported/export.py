"""`handpose evaluate export FILE`: a trained model's predictions as a file of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.camera import turn_back
from handpose.hand.mirror import mirror_points
from handpose.hand.skeleton import WRIST
from handpose.imported.predictions_file import writing
from handpose.imported.statement import ANNOTATED, AS_SEEN, WRIST_RELATIVE, Statement
from handpose.nets.network_by_name import PoseNetwork
from handpose.sample import HandBatch
from handpose.training.trained_nets import load_pose_net, read_pose_record
from pipeline.imported.held_out import HeldOut
from pipeline.imported.imported_scores import to_view
from stages.evaluation.data import EvaluationData
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.running.progress import Progress


@torch.no_grad()
def export(path: Path, split: str, model: Path, params: Params, device: torch.device) -> int:
    """Write a Stage 2 model's predictions of a split; returns how many.

    Joints and meshes are in metres about the wrist, in the camera's axes, left hands as seen; 2D
    joints are the volume's, in pixels of the photo.

    Args:
        path: of the file, .parquet or .jsonl.
        split: that is evaluated.
        model: folder of the model.
        params: of this clone.
        device: of the network.

    Raises:
        HandPoseError: there is no such model, or no evaluated data.
    """
    record = read_pose_record(model)
    data = EvaluationData.for_model(record, params.evaluate, device)
    held_out = HeldOut.open(data, split)
    mano = load_hand_model(params.hand, params.data).to(device)
    net = load_pose_net(model, mano).to(device).eval()
    statement = Statement(
        model=str(model),
        split=split,
        unit="m",
        joint_order="handpose",
        joint_definition=ANNOTATED,
        frame=WRIST_RELATIVE,
        left_hands=AS_SEEN,
    )
    progress = Progress(f"export {split}", len(held_out), "hands")
    first = 0
    with data.loading, writing(path, statement) as write:
        for batch in data.batches(split):
            rows = slice(first, first + len(batch))
            images = [image for image, _ in held_out.keys[rows]]
            is_left = held_out.is_left[rows]
            points = points_in_photo(net, batch, is_left, held_out.K_photo[rows], data.canonical)
            write(images, is_left, points)
            first += len(batch)
            progress.step(len(batch))
    return first


def points_in_photo(
    net: PoseNetwork,
    batch: HandBatch,
    is_left: NDArray[np.bool_],
    K_photo: NDArray[np.float64],
    canonical: bool,
) -> dict[str, NDArray[np.float64]]:
    """Predictions of a batch in the photos' frame."""
    device = next(net.parameters()).device
    batch = batch.to(device)
    output = net.decode(net.encode(batch.image), batch.is_left)
    mirrored = torch.from_numpy(is_left & canonical)
    R = batch.view_rotation.cpu().double()

    def in_photo(points: Tensor) -> NDArray[np.float64]:
        relative = (points - output.joints[:, [WRIST]]).cpu().double()
        found: NDArray[np.float64] = mirror_points(turn_back(relative, R), mirrored).numpy()
        return found

    # K of the view = A K_photo Q^T with Q = R M, so pixels of the photo go by A to the view
    mirror = torch.eye(3).double().expand(len(is_left), 3, 3)
    Q = R @ mirror_points(mirror, mirrored)
    A = batch.K.cpu().double() @ Q @ torch.from_numpy(np.linalg.inv(K_photo))
    uv = to_view(output.uv.cpu().double(), torch.linalg.inv(A))
    return {
        "joints": in_photo(output.joints),
        "vertices": in_photo(output.vertices),
        "joints_2d": np.asarray(uv.numpy()),
    }

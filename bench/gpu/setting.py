"""What is trained in this benchmark: the paper's profile, on made-up crops."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from bench.photos import photo
from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds
from handpose.data.loading import HERE, Loading
from handpose.data.shards import Index, Shards, write_tar
from handpose.distributed import SINGLE_PROCESS
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.sample import HandBatch
from handpose.synthetic.stand_in import build
from handpose.training.fit import FitSettings, Objective, TrainingState
from handpose.training.loss.gesture_loss import GestureLoss
from handpose.training.loss.pose_loss import PoseLoss
from stages.params import Params, check_values, read_values
from stages.pose import forward as forward_pose
from stages.pretrain import forward as forward_gestures

TOP = Path(__file__).parents[2]
PROFILE = TOP / "pipeline" / "profiles" / "interhand26m.yaml"
COARSE, FINE = 54, 70
LABELS = {"0003_fake_gun": ClassIds(1, 2, 28, 37)}

TINY: dict[str, Any] = {
    "encoder": {
        "backbone": "hrnet_w18_small",
        "feature_location": "",
        "image_px": 64,
        "gesture_hidden": 16,
    },
    "pose_net": {"dim": 16, "heads": 2, "grid": 4, "volume_depth": 4, "fusion_layers": 1},
}
"""Over the profile, for `--quick`."""


@dataclass(frozen=True)
class Setting:
    """Where, and how large."""

    work: Path  # of all items
    quick: bool  # tiny, to test the benchmark itself

    @property
    def device(self) -> torch.device:
        """The GPU; with `--quick` a CPU will do."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def size(self, full: int, quick: int) -> int:
        """A number of steps, samples or the like."""
        return quick if self.quick else full

    def params(self, backbone: str = "hrnet_w32") -> Params:
        """Those of the paper's profile, from random weights."""
        values = merged(read_values(TOP / "params.yaml"), yaml.safe_load(PROFILE.read_text()))
        values = merged(values, {"encoder": {"weights": "", "backbone": backbone}})
        return check_values(merged(values, TINY if self.quick else {}), "params.yaml")

    def run(self, stage: str, backbone: str = "hrnet_w32", **settings: Any) -> TrainingState:
        """A training of `pretrain` or `pose` before its first step; the same weights each time."""
        params = self.params(backbone)
        torch.manual_seed(0)
        net: Any = GestureNet(**params.encoder.keywords(), coarse_classes=COARSE, fine_classes=FINE)
        loss: Any = GestureLoss(0.5, 0, 1, 0.5)
        forward: Any = forward_gestures
        if stage == "pose":
            mano = Mano(build())
            net = PoseNet(net, mano, **params.pose_net.keywords())
            weights = params.pose.weights.keywords()
            loss = PoseLoss(mano, weights, net.depth_range_m, params.pose.mano_joints)
            forward = forward_pose
        net.to(self.device)
        fit = FitSettings(
            1, 10**9, lambda _: 1e-4, 0.02, clip_norm=20.0, ema=0.999, bf16=True, **settings
        )
        objective = Objective(net, forward, loss, bf16=True)
        return TrainingState(net, fit, objective, SINGLE_PROCESS)

    def shards(self) -> Shards:
        """Made-up crops of the profile's size, in `work`; written by the first item that asks."""
        folder = self.work / "shards"
        if not (folder / "index.json").exists():
            self._write_shards(folder)
        return Shards.open(folder)

    def _write_shards(self, folder: Path) -> None:
        (folder / "tars").mkdir(parents=True)
        side, view = (96, 64) if self.quick else (342, 256)
        rng = np.random.default_rng(0)
        options = [cv2.IMWRITE_JPEG_QUALITY, 95]
        jpegs = [
            cv2.imencode(".jpg", photo(rng, side, side), options)[1].tobytes()
            for _ in range(self.size(64, 4))
        ]
        tars = []
        for number in range(self.size(8, 2)):
            count = self.size(1024, 32)
            first = number * count
            samples = ((jpegs[n % len(jpegs)], label(n, rng)) for n in range(first, first + count))
            tars.append(write_tar(folder / "tars" / f"train-{number:06d}.tar", samples))
        index = Index(side, view, {"train": tuple(tars)})
        (folder / "index.json").write_text(json.dumps(index.to_json()))

    def batches(self, batch: int, loading: Loading = HERE, epoch: int = 0) -> Iterator[HandBatch]:
        """An epoch of augmented batches, as training reads them."""
        params = self.params()
        return self.shards().batches(
            "train",
            batch=batch,
            image_px=params.encoder.image_px,
            labels=LABELS,
            epoch=epoch,
            augmentation=Augmentation(**params.pretrain.augment.keywords()),
            turn_camera=True,
            loading=loading,
        )

    def noise(self, batch: int) -> HandBatch:
        """A batch on the device with noise as images."""
        found = next(iter(self.batches(batch))).to(self.device)
        return HandBatch(**vars(found) | {"image": torch.randint_like(found.image, 256)})


def label(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """A stored label: a hand half a metre away."""
    joints = rng.normal([0, 0, 0.6], 0.05, (21, 3)).astype(np.float32)
    return {
        "sequence": "0003_fake_gun",
        "kind": "gesture",
        "subject": 4,
        "session": 0,
        "camera": "400026",
        "frame": number,
        "K": np.array([1260, 0, 171, 0, 1260, 171, 0, 0, 1], np.float32),
        "joints_cam": joints.ravel(),
        "joint_valid": np.ones(21, bool),
        "has_mano": True,
        "global_orient": rng.normal(0, 1, 3).astype(np.float32),
        "hand_pose": rng.normal(0, 0.4, 45).astype(np.float32),
        "betas": rng.normal(0, 1, 10).astype(np.float32),
        "is_left": number % 2 == 0,
        "sample_id": number,
    }


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A nested dictionary with some of its values replaced."""
    return {
        **values,
        **{
            key: merged(values[key], value)
            if isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
            else value
            for key, value in over.items()
        },
    }

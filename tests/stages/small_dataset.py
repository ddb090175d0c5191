"""A data set of a few photos in InterHand2.6M's layout, to be spoilt in one place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 100, 80
SUBJECTS = (3, 4, 7)  # train, validation, test
FOLDERS = {
    "0003_fake_gun": "right",
    "0103_fake_gun": "left",
    "ROM03_LT_No_Occlusion": "left",
    "0266_dh_pray": "interacting",
}
FRAMES = (5, 12)
CAMERAS = ("400026", "410053")

Files = dict[str, Any]


def four_files(captures: dict[int, int], folders: dict[str, str]) -> Files:
    """The four files of a split, by name: every capture's subject in every folder."""
    images: list[Files] = []
    hands: list[Files] = []
    joints: Files = {}
    fits: Files = {}
    cameras: Files = {}
    rng = np.random.default_rng(0)
    for capture, subject in captures.items():
        one = {
            "campos": [0.0, 0.0, -600.0],
            "camrot": np.eye(3).tolist(),
            "focal": [250.0, 250.0],
            "princpt": [50.0, 40.0],
        }
        cameras[str(capture)] = {key: dict.fromkeys(CAMERAS, one[key]) for key in one}
        joints[str(capture)] = {}
        fits[str(capture)] = {}
        for offset, (folder, hand) in enumerate(folders.items()):
            for frame in (100 * offset + number for number in FRAMES):
                joints[str(capture)][str(frame)] = {
                    "world_coord": rng.uniform(-60, 60, (42, 3)).tolist(),
                    "joint_valid": [[True]] * 42,
                    "hand_type": hand,
                    "hand_type_valid": True,
                }
                fit = {
                    "pose": rng.normal(0, 0.1, 48).tolist(),
                    "shape": [0.0] * 10,
                    "trans": [0.0] * 3,
                }
                fits[str(capture)][str(frame)] = {"right": fit, "left": fit}
                for camera in CAMERAS:
                    number = len(images)
                    name = f"Capture{capture}/{folder}/cam{camera}/image{frame:04d}.jpg"
                    images.append({
                        "id": number, "file_name": name, "width": WIDTH, "height": HEIGHT,
                        "capture": capture, "subject": subject, "seq_name": folder,
                        "camera": camera, "frame_idx": frame,
                    })  # fmt: skip
                    flags = [[int(hand != "left")]] * 21 + [[int(hand != "right")]] * 21
                    hands.append({
                        "id": number, "image_id": number, "bbox": [0, 0, 1, 1],
                        "joint_valid": flags, "hand_type": hand, "hand_type_valid": 1,
                    })  # fmt: skip
    data = {"images": images, "annotations": hands}
    return {"data": data, "camera": cameras, "joint_3d": joints, "MANO_NeuralAnnot": fits}


class Dataset:
    """A tiny data set in InterHand2.6M's layout, in the folder `dataset` below the current one."""

    def __init__(self) -> None:
        rom = {"ROM03_LT_No_Occlusion": "left"}
        self.splits = {
            "train": four_files(dict(enumerate(SUBJECTS)), FOLDERS),
            "val": four_files({0: 3}, rom),
            "test": four_files({0: 8}, rom),
        }

    @property
    def train(self) -> Files:
        """The files of the train split, by name."""
        return self.splits["train"]

    def photo(self, number: int, split: str = "train") -> Path:
        name: str = self.splits[split]["data"]["images"][number]["file_name"]
        return Path("dataset/images") / split / name

    def write(self) -> None:
        """Write annotations, and the photos that are not there yet."""
        picture = np.random.default_rng(0).integers(40, 200, (HEIGHT, WIDTH, 3), np.uint8)
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        for split, files in self.splits.items():
            for name, content in files.items():
                path = Path(f"dataset/annotations/{split}/InterHand2.6M_{split}_{name}.json")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content), encoding="utf-8")
            for number in range(len(files["data"]["images"])):
                self.photo(number, split).parent.mkdir(parents=True, exist_ok=True)
                self.photo(number, split).write_bytes(jpeg)


def set_params(stand_in: Path, **changes: Any) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["data"]["root"] = "dataset"
    raw["hand"]["mano"] = str(stand_in)
    raw["ingest"] |= {"validation_subjects": [4], "test_subjects": [7]}
    raw["ingest"]["exclusions"] = str(ROOT / "labels" / "exclusions.csv")
    raw["ingest"] |= {"max_fit_error_mm": 0} | changes  # its joints and its fits are random
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")

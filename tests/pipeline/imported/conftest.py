"""A clone whose test split is of true hands, evaluated once by untrained networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from numpy.typing import NDArray

from handpose.data.crop import Square, affine
from handpose.data.shards import Index, Tar, write_tar
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.imported.predictions_file import writing
from handpose.imported.statement import Statement
from stages import evaluate
from stages.hand_model import load_hand_model
from stages.params import load_params
from stages.running.artifacts import write_json
from tests.stages.conftest import FOLDERS, write_labels
from tests.stages.made_up_samples import LISTS
from tests.stages.test_evaluate import write_models

ROOT = Path(__file__).parents[3]
PX = 64
SPLITS = {"train": 12, "validation": 4, "test": 49, "official_val": 12}
MIDDLE_M = (0.05, -0.03, 0.6)
"""Of every hand, in the camera's frame."""
LEFT_OUT = 64
"""A sample of the test that has no crop, the last of them."""
K_PHOTO = np.array([[500.0, 0, 159.5], [0, 500, 119.5], [0, 0, 1]])


def hands(mano: Mano, first: int, count: int) -> dict[str, NDArray[Any]]:
    """Hands of both sides; joints are 3 mm off their fit, and every fourth has no fit."""
    rng = torch.Generator().manual_seed(first)
    number = torch.arange(first, first + count)
    is_left = number % 4 >= 2
    own = {
        "global_orient": torch.randn(count, 3, generator=rng),
        "hand_pose": 0.3 * torch.randn(count, 45, generator=rng),
        "betas": 0.5 * torch.randn(count, 10, generator=rng),
    }
    joints = mano.hand(**own, is_left=is_left).joints
    joints = joints - joints.mean(1, keepdim=True) + torch.tensor(MIDDLE_M)
    joints = joints + 0.003 * torch.randn(joints.shape, generator=rng)
    has_mano = number % 4 != 3
    arrays = {name: (values * has_mano[:, None]).numpy() for name, values in own.items()}
    return {
        "sample_id": number.numpy(),
        "is_left": is_left.numpy(),
        "has_mano": has_mano.numpy(),
        "joints_cam": joints.numpy(),
        "joint_valid": np.arange(21)[None] != (number.numpy()[:, None] % 40 + 1),
        **arrays,
    }


def write_data(mano: Mano) -> None:
    """Shards, samples.parquet and membership.txt of these hands."""
    tars: dict[str, tuple[Tar, ...]] = {}
    rows: list[dict[str, Any]] = []
    Path("data/shard/tars").mkdir(parents=True)
    first = 0
    for split, count in SPLITS.items():
        found = hands(mano, first, count)
        samples = []
        for k in range(count):
            number = first + k
            folder = FOLDERS[(number % 2) + 2 * int(found["is_left"][k])]
            if split == "official_val":
                folder = "ROM03_RT_No_Occlusion"
            origin = {
                "sequence": folder,
                "kind": "rom" if folder.startswith("ROM") else "gesture",
                "subject": number % 4 + 10 * list(SPLITS).index(split),
                "session": 0,
                "camera": "400026",
                "frame": number,
            }
            label = {name: values[k] for name, values in found.items()}
            label |= {"sample_id": number, "is_left": bool(label["is_left"])}
            label["has_mano"] = bool(label["has_mano"])
            zoom = 0.4 + 0.01 * (number % 5)
            u, v = (K_PHOTO @ MIDDLE_M)[:2] / MIDDLE_M[2]
            crop = affine(Square(u, v, PX / zoom), PX)
            image = np.random.default_rng(number).integers(0, 255, (PX, PX, 3), dtype=np.uint8)
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            samples.append((jpeg, label | origin | {"K": (crop @ K_PHOTO).astype(np.float32)}))
            row = {**label, **origin, "split": split, "K": K_PHOTO.astype(np.float32)}
            rows.append(row | {"image": f"images/{split}/{folder}/image{number}.jpg"})
        # the shards have an order of their own
        shuffled = np.random.default_rng(0).permutation(count)
        order = [k for k in shuffled if first + k != LEFT_OUT]
        path = Path(f"data/shard/tars/{split}-000000.tar")
        tars[split] = (write_tar(path, (samples[k] for k in order)),)
        first += count
    write_json(Path("data/shard/index.json"), Index(PX, PX, tars).to_json())
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name, size in {**LISTS, "K": 9}.items():
        flat = pa.array(np.concatenate([np.ravel(value) for value in columns[name]]))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, size)
    Path("data/ingest").mkdir(parents=True)
    pq.write_table(pa.table(columns), "data/ingest/samples.parquet")
    write_labels()
    members = sorted(set(columns["sequence"]))
    Path("data/labels/membership.txt").write_text("".join(f"{m}\n" for m in members), "utf-8")


def write_params(stand_in: Path, **changes: Mapping[str, Any]) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    tiny = yaml.safe_load((ROOT / "pipeline" / "profiles" / "tiny.yaml").read_text("utf-8"))
    for section, values in {**tiny, "hand": {"mano": str(stand_in)}}.items():
        raw[section] |= values
    for section, own in changes.items():
        raw[section] |= own
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> Path:
    """READ-ONLY: a clone with data, untrained models and their results."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(stand_in)
        params = load_params()
        write_data(load_hand_model(params.hand, params.data))
        write_models()
        evaluate.main()
    return folder


@pytest.fixture
def clone(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, that clone: files go elsewhere."""
    monkeypatch.chdir(evaluated)
    return evaluated


@dataclass(frozen=True)
class MadeUp:
    """Predictions of N hands near the truth of the test split, and what their file states."""

    images: list[str]
    is_left: NDArray[np.bool_]  # (N,)
    points: Mapping[str, NDArray[np.float64]]  # by column; 3D in m, camera
    statement: Statement
    truth: Mapping[str, NDArray[Any]]  # (N, ...) by column of samples.parquet

    def __len__(self) -> int:
        return len(self.images)

    def states(self, **changes: str) -> MadeUp:
        """The same numbers under another header."""
        return dataclasses.replace(self, statement=dataclasses.replace(self.statement, **changes))

    def with_points(self, **points: NDArray[np.float64]) -> MadeUp:
        return dataclasses.replace(self, points={**self.points, **points})

    def only(self, *columns: str) -> MadeUp:
        return dataclasses.replace(self, points={name: self.points[name] for name in columns})

    def rows(self, chosen: NDArray[Any]) -> MadeUp:
        """These rows, in this order."""
        return dataclasses.replace(
            self,
            images=[self.images[k] for k in np.arange(len(self))[chosen]],
            is_left=self.is_left[chosen],
            points={name: values[chosen] for name, values in self.points.items()},
            truth={name: values[chosen] for name, values in self.truth.items()},
        )

    def write(self, path: Path) -> Path:
        with writing(path, self.statement) as write:
            for part in np.array_split(np.arange(len(self)), 3):
                own = {name: values[part] for name, values in self.points.items()}
                write([self.images[k] for k in part], self.is_left[part], own)
        return path


@pytest.fixture
def made_up(clone: Path) -> MadeUp:
    """Joints 6 mm, meshes 3 mm and 2D joints 4 px off, in an order of its own."""
    table = pq.read_table("data/ingest/samples.parquet", filters=[("split", "=", "test")])
    rows = table.to_pydict()
    truth = {name: np.array(values) for name, values in rows.items()}
    rng = np.random.default_rng(1)
    params = load_params()
    mano = load_hand_model(params.hand, params.data)
    truth["joints_cam"] = truth["joints_cam"].reshape(-1, 21, 3)
    names = ("global_orient", "hand_pose", "betas")
    pose = {name: torch.from_numpy(truth[name]).float() for name in names}
    fit = mano.hand(**pose, is_left=torch.from_numpy(truth["is_left"]))
    truth |= {"fit_joints": fit.joints.numpy(), "fit_vertices": fit.vertices.numpy()}
    joints = truth["joints_cam"] + rng.normal(0, 0.006, truth["joints_cam"].shape)
    vertices = truth["fit_vertices"] + rng.normal(0, 0.003, truth["fit_vertices"].shape)
    uv = project(truth["joints_cam"], np.broadcast_to(K_PHOTO, (len(joints), 3, 3)))
    found = MadeUp(
        images=rows["image"],
        is_left=truth["is_left"],
        points={
            "joints": joints,
            "vertices": vertices + joints[:, :1],
            "joints_2d": uv + rng.normal(0, 4, uv.shape),
        },
        statement=Statement(
            model="theirs",
            split="test",
            unit="m",
            joint_order="handpose",
            joint_definition="annotated",
            frame="camera",
            left_hands="as seen",
        ),
        truth=truth,
    )
    return found.rows(rng.permutation(len(joints) - 1))  # without the last, LEFT_OUT

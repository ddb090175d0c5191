"""`handpose evaluate export FILE --model CHECKPOINT`, with tiny checkpoints under true names."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handpose.hand.mano import Mano
from handpose.imported.predictions_file import PredictedRows, PredictionsFile
from handpose.other_models import published
from handpose.synthetic.stand_in import build
from pipeline.__main__ import main
from stages.params import load_params
from tests.other_models.conftest import SHAPES, SIZES, TINY, write_checkpoint
from tests.other_models.second_networks import State, random_state
from tests.pipeline.imported.conftest import K_PHOTO, write_params

WIDTH, HEIGHT = 320, 240
BOX_PX = np.array([140, 30, 120, 130], np.float32)
"""Around every hand, which are all at one place of their photos."""


def state(name: str, *, constant: bool) -> State:
    """Random weights; if `constant`, the mean hand for every image, which looks like a hand."""
    found = random_state(SHAPES[name](TINY))
    for key in found:
        if constant and ".dec" in key:
            found[key] *= 0
        if key.endswith("init_hand_pose"):
            found[key] = np.tile([1.0, 0, 0, 0, 1, 0], 16)[None]
        if key.endswith("init_betas"):
            found[key] *= 0
    return found


@pytest.fixture
def photographed(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the clone with photos, a hand model that passes for MANO, and tiny networks."""
    folder = tmp_path / "clone"
    shutil.copytree(evaluated, folder, ignore=shutil.ignore_patterns("models"))
    monkeypatch.chdir(folder)
    (folder / "mano").mkdir()
    arrays: dict[str, Any] = {k: v for k, v in build().items() if k != "model_name"}
    np.savez(folder / "mano" / "MANO_RIGHT.npz", **arrays)
    write_params(folder / "mano", data={"root": str(folder / "photos")})
    table = pq.read_table("data/ingest/samples.parquet")
    boxes = pa.FixedSizeListArray.from_arrays(pa.array(np.tile(BOX_PX, len(table))), 4)
    for column, values in (
        ("bbox", boxes),
        ("width", pa.array([WIDTH] * len(table))),
        ("height", pa.array([HEIGHT] * len(table))),
    ):
        table = table.append_column(column, values)
    pq.write_table(table, "data/ingest/samples.parquet")
    rng = np.random.default_rng(0)
    for image, split in zip(table["image"].to_pylist(), table["split"].to_pylist(), strict=True):
        if split == "test":
            (folder / "photos" / image).parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "photos" / image), pixels)

    tiny = tuple(
        a._replace(build=lambda mano, a=a: a.build(mano, **SIZES[a.name]))
        for a in published.ARCHITECTURES
    )
    monkeypatch.setattr(published, "ARCHITECTURES", tiny)
    return folder


def exported(name: str, *words: str, constant: bool = True) -> PredictedRows:
    """What the command writes."""
    Path("work").mkdir(exist_ok=True)
    path = write_checkpoint(Path(f"work/{name.lower()}.ckpt"), state(name, constant=constant))
    target = f"work/{name.lower()}.parquet"
    given = ["evaluate", "export", target, "--model", str(path), "--device", "cpu", *words]
    assert main(given) == 0
    (rows,) = PredictionsFile.open(Path(target)).rows()
    return rows


@pytest.mark.parametrize("name", ["HaMeR", "WiLoR"])
def test_predictions_of_a_checkpoint_are_scored_beside_ours(
    photographed: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Docs: handpose evaluate export work/hamer.parquet --model hamer.ckpt, and file."""
    rows = exported(name)
    text = capsys.readouterr().out
    assert "the model's own joints lie " in text and "written: the latter" in text
    target = f"work/{name.lower()}.parquet"
    assert main(["evaluate", "file", target, "--out", "out"]) == 0
    found = json.loads(Path(f"out/{name.lower()}.parquet.json").read_text("utf-8"))
    assert found["statement"]["model"] == f"{name} ({name.lower()}.ckpt)"
    assert "full model" in capsys.readouterr().out

    # one hand for all images, in the place of its box
    joints = rows.points["joints"] - rows.points["joints"][:, :1]
    right, left = joints[~rows.is_left], joints[rows.is_left]
    np.testing.assert_allclose(right, np.broadcast_to(right[0], right.shape), atol=1e-5)
    np.testing.assert_allclose(left, np.broadcast_to(right[0] * [-1, 1, 1], left.shape), atol=1e-5)
    s = 0.9
    side = 2 * max(BOX_PX[3], BOX_PX[2] * 4 / 3)
    depth = 2 * K_PHOTO[0, 0] / (side * s)
    tx = np.where(rows.is_left, -0.01, 0.01)
    middle = BOX_PX[:2] + BOX_PX[2:] / 2
    x, y = (middle - K_PHOTO[:2, 2]) / K_PHOTO[0, 0] * depth
    params = load_params()
    mano = Mano.load(params.hand.mano)
    wrist = mano.rest_wrist(mano.hands_mean.new_zeros(1, 10))[0].numpy()
    wrist = np.where(rows.is_left[:, None], wrist * [-1, 1, 1], wrist)
    expected = np.stack([tx + x, np.full_like(tx, y - 0.02), np.full_like(tx, depth)], -1) + wrist
    np.testing.assert_allclose(rows.points["joints"][:, 0], expected, atol=1e-4)
    assert (np.abs(rows.points["joints_2d"].mean(1) - middle) < side / 4).all()


def test_native_joints_come_without_a_mesh(
    photographed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_mesh = exported("HaMeR", constant=False).points
    assert of_mesh.keys() == {"joints", "vertices", "joints_2d"}
    line = capsys.readouterr().out
    assert "written: the latter" in line
    native = exported("HaMeR", "--native", constant=False).points
    assert native.keys() == {"joints", "joints_2d"}
    assert PredictionsFile.open(Path("work/hamer.parquet")).statement.joint_definition == "other"
    apart = [points["joints"] - points["joints"][:, :1] for points in (of_mesh, native)]
    mm = 1000 * np.linalg.norm(apart[0] - apart[1], axis=-1).mean()
    assert f"lie {mm:.1f} mm" in line and 0.05 < mm < 20


def test_a_batch_changes_nothing(photographed: Path) -> None:
    expected = exported("WiLoR", constant=False).points
    write_params(
        photographed / "mano", data={"root": str(photographed / "photos")}, evaluate={"batch": 7}
    )
    found = exported("WiLoR", constant=False).points
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)


# --- what is refused -----------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *words: str, target: str = "work/a.parquet") -> str:
    """The message of a run that writes nothing."""
    capsys.readouterr()
    assert main(["evaluate", "export", target, "--device", "cpu", *words]) == 2
    assert not Path(target).exists()
    return capsys.readouterr().err


def test_what_is_missing_or_does_not_fit_is_reported(
    photographed: Path, stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(capsys, "--model", "hamer.ckpt")
    assert "hamer.ckpt: not found. No weights come with this project" in text
    assert "CC BY-NC-ND 4.0" in text
    Path("work").mkdir()
    path = write_checkpoint(Path("work/hamer.ckpt"), state("HaMeR", constant=True))

    image = next((photographed / "photos").rglob("*.jpg"))
    pixels = cv2.imread(str(image))
    assert pixels is not None
    cv2.imwrite(str(image), cv2.resize(pixels, (640, 480)))
    text = refused(capsys, "--model", str(path))
    assert f"{image} is 640x480 px, its annotation says 320x240. These networks see the" in text
    image.unlink()
    assert f"{image} not found. These networks" in refused(capsys, "--model", str(path))
    cv2.imwrite(str(image), pixels)

    subprocess.run(["git", "init", "-q", "."], check=True)
    text = refused(capsys, "--model", str(path), target="a.parquet")
    assert (
        "a.parquet: meshes of the licensed MANO model may not be passed on, and git would" in text
    )

    assert "expected --model PATH of a checkpoint" in refused(capsys, "--native")

    root = {"root": str(photographed / "photos")}
    write_params(stand_in, data=root)
    text = refused(capsys, "--model", str(path))
    assert f"{stand_in / 'MANO_RIGHT.npz'}: is a free hand and not MANO, but these networks" in text
    assert "handpose mano import" in text and "Licences: HaMeR" in text
    write_params(Path("nowhere"), data=root)
    assert "nowhere/MANO_RIGHT.npz: not found, but these" in refused(capsys, "--model", str(path))


def test_samples_of_an_older_version_are_ingested_anew(
    photographed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table("data/ingest/samples.parquet").drop_columns(["bbox"])
    pq.write_table(table, "data/ingest/samples.parquet")
    Path("work").mkdir()
    path = write_checkpoint(Path("work/hamer.ckpt"), state("HaMeR", constant=True))
    text = refused(capsys, "--model", str(path))
    assert "has no bbox: an older version wrote it; run `dvc repro ingest`" in text

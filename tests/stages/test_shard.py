"""The shard stage: the same bytes however many write them, every lost sample reported, no class."""

from __future__ import annotations

import csv
import json
import shutil
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

from handpose.data import lossless
from handpose.data.labels import ClassIds
from handpose.data.shards import ShardError, Shards
from handpose.files import digest
from stages import shard
from stages.paths import MEMBERSHIP, SAMPLES, SHARDS
from stages.running.command import run_stage

ROOT = Path(__file__).parents[2]
SPLITS = ("train",) * 14 + ("validation",) * 3 + ("test",) * 3 + ("official_val",)
OFFICIAL = {"official_val": "val"}
FOLDERS = ("0003_fake_gun", "0103_fake_gun", "ROM03_LT_No_Occlusion")
LABELS = {"0003_fake_gun": ClassIds(1, 2, 3, 4), "0103_fake_gun": ClassIds(3, 4, 1, 2)}
WIDTH, HEIGHT = 120, 90


def photo(uv: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A blurred dot at each joint's pixel."""
    v, u = np.indices((HEIGHT, WIDTH))
    dots = np.exp(-((u - uv[:, :1, None]) ** 2 + (v - uv[:, 1:, None]) ** 2) / (2 * 1.5**2))
    return np.repeat(np.rint(220 * dots.max(0)).astype(np.uint8)[..., None], 3, axis=2)


def add_sample(sample_id: int, split: str, images: Path) -> dict[str, Any]:
    """A row of samples.parquet and the photo that it points at."""
    rng = np.random.default_rng(sample_id)
    K = np.array([[200, 0, 55], [0, 198, 40], [0, 0, 1]], float)
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)[:21]
    uv = np.array([25.0, 15.0]) + 13 * grid + rng.uniform(-2, 2, (21, 2))
    joints = np.concatenate([uv, np.ones((21, 1))], 1) @ np.linalg.inv(K).T * 0.8
    folder = FOLDERS[sample_id % 3]
    official = OFFICIAL.get(split, "train")
    name = f"Capture0/{folder}/cam400026/image{sample_id}.jpg"
    path = images / official / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), photo(uv))
    row = {
        "sample_id": sample_id,
        "split": split,
        "session": 0,
        "subject": 4,
        "sequence": folder,
        "kind": "rom" if folder.startswith("ROM") else "gesture",
        "camera": "400026",
        "frame": sample_id,
        "image": f"images/{official}/{name}",
        "width": WIDTH,
        "height": HEIGHT,
        "is_left": folder.startswith("01"),
        "bbox": [*uv.min(0), *np.ptp(uv, axis=0)],
        "K": K.ravel(),
        "joints_cam": joints.ravel(),
        "joint_valid": [True] * 21,
        "has_mano": sample_id % 2 == 0,
        "global_orient": rng.standard_normal(3),
        "hand_pose": rng.standard_normal(45),
        "betas": rng.standard_normal(10),
    }
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()}


def write_samples(rows: list[dict[str, Any]], path: Path) -> None:
    lengths = {
        "bbox": 4,
        "K": 9,
        "joints_cam": 63,
        "global_orient": 3,
        "hand_pose": 45,
        "betas": 10,
    }
    table = pa.Table.from_pylist(rows)
    for name, length in lengths.items():
        place = table.column_names.index(name)
        column = table[name].cast(pa.list_(pa.float32(), length))
        table = table.set_column(place, name, column)
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)


def set_params(**changes: Any) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    raw["shard"] |= {"samples_per_tar": 5, "workers": 1} | changes
    raw["data"]["root"] = "dataset"
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, 21 photos, samples.parquet and membership.txt; the current one."""
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "dataset" / "images"
    write_samples([add_sample(i, s, images) for i, s in enumerate(SPLITS)], SAMPLES)
    MEMBERSHIP.parent.mkdir(parents=True)
    MEMBERSHIP.write_text("\n".join(FOLDERS) + "\n", encoding="utf-8")
    set_params()
    return tmp_path


def image_of(sample_id: int) -> Path:
    return next(Path("dataset").rglob(f"image{sample_id}.jpg"))


def rejects() -> list[dict[str, str]]:
    with (SHARDS / "rejects.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read(split: str) -> list[int]:
    batches = Shards.open(SHARDS).batches(split, batch=4, image_px=96, labels=LABELS)
    return [i for batch in batches for i in batch.sample_id.tolist()]


def test_every_sample_is_in_the_split_it_belongs_to(workplace: Path) -> None:
    shard.main()
    for split in sorted(set(SPLITS)):
        assert sorted(read(split)) == [i for i, s in enumerate(SPLITS) if s == split]
    index = json.loads((SHARDS / "index.json").read_text("utf-8"))
    assert "official_test" not in index["splits"]  # no sample, no entry
    assert [tar["samples"] for tar in index["splits"]["train"]["tars"]] == [5, 5, 4]
    assert rejects() == []
    manifest = json.loads((SHARDS / "manifest.json").read_text("utf-8"))
    assert manifest["counts"]["train"] == 14


def test_every_split_is_shuffled_by_the_seed(workplace: Path) -> None:
    orders = []
    for seed in (0, 0, 1):
        set_params(seed=seed)
        shard.main()
        orders.append(read("train"))
        assert sorted(read("validation")) == [14, 15, 16]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


WITH_LIBRARY = pytest.param(
    "always",
    marks=pytest.mark.skipif(not lossless.available(), reason="needs apt install libturbojpeg0"),
)


@pytest.fixture(params=["never", "auto", WITH_LIBRARY])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of shard.lossless; `auto` as on a machine without the library."""
    if request.param == "auto":
        monkeypatch.setattr(lossless, "_library", lambda: None)
    return str(request.param)


def test_the_stored_camera_projects_joints_to_their_dots(workplace: Path, mode: str) -> None:
    set_params(lossless=mode)
    shard.main()
    batches = Shards.open(SHARDS).batches("train", batch=14, image_px=96, labels=LABELS)
    batch = next(batches)
    uvw = torch.einsum("bij,bnj->bni", batch.K, batch.joints_cam)
    uv = (uvw[..., :2] / uvw[..., 2:]).numpy()
    assert uv.min() > 8 and uv.max() < 88  # box_scale 1.4 leaves a seventh on both sides
    for image, points in zip(batch.image[:, 0].numpy(), uv, strict=True):
        for u, v in points:
            u0, v0 = round(float(u)), round(float(v))
            patch = image[v0 - 3 : v0 + 4, u0 - 3 : u0 + 4].astype(float)
            weight = np.maximum(patch - 30, 0)  # JPEG noise is no dot
            y, x = np.indices(patch.shape)
            centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
            np.testing.assert_allclose(centre, (u - u0 + 3, v - v0 + 3), atol=0.35)


def test_any_number_of_workers_writes_the_same_bytes(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "SAMPLES_PER_WORKER", 5)
    image_of(3).unlink()
    found = []
    for workers in (1, 2):
        set_params(workers=workers)
        shard.main()
        found.append([digest(SHARDS / n) for n in ("tars", "index.json", "rejects.csv")])
    assert found[0] == found[1]


def test_rows_of_the_parquet_in_another_order_change_nothing(workplace: Path) -> None:
    shard.main()
    before = digest(SHARDS / "tars")
    table = pq.read_table(SAMPLES)
    pq.write_table(table.take(list(range(table.num_rows))[::-1]), SAMPLES)
    shard.main()
    assert digest(SHARDS / "tars") == before


def test_lost_photos_are_counted_and_named_and_the_others_kept(workplace: Path, mode: str) -> None:
    set_params(lossless=mode)
    image_of(0).unlink()
    content = image_of(1).read_bytes()
    image_of(1).write_bytes(content[: len(content) // 2])
    cv2.imwrite(str(image_of(2)), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    cv2.imwrite(str(image_of(15)), np.full((WIDTH, HEIGHT, 3), 90, np.uint8))
    shard.main()
    listed = [(row["sample_id"], row["split"], row["reason"]) for row in rejects()]
    assert listed == [
        ("0", "train", "image_missing"),
        ("1", "train", "image_truncated"),
        ("2", "train", "image_black"),
        ("15", "validation", "image_size"),
    ]
    assert "90x120 px, its annotation says 120x90" in rejects()[3]["detail"]
    assert sorted(read("train")) == list(range(3, 14))
    assert sorted(read("validation")) == [14, 16]
    counts = json.loads((SHARDS / "manifest.json").read_text("utf-8"))["counts"]
    assert counts["rejected"]["image_truncated"] == 1


def test_a_tar_without_any_sample_left_is_not_written(workplace: Path) -> None:
    for sample_id in (17, 18, 19):
        image_of(sample_id).unlink()
    shard.main()
    assert not list(SHARDS.glob("tars/test-*"))
    with pytest.raises(ShardError, match="split 'test' holds 0 samples"):
        read("test")


def test_no_sample_left_is_an_error_and_the_old_shards_stay(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard.main()
    before = read("train")
    shutil.rmtree("dataset")
    assert run_stage(shard.main, "shard") == 2
    message = capsys.readouterr().err
    assert "all 21 were rejected ({'image_missing': 21})" in message
    assert "data.root (dataset)" in message
    assert read("train") == before
    assert not list(SHARDS.glob(".*partial"))


def test_a_run_that_dies_while_it_replaces_the_tars_leaves_no_index(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard.main()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    set_params(seed=1)
    monkeypatch.setattr(shard, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        shard.main()
    with pytest.raises(ShardError, match="no finished shards"):
        Shards.open(SHARDS)


def test_a_folder_that_is_not_a_member_stays_out(workplace: Path) -> None:
    MEMBERSHIP.write_text("0103_fake_gun\n", encoding="utf-8")
    shard.main()
    assert sorted(read("train")) == [1, 4, 7, 10, 13]
    MEMBERSHIP.write_text("0042_unheard_of\n", encoding="utf-8")
    with pytest.raises(ShardError, match="no row of the 1 folders"):
        shard.main()


@pytest.mark.parametrize(("path", "stage"), [(SAMPLES, "ingest"), (MEMBERSHIP, "label")])
def test_a_missing_input_names_the_stage_that_makes_it(
    workplace: Path, path: Path, stage: str
) -> None:
    path.unlink()
    with pytest.raises(ShardError, match=f"{path}: not found; run `dvc repro {stage}`"):
        shard.main()


def test_an_empty_box_is_rejected_with_its_reason(workplace: Path, mode: str) -> None:
    set_params(lossless=mode)
    rows = pq.read_table(SAMPLES).to_pylist()
    rows[5]["bbox"][2:] = [0, 0]
    shutil.rmtree(SAMPLES.parent)
    write_samples(rows, SAMPLES)
    shard.main()
    assert [(row["sample_id"], row["reason"]) for row in rejects()] == [("5", "empty_box")]


def test_what_must_be_lossless_is_refused_without_the_library(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lossless, "_library", lambda: None)
    set_params(lossless="always")
    with pytest.raises(
        ShardError, match=r"apt install libturbojpeg0, .*\), or set shard\.lossless"
    ):
        shard.main()


def test_relabelling_cannot_reach_the_shards() -> None:
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]["shard"]
    assert set(stage["deps"]) == {str(SAMPLES), str(MEMBERSHIP), "data/code/shard.json"}
    assert "label" not in {str(param).split(".")[0] for param in stage["params"]}

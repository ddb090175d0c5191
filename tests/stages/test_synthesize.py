"""The stage: bytes independent of the workers, files in InterHand2.6M's layout, notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from handpose.hand.mirror import mirror_axis_angle
from handpose.hand.skeleton import FROM_INTERHAND
from handpose.interhand.annotations import FILES
from stages import synthesize as stage
from stages.hand_model import load_hand_model
from stages.params import Params, load_params
from stages.paths import SYNTHETIC, is_same_path
from stages.running.command import run_stage
from stages.synthesize import main, synthesize

ROOT = Path(__file__).parents[2]
TINY = {"frames": 96, "main_subjects": 1, "short_subjects": 0, "image_px": (64, 48)}


def params_with(mano: Path | str, workers: int = 1, **changes: Any) -> Params:
    params = load_params(ROOT / "params.yaml")
    section = params.synthesize.model_copy(update=TINY | {"workers": workers} | changes)
    hand = params.hand.model_copy(update={"mano": str(mano)})
    return params.model_copy(update={"synthesize": section, "hand": hand})


@pytest.fixture(scope="module")
def made(stand_in: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    root = tmp_path_factory.mktemp("synthetic")
    return root, synthesize(params_with(stand_in), root)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def read_split(root: Path, split: str) -> dict[str, Any]:
    folder = root / "annotations" / split
    return {
        kind: json.loads((folder / f"InterHand2.6M_{split}_{kind}.json").read_text("utf-8"))
        for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")
    }


def test_two_workers_write_the_same_bytes_as_one(
    made: tuple[Path, dict[str, int]], stand_in: Path, tmp_path: Path
) -> None:
    counts = synthesize(params_with(stand_in, workers=2), tmp_path)
    assert counts == made[1]
    one, two = files(made[0]), files(tmp_path)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_another_seed_writes_other_pictures(
    made: tuple[Path, dict[str, int]], stand_in: Path, tmp_path: Path
) -> None:
    synthesize(params_with(stand_in, seed=1, frames=4), tmp_path)
    pictures = {content for name, content in files(tmp_path).items() if name.endswith("jpg")}
    assert not pictures & set(files(made[0]).values())


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_image_has_its_photo_camera_joints_and_annotation(
    made: tuple[Path, dict[str, int]], split: str
) -> None:
    root, counts = made
    read = read_split(root, split)
    images, views = read["data"]["images"], read["data"]["annotations"]
    assert len(images) == len(views) == counts[split]
    assert set(read["data"]) == {"images", "annotations"}
    for image, view in zip(images, views, strict=True):
        assert {key: type(value) for key, value in image.items()} == {
            "id": int,
            "file_name": str,
            "width": int,
            "height": int,
            "capture": int,
            "subject": int,
            "seq_name": str,
            "camera": str,
            "frame_idx": int,
        }
        assert view["image_id"] == image["id"]
        path = root / "images" / split / image["file_name"]
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape == (image["height"], image["width"], 3)
        capture, frame = str(image["capture"]), str(image["frame_idx"])
        joints = read["joint_3d"][capture][frame]
        assert joints["hand_type"] == view["hand_type"]
        assert np.shape(joints["world_coord"]) == (42, 3)
        assert np.shape(view["joint_valid"]) == np.shape(joints["joint_valid"]) == (42, 1)
        assert not (np.array(view["joint_valid"]) > np.array(joints["joint_valid"])).any()
        for part in ("campos", "camrot", "focal", "princpt"):
            assert image["camera"] in read["camera"][capture][part]
        fits = read["MANO_NeuralAnnot"][capture].get(frame, {"right": None, "left": None})
        assert set(fits) == {"right", "left"}
        for fit in filter(None, fits.values()):
            assert [len(fit[key]) for key in ("pose", "shape", "trans")] == [48, 10, 3]
            assert np.abs(fit["trans"]).max() < 5  # metres
    photos = list((root / "images" / split).rglob("*.jpg"))
    assert len(photos) == counts[split]


def test_annotated_joints_are_those_that_a_perfect_prediction_would_have(
    made: tuple[Path, dict[str, int]], stand_in: Path
) -> None:
    """By InterHand2.6M's definition, of the true mesh: smplx's fingertips would be 5 mm off."""
    params = params_with(stand_in)
    mano = load_hand_model(params.hand, params.data)
    read = read_split(made[0], "train")
    apart: list[Tensor] = []
    for capture, frames in read["MANO_NeuralAnnot"].items():
        for frame, fits in frames.items():
            annotated = read["joint_3d"][capture][frame]
            for first, side in ((0, "right"), (21, "left")):
                if not fits[side] or not np.all(annotated["joint_valid"][first : first + 21]):
                    continue
                is_left = torch.tensor([side == "left"])
                pose = torch.tensor(fits[side]["pose"]).view(1, 16, 3)
                pose = mirror_axis_angle(pose, is_left).view(1, 48)
                betas = torch.tensor([fits[side]["shape"]])
                hand = mano.hand(pose[:, :3], pose[:, 3:], betas, is_left)
                world = torch.tensor(annotated["world_coord"][first : first + 21])[FROM_INTERHAND]
                apart.append((hand.joints[0] - (world - world[0]) / 1000).norm(dim=-1))
    assert len(apart) > 20
    assert torch.stack(apart).max() < 1e-5


def test_the_data_set_says_what_it_is(made: tuple[Path, dict[str, int]]) -> None:
    root, _ = made
    described = json.loads((root / "annotations/synthetic.json").read_text("utf-8"))
    assert "not InterHand2.6M" in described["what"]
    assert described["recipe"]["frames"] == TINY["frames"]
    assert "workers" not in described["recipe"]
    subjects = (root / "annotations/subject.txt").read_text("utf-8").splitlines()
    assert "train Capture1 0" in subjects
    assert (root / "annotations/skeleton.txt").is_file()


def point_at(root: str, mano: str) -> None:
    text = (ROOT / "params.yaml").read_text("utf-8")
    text = text.replace("root: data/synthetic", f"root: {root}")
    Path("params.yaml").write_text(text.replace("mano: data/stand_in", f"mano: {mano}"), "utf-8")


WIDE = {"dark_studios": 0.5, "photo_backdrops": 0.5, "occluders": 0.5, "degradation": 1.0}


def test_a_wide_set_is_the_same_from_two_workers_and_credits_its_photos(
    made: tuple[Path, dict[str, int]], stand_in: Path, tmp_path: Path
) -> None:
    few = {**WIDE, "frames": 24}
    synthesize(params_with(stand_in, 1, **few), tmp_path / "one")
    synthesize(params_with(stand_in, 2, **few), tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    text = (tmp_path / "one" / "annotations" / "synthetic.json").read_text("utf-8")
    photos = json.loads(text)["photos"]
    assert set(photos) == {
        "scikit-learn: datasets/images/china.jpg",
        "scikit-learn: datasets/images/flower.jpg",
        "matplotlib: mpl-data/sample_data/grace_hopper.jpg",
    }
    assert all({"credit", "digest"} == set(photo) for photo in photos.values())
    assert "CC BY 2.0" in photos["scikit-learn: datasets/images/china.jpg"]["credit"]
    plain = (made[0] / "annotations" / "synthetic.json").read_text("utf-8")
    assert "photos" not in json.loads(plain)


@pytest.mark.parametrize(
    ("root", "mano", "message"),
    [("nowhere", "data/stand_in", "not found: nowhere"), ("data/synthetic", "no_hand", "no_hand")],
)
def test_other_data_that_are_not_there_cost_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    root: str,
    mano: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Path("data/synthetic/images/one.jpg")
    made.parent.mkdir(parents=True)
    made.touch()
    point_at(root, mano)
    assert run_stage(main, "synthesize") == 2
    assert message in capsys.readouterr().err
    assert made.exists()


def test_a_path_is_the_same_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("data")
    for named in ("data/synthetic", f"{tmp_path}/data/synthetic", "data/../link/synthetic/"):
        assert is_same_path(named, SYNTHETIC)
    assert not is_same_path("data/stand_in", SYNTHETIC)


def test_with_other_data_and_another_hand_only_notes_are_left(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    point_at("elsewhere", str(stand_in))
    train = tmp_path / "elsewhere/annotations/train"
    train.mkdir(parents=True)
    (tmp_path / "elsewhere/images").mkdir()
    for name in FILES:
        (train / f"InterHand2.6M_train_{name}.json").touch()
    main()
    assert "data.root is elsewhere" in Path("data/synthetic/README.txt").read_text()
    assert f"hand.mano is {stand_in}" in Path("data/stand_in/README.txt").read_text()
    manifest = json.loads(Path("data/synthesize_manifest.json").read_text("utf-8"))
    assert manifest["counts"].keys() == {"stand_in", "synthetic"}


def test_nothing_half_made_is_left_when_a_worker_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(stage, "write_stand_in", lambda folder: (folder / "none").touch())

    def fail(params: Params, root: Path) -> dict[str, int]:
        (root / "images").mkdir()
        raise OSError(28, "No space left on device", str(root))

    monkeypatch.setattr(stage, "synthesize", fail)
    with pytest.raises(OSError, match="No space left"):
        main()
    assert not Path("data/synthetic").exists()
    assert not list(Path("data").glob(".*partial"))
    assert not Path("data/synthesize_manifest.json").exists()

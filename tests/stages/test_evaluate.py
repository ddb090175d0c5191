from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from handpose.evaluation.protocols import ProtocolError
from handpose.files import digest
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.network_by_name import make_pose_network
from handpose.training.checkpoint import CheckpointError
from handpose.training.model_io import ModelRecord, read_record, save_model
from handpose.training.seeding import seed
from stages import evaluate
from stages.evaluation.data import EvaluateError, EvaluationData
from stages.hand_model import load_hand_model
from stages.params import load_params
from stages.paths import LABELS
from stages.running.command import run_stage
from tests.stages.made_up_samples import write_samples

Setter = Callable[..., None]
PX = 64


def write_models(broken: bool = False) -> None:
    """Untrained networks where trained ones should be, with their curves."""
    params = load_params()
    labels = pq.read_table("data/labels/labels.parquet").to_pydict()
    rows = {name: [labels[f"{name}_id"].index(k) for k in sorted(set(labels[f"{name}_id"]))]
            for name in ("coarse", "fine")}  # fmt: skip
    coarse, fine = ([labels[name][i] for i in rows[name]] for name in ("coarse", "fine"))
    hands = [labels["hand"][i] for i in rows["coarse"]]
    encoder, pose_net = params.encoder.keywords(), params.pose_net.keywords()
    mano = load_hand_model(params.hand, params.data)
    seed(0)
    gesture = GestureNet(**encoder, coarse_classes=len(coarse), fine_classes=4)
    pose: Any = make_pose_network(gesture, mano, **pose_net)
    if broken:
        torch.nn.init.constant_(pose.mano_head.shape[-1].bias, float("nan"))
    for folder, net, seconds in (
        ("pretrain", gesture, {"pretrain": 8.0}),
        ("pose/pretrained", pose, {"pretrain": 8.0, "pose": 9.0}),
        ("pose/scratch", pose, {"pose": 9.5}),
    ):
        record = ModelRecord(
            stage="pretrain" if folder == "pretrain" else "pose",
            encoder=encoder,
            pose_net=pose_net,
            joints=mano.joint_definition.record(),
            coarse=coarse,
            fine=fine,
            hands=hands,
            handedness=params.label.handedness,
            labels_digest=digest(Path("data/labels/labels.parquet")),
            params_digest="",
            seconds=seconds,
            best_epoch=1,
            loss_weights={} if folder == "pretrain" else {"gesture": 0.1},
        )
        out = Path("models") / folder
        out.mkdir(parents=True)
        save_model(out, net, record)
        (out / "curves.csv").write_text(
            "step,epoch,lr,loss,validation_coarse_accuracy,validation_fine_accuracy,"
            "validation_mpjpe_mm,validation_pa_annotated_mpjpe_mm\n1,1,1,5,,,,\n2,1,1,4,0.3,0.2,60,20\n"
        )


@pytest.fixture
def evaluable(trainable: Path, shards_of: Setter) -> Path:
    """The current folder with everything that `stages.evaluate` reads but the models."""
    shards_of(train=12, validation=2, test=9, official_val=3)
    write_samples()
    return trainable


def errors_of_the_mean_joints() -> list[float]:
    """Wrist-relative MPJPE of every evaluated sample against the mean of train, by loops."""
    rows = pq.read_table("data/ingest/samples.parquet").to_pylist()
    right = {}
    for row in rows:
        joints = np.reshape(row["joints_cam"], (21, 3)) * ([-1, 1, 1] if row["is_left"] else 1)
        right[row["sample_id"]] = joints - joints[0]
    mean = np.mean([right[row["sample_id"]] for row in rows if row["split"] == "train"], 0)
    evaluated = [r["sample_id"] for s in ("test", "official_val") for r in rows if r["split"] == s]
    return [1000 * np.linalg.norm(right[k] - mean, axis=1)[1:].mean() for k in evaluated]


def results() -> Any:
    return json.loads(Path("results/metrics.json").read_text())


def test_two_hands_of_a_photo_are_a_split_with_numbers_of_both(
    trainable: Path, shards_of: Setter
) -> None:
    """Four hands in two photos, of two people; one photo's left wrist is not annotated."""
    shards_of(train=12, validation=2, test=9, interacting=4)
    write_samples()
    path = Path("data/ingest/samples.parquet")
    rows = pq.read_table(path).to_pylist()
    pairs = {24: 100, 26: 100, 25: 101, 23: 101}
    for row in rows:
        frame = pairs.get(row["sample_id"])
        row |= {
            "other_hand": frame is not None,
            "in_other_box": [frame is not None] * 2 + [False] * 19,
        }
        if frame:
            row |= {"kind": "interacting", "camera": "400001", "frame": frame, "subject": frame}
            row["joint_valid"][0] &= row["sample_id"] != 23
    schema = pq.read_schema(path).append(pa.field("other_hand", pa.bool_()))
    schema = schema.append(pa.field("in_other_box", pa.list_(pa.bool_(), 21)))
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    write_models()
    evaluate.main()
    found = results()
    both = found["two_hands"]["interacting"]
    assert (both["photos"], both["with_both"]) == (2, 2)
    assert (both["joints"], both["joints_in_other_box"]) == (84, 8)
    assert both["mrrpe_mm"]["pretrained"]["samples"] == 1
    assert both["mrrpe_mm"]["pretrained"]["value"] > 0
    assert both["groups"]["1 to 10 joints in it"]["pretrained_wrist_mpjpe_mm"]["samples"] == 4
    pose = found["pose"]["interacting"]["pretrained"]["wrist_mpjpe_mm"]
    assert (pose["samples"], pose["subjects"]) == (4, 2)
    assert "4 images of a hand beside another one" in Path("results/report.html").read_text("utf-8")
    summary = " ".join(Path("results/summary.txt").read_text("utf-8").split())
    assert "Two hands (interacting): 4 hands in 2 photos, both in 2; 10 % of their" in summary
    assert Path("results/tables/two_hands_interacting.csv").is_file()
    table = pq.read_table("results/predictions.parquet", filters=[("split", "=", "interacting")])
    assert len(set(zip(*(table[n].to_pylist() for n in ("frame", "is_left")), strict=True))) == 4


def test_everything_is_written_and_every_number_has_its_counts(
    evaluable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models()
    evaluate.main()
    found = results()
    test = found["pose"]["test"]
    assert set(test) == {"pretrained", "scratch", "mean_pose", "mean_joints", "class_pose"}
    wrist = test["pretrained"]["wrist_mpjpe_mm"]
    assert (wrist["samples"], wrist["subjects"]) == (9, 3)
    assert wrist["low"] <= wrist["value"] <= wrist["high"]
    fitted = test["pretrained"]["pa_mpjpe_mm"]
    assert found["without_fit"]["test"] == 4 + (fitted["samples"] != 5)
    assert fitted["samples"] + found["without_fit"]["test"] == 9
    assert found["pose"]["official_val"]["pretrained"]["wrist_mpjpe_mm"]["samples"] == 3
    assert found["gesture"]["stage_1"]["coarse_accuracy"]["samples"] == 9
    assert found["gesture"]["chance"]["coarse_accuracy"]["value"] == 0.25
    assert found["training"]["pretrained"]["total_s"] == 17.0
    same = found["pretrained_minus_scratch"]["wrist_mpjpe_mm"]
    assert same["difference"]["value"] == 0, "both runs are the same network here"
    headline = json.loads(Path("results/headline.json").read_text())
    assert headline["full_model"]["mpjpe_mm"] == wrist["value"]
    assert (headline["images"], headline["people"]) == (9, 3)

    table = pq.read_table("results/predictions.parquet").to_pydict()
    assert len(table["sample_id"]) == 12
    assert np.nanmean(table["pretrained_wrist_mpjpe_mm"][:9]) == pytest.approx(
        wrist["value"], rel=1e-5
    )
    assert np.shape(table["pretrained_joints"]) == (12, 63)
    assert table["mean_joints_wrist_mpjpe_mm"] == pytest.approx(
        errors_of_the_mean_joints(), rel=1e-4
    )

    names = {str(p.relative_to("results")) for p in Path("results").rglob("*") if p.is_file()}
    for name in (
        *("summary.txt", "report.html", "manifest.json", "tables/pose_test.csv"),
        *(f"tables/per_{part}.csv" for part in ("gesture", "joint", "hand", "camera", "subject")),
        *(f"tables/per_{part}.csv" for part in ("phase", "visibility", "confidence")),
        *(f"plots/{plot}.png" for plot in ("pck", "confusion", "map", "training", "vertices")),
        *(f"plots/{plot}.csv" for plot in ("pck", "confusion", "map", "vertices")),
        *(f"pictures/{rank}.png" for rank in ("best", "median", "worst", "predictions", "pairs")),
    ):
        assert name in names
    strip = Path("results/pictures/predictions.png")
    assert Image.open(strip).width == 1596
    assert strip.stat().st_size < 250_000, "even of noise"
    assert Path("results/plots/confusion.csv").read_text().startswith("actual,predicted\n")
    html = Path("results/report.html").read_text()
    assert html.count("data:image/png;base64,") == 10
    assert len(html) < 15e6
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html), "needs nothing beside itself"
    assert Path("results/summary.txt").read_text() in capsys.readouterr().out

    before = Path("results/metrics.json").read_bytes()
    evaluate.main()
    assert Path("results/metrics.json").read_bytes() == before, "same inputs, same numbers"


def test_canonical_mode_mirrors_its_joints_back_into_the_photo(
    evaluable: Path, set_params: Setter, labels_of: Setter
) -> None:
    set_params(label={"handedness": "canonical"}, pose_net={"side_input": False})
    labels_of(coarse=("gun", "fist", "gun", "fist"))
    write_models()
    evaluate.main()
    found = results()
    assert found["gesture"]["chance"]["coarse_accuracy"]["value"] == 0.5
    assert "coarse_accuracy_ignoring_hand" not in found["gesture"]["stage_1"]
    table = pq.read_table("results/predictions.parquet").to_pydict()
    true = pq.read_table("data/ingest/samples.parquet").to_pydict()
    for k in range(9):
        row = true["sample_id"].index(table["sample_id"][k])
        truth = np.reshape(true["joints_cam"][row], (21, 3))
        joints = np.reshape(table["pretrained_joints"][k], (21, 3))
        error = np.linalg.norm(joints - (truth - truth[0]), axis=1)[1:].mean() * 1000
        assert error == pytest.approx(table["pretrained_wrist_mpjpe_mm"][k], rel=1e-4)


def test_images_with_classes_of_their_own_are_scored_by_these(
    evaluable: Path, set_params: Setter
) -> None:
    rows = pq.read_table(LABELS).to_pylist()
    images = [{**rows[(i + i // 4) % 4], "sample_id": i} for i in range(26)]
    pq.write_table(
        pa.Table.from_pylist([*({**r, "sample_id": None} for r in rows), *images]), LABELS
    )
    set_params(label={"shuffle": "images"})
    write_models()
    evaluate.main()
    table = pq.read_table("results/predictions.parquet").to_pydict()
    own = {row["sample_id"]: (row["coarse_id"], row["fine_id"]) for row in images}
    scored = zip(*(table[name] for name in ("sample_id", "coarse", "fine")), strict=True)
    assert all(own[number] == (coarse, fine) for number, coarse, fine in scored)
    test = [
        n for n, split in zip(table["sample_id"], table["split"], strict=True) if split == "test"
    ]
    trained = Counter(own[n][0] for n in range(12))
    majority = min(trained, key=lambda k: (-trained[k], k))
    expected = np.mean([own[n][0] == majority for n in test])
    assert results()["gesture"]["majority"]["coarse_accuracy"]["value"] == pytest.approx(expected)
    assert (
        "exchanged among images (label.shuffle: images)" in Path("results/report.html").read_text()
    )


def test_eanet_is_evaluated_as_a_model_without_gesture_tokens(
    evaluable: Path, set_params: Setter
) -> None:
    set_params(
        encoder={"backbone": "resnet18", "gesture_levels": [32]},
        pose_net={"network": "eanet", "dim": 16, "gesture_tokens": False},
    )
    write_models()
    evaluate.main()
    found = results()
    assert found["pose"]["test"]["pretrained"]["wrist_mpjpe_mm"]["samples"] == 9
    assert "pretrained" not in found["interventions"]
    assert "The full model has no gesture tokens" in Path("results/summary.txt").read_text()


def test_a_warm_up_without_gestures_is_evaluated_without_gestures_of_stage_1(
    evaluable: Path, set_params: Setter
) -> None:
    set_params(pretrain={"objective": "pose"}, pose_net={"gesture_tokens": False})
    write_models()
    Path("models/pretrain/curves.csv").write_text(
        "step,epoch,lr,joints,loss,gradient_norm,validation_loss,validation_mpjpe_mm\n"
        "1,1,1,5,5,1,,\n2,1,1,4,4,1,4,60\n"
    )
    evaluate.main()
    assert "stage_1" not in json.loads(Path("results/headline.json").read_text())
    assert results()["stage_1_objective"] == "pose"
    html = Path("results/report.html").read_text()
    assert "Stage 1 learnt no gestures (pretrain.objective: pose)" in html
    assert "Coarse gestures by Stage 1" not in html and "Stage 1 coarse" not in html
    assert not Path("results/pictures/pairs.png").exists()
    assert Path("results/plots/confusion.png").exists(), "an output that dvc.yaml names"


def test_models_of_two_frames_are_refused(evaluable: Path) -> None:
    write_models()
    path = Path("models/pose/scratch/model.json")
    record = json.loads(path.read_text())
    record["pose_net"]["turn_camera"] = False
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"scratch.*turn_camera is False, expected True"):
        evaluate.main()


def test_the_frame_is_the_one_of_the_record_and_not_of_params(
    evaluable: Path, set_params: Setter
) -> None:
    write_models()
    folders = (Path("models/pose/pretrained"), Path("models/pose/scratch"))
    set_params(pose_net={"turn_camera": False})
    records = {folder: read_record(folder) for folder in folders}
    assert evaluate.turned_cameras(records)


def test_no_labelled_test_sample_is_an_error_and_not_a_zero(
    evaluable: Path, shards_of: Setter
) -> None:
    write_models()
    shards_of(train=12, validation=2, official_val=3)
    write_samples()
    with pytest.raises(EvaluateError, match=r"0 images .* and 0 with a gesture"):
        evaluate.main()
    assert not Path("results").exists()


def test_a_prediction_that_is_not_a_number_is_an_error(evaluable: Path) -> None:
    write_models(broken=True)
    with pytest.raises(ProtocolError, match="not finite"):
        evaluate.main()


def test_models_of_other_labels_are_refused(evaluable: Path, labels_of: Setter) -> None:
    write_models()
    labels_of(coarse=("gun", "fist", "gun_left", "fist_left"))
    with pytest.raises(CheckpointError, match="labels_digest"):
        evaluate.main()


@pytest.mark.parametrize("run", ["pretrain", "pose/pretrained", "pose/scratch"])
def test_a_missing_model_is_reported(evaluable: Path, run: str) -> None:
    write_models()
    (Path("models") / run / "model.json").unlink()
    with pytest.raises(CheckpointError, match=f"{run}/model.json: not found"):
        evaluate.main()


@pytest.mark.parametrize("name", ["data/ingest/samples.parquet", "data/labels/labels.parquet"])
def test_a_missing_table_is_reported_with_exit_code_2(
    evaluable: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_models()
    Path(name).unlink()
    assert run_stage(evaluate.main, "evaluate") == 2
    assert f"{name}: not found; run `dvc repro" in capsys.readouterr().err


def test_the_averages_are_those_of_the_folders_that_are_in(evaluable: Path) -> None:
    """A folder without a class is trained on if membership.txt names it, and else it is not."""
    path = Path("data/ingest/samples.parquet")
    table = pq.read_table(path)
    folders = np.array(table["sequence"].to_pylist(), object)
    train = np.array(table["split"].to_pylist()) == "train"
    folders[np.flatnonzero(train)[:3]] = "0050_two_hands"
    column = table.column_names.index("sequence")
    pq.write_table(table.set_column(column, "sequence", pa.array(folders)), path)
    mano = Mano.load(load_params().hand.mano)
    joints = np.reshape(np.stack(table["joints_cam"].to_pylist()), (-1, 21, 3))
    relative = joints - joints[:, :1]
    relative[np.array(table["is_left"].to_pylist()), :, 0] *= -1

    def expect(rows: NDArray[np.bool_]) -> None:
        data = EvaluationData.open(image_px=PX, canonical=False, batch=2)
        found = data.training_means(mano).joints
        np.testing.assert_allclose(found, relative[rows].mean(0), atol=1e-6)

    members = Path("data/labels/membership.txt")
    expect(train & (folders != "0050_two_hands"))
    members.write_text(members.read_text("utf-8") + "0050_two_hands\n", "utf-8")
    expect(train)

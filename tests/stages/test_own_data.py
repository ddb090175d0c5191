"""A lab's own recordings in the folder format, through every stage up to the evaluation."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from handpose.data.annotation_table import AnnotationTable
from handpose.interhand.reader import InterHandReader
from pipeline.data.verify import check
from stages import evaluate, ingest, label, pose, pretrain, shard, synthesize
from stages.params import load_params

ROOT = Path(__file__).parents[2]
CHANGES: dict[str, dict[str, Any]] = {
    "synthesize": {
        "frames": 180, "main_subjects": 1, "short_subjects": 2, "short_share": 0.5,
        "image_px": [64, 48], "workers": 1,
    },
    "ingest": {"validation_subjects": [1], "test_subjects": [2]},
    "label": {"map": "my_gestures.csv"},
    "shard": {"view_px": 64, "crop_px": 86, "workers": 1},
    "encoder": {"image_px": 64},
    "pose_net": {"grid": 8, "dim": 32, "heads": 2, "encoder_layers": 1, "fusion_layers": 1},
    "pretrain": {"epochs": 1, "batch": 32},
    "pose": {"epochs": 1, "batch": 32},
    "pose_scratch": {"epochs": 1},
    "evaluate": {"tsne_samples": 40, "pictures": 1},
}  # fmt: skip


def set_data(**data: str) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for section, values in CHANGES.items():
        raw[section] |= values
    raw["data"] |= data
    raw["ingest"]["exclusions"] = str(ROOT / "labels" / "exclusions.csv")
    Path("params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")


def own_name(folder: str, hand: str) -> str:
    """A lab calls its gestures as it likes."""
    return f"{folder.partition('_')[2]} {hand}"


def lines(rows: AnnotationTable, split: str | None) -> Iterator[dict[str, Any]]:
    """The records of annotations, as a lab would write them."""
    hands, columns = rows.hands(), rows.table.to_pydict()
    valid = hands.joint_valid & hands.visible
    for i, kind in enumerate(columns["kind"]):
        side = columns["hand"][i]
        name = columns["sequence"][i]
        record: dict[str, Any] = {
            "image": columns["image"][i].removeprefix("images/"),
            "size": hands.size[i].tolist(),
            "K": hands.camera.K[i].tolist(),
            "R": hands.camera.R[i].tolist(),
            "C": hands.camera.C[i].tolist(),
            "joints": hands.joints[i].tolist(),
            "joint_valid": valid[i].tolist(),
            "subject": columns["subject"][i],
            "side": side,
            "session": columns["session"][i],
            "camera": columns["camera"][i],
            "frame": columns["frame"][i],
        }
        record |= {"gesture": own_name(name, side)} if kind == "gesture" else {"sequence": name}
        if hands.has_mano[i]:
            record["mano"] = {k: part[i].tolist() for k, part in hands.fit._asdict().items()}
        yield record | ({"split": split} if split else {})


def write_map() -> None:
    """The curated map under the lab's names."""
    with (ROOT / "labels/gesture_map.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = {row["folder"]: own_name(row["folder"], row["hand"]) for row in rows}
    with Path("my_gestures.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"folder": names[row["folder"]], "twin": names[row["twin"]]})


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic hands in `data/synthetic`, and the same ones as own recordings in `mine`."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        set_data()
        synthesize.main()
        reader = InterHandReader(Path("data/synthetic"))
        Path("mine/annotations").mkdir(parents=True)
        shutil.copytree("data/synthetic/images", "mine/images")
        with Path("mine/annotations/hands.jsonl").open("w", encoding="utf-8") as stream:
            for split in reader.splits():
                rows = reader.read(split).usable.in_order()
                for record in lines(rows, split.evaluated_as and f"lab_{split.name}"):
                    stream.write(json.dumps(record) + "\n")
        write_map()
        set_data(root="mine", format="folder")
    return folder


@pytest.fixture
def lab(recordings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(recordings)
    return recordings


def samples() -> dict[str, dict[str, Any]]:
    """Rows of samples.parquet by photo."""
    rows = pq.read_table(ingest.OUT / "samples.parquet").to_pylist()
    return {row["image"]: row for row in rows}


def test_both_readers_give_the_same_samples(lab: Path) -> None:
    ingest.main()
    own = samples()
    set_data()
    ingest.main()
    theirs = samples()
    set_data(root="mine", format="folder")
    renamed = {"sample_id", "annotation_id", "source_split", "split", "sequence"}
    assert own.keys() == theirs.keys()
    for image, row in own.items():
        for name in row.keys() - renamed:
            np.testing.assert_array_equal(row[name], theirs[image][name], err_msg=name)
    splits = {(row["split"], theirs[image]["split"]) for image, row in own.items()}
    assert splits == {
        *((s, s) for s in ("train", "validation", "test")),
        ("lab_val", "official_val"),
        ("lab_test", "official_test"),
    }


def test_every_stage_runs_on_own_recordings(lab: Path) -> None:
    for stage in (ingest, label, shard, pretrain):
        stage.main()
    for run in ("pretrained", "scratch"):
        pose.main([run])
    evaluate.main()
    metrics = json.loads(Path("results/metrics.json").read_text("utf-8"))
    assert set(metrics["pose"]) == {"test", "lab_val", "lab_test"}
    assert metrics["pose"]["test"]["pretrained"]["wrist_mpjpe_mm"]["samples"] > 0
    predictions = pq.read_table("results/predictions.parquet")
    assert {"session", "sequence"} <= set(predictions.column_names)


def test_every_stage_runs_without_a_mano_fit(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("mine/annotations/hands.jsonl")
    whole = file.read_text("utf-8")
    records = [json.loads(line) for line in whole.splitlines()]
    for record in records:
        record.pop("mano", None)
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    try:
        ingest.main()
    finally:
        file.write_text(whole, encoding="utf-8")
    warning = r"warning: none of the \d+ samples of split train has a MANO fit: no such line"
    assert re.search(warning, capsys.readouterr().out)
    for stage in (label, shard, pretrain):
        stage.main()
    for run in ("pretrained", "scratch"):
        pose.main([run])
    evaluate.main()
    metrics = json.loads(Path("results/metrics.json").read_text("utf-8"))
    test = metrics["pose"]["test"]
    assert metrics["without_fit"]["test"] == test["pretrained"]["uv_px"]["samples"] > 0
    assert test["pretrained"]["wrist_mpjpe_mm"]["value"] > 0
    assert test["mean_joints"]["wrist_mpjpe_mm"]["value"] > 0
    for model, key in (("pretrained", "pa_mpjpe_mm"), ("mean_pose", "wrist_mpjpe_mm")):
        assert (test[model][key]["value"], test[model][key]["samples"]) == (None, 0)
    assert "nan" not in Path("results/summary.txt").read_text("utf-8")


def test_verify_reads_as_ingest_does_and_looks_for_photos(lab: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert check(load_params(), each=1, write_line=said.append) == 0
    assert not any(line.startswith("FAIL") for line in said)
    assert [line.split(maxsplit=2)[1:] for line in said if "will use" in line] == [
        ["train", "ingest will use 196 annotations and reject 0"],
        ["lab_val", "ingest will use 16 annotations and reject 0"],
        ["lab_test", "ingest will use 32 annotations and reject 0"],
    ]
    assert said[-1] == "nothing to fix"
    shutil.copytree("mine/annotations", tmp_path / "annotations")
    said.clear()
    assert check(load_params(), tmp_path, each=1, write_line=said.append) == 2
    assert "photos not found, the first is" in "\n".join(said)
    (tmp_path / "annotations/hands.jsonl").write_text("{}\n", encoding="utf-8")
    said.clear()
    assert check(load_params(), tmp_path, each=1, write_line=said.append) == 2
    assert "hands.jsonl:1: image, size, K, joints, subject, side: missing" in said[0]


def test_a_gesture_that_the_map_lacks_is_named(lab: Path) -> None:
    ingest.main()
    whole = Path("my_gestures.csv").read_text("utf-8")
    rows = [row for row in whole.splitlines(True) if "fake_gun" not in row]
    Path("my_gestures.csv").write_text("".join(rows), encoding="utf-8")
    try:
        with pytest.raises(label.LabelError, match="does not list these gesture folders") as error:
            label.main()
        assert "fake_gun left" in str(error.value) and "fake_gun right" in str(error.value)
    finally:
        Path("my_gestures.csv").write_text(whole, encoding="utf-8")

"""Fewer cameras and no neutral ends: in training and validation alone; every hand is counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages import ingest
from stages.running.command import run_stage
from tests.stages.small_dataset import CAMERAS, FRAMES, Dataset, set_params


def run(stand_in: Any, **changes: Any) -> tuple[Counter[tuple[str, str]], dict[str, Any]]:
    """Samples by split and kind, and the counts of the manifest."""
    set_params(stand_in, **changes)
    ingest.main()
    table = pq.read_table(ingest.OUT / "samples.parquet")
    kinds = zip(table["split"].to_pylist(), table["kind"].to_pylist(), strict=True)
    return Counter(kinds), json.loads((ingest.OUT / "manifest.json").read_text())["counts"]


def test_every_moment_keeps_so_many_cameras(dataset: Dataset, stand_in: Any) -> None:
    whole, before = run(stand_in)
    assert "thinned" not in before
    thin, counts = run(stand_in, cameras_per_instant=1)
    for key, count in whole.items():
        trains = key[0] in {"train", "validation"}
        assert thin[key] == (count // len(CAMERAS) if trains else count), key
    assert counts["thinned"] == whole.total() - thin.total() > 0
    assert counts["annotations"] == before["annotations"]


def test_sequences_lose_their_ends(dataset: Dataset, stand_in: Any) -> None:
    whole, before = run(stand_in)
    for folder in ("0003_fake_gun", "0103_fake_gun"):  # the fixture's two moments are all ends
        assert len(FRAMES) == 2
        assert any(i["seq_name"] == folder for i in dataset.train["data"]["images"])
    same, counts = run(stand_in, trim_ends=0.4)
    assert same == whole, "less than a moment is none"
    assert counts["trimmed"] == 0, "which is reported, as it was asked for"
    longer(dataset)
    whole, before = run(stand_in)
    short, counts = run(stand_in, trim_ends=0.3)
    for (split, kind), count in whole.items():
        trims = split in {"train", "validation"} and kind == "gesture"
        assert short[split, kind] == (count // 2 if trims else count), (split, kind)
    assert counts["trimmed"] == whole.total() - short.total() > 0
    assert counts["annotations"] == before["annotations"]


def longer(dataset: Dataset) -> None:
    """Four moments in place of two: everything once more, a thousand frames later."""
    files = dataset.train
    images, hands = files["data"]["images"], files["data"]["annotations"]
    count = len(images)
    for image, hand in list(zip(images, hands, strict=True)):
        number, frame = image["id"] + count, image["frame_idx"] + 1000
        name = image["file_name"].replace(f"image{image['frame_idx']:04d}", f"image{frame}")
        images.append(image | {"id": number, "frame_idx": frame, "file_name": name})
        hands.append(hand | {"id": number, "image_id": number})
    for name in ("joint_3d", "MANO_NeuralAnnot"):
        for frames in files[name].values():
            frames |= {str(int(frame) + 1000): content for frame, content in frames.items()}
    dataset.write()


@pytest.mark.parametrize("names", [["fake_gun"], ["0003_fake_gun", "0103_fake_gun"]])
def test_held_out_gestures_are_not_trained_on_and_tested_apart(
    dataset: Dataset, stand_in: Any, names: list[str]
) -> None:
    for image in dataset.train["data"]["images"]:  # a second gesture, of either hand
        if image["camera"] == CAMERAS[1] and "fake_gun" in image["seq_name"]:
            image["seq_name"] = image["seq_name"].replace("fake_gun", "fist")
    dataset.write()
    whole, before = run(stand_in)
    assert "held_out" not in before and "held_out_gestures" not in before["samples"]
    folders = json.loads((ingest.OUT / "split.json").read_text())
    part, counts = run(stand_in, held_out_gestures=names)
    assert part["held_out_gestures", "gesture"] == part["test", "gesture"]
    for split in ("train", "validation", "test"):
        assert part[split, "gesture"] == whole[split, "gesture"] / 2
        assert part[split, "rom"] == whole[split, "rom"]
    assert counts["held_out"] == whole.total() - part.total() > 0
    assert counts["annotations"] == before["annotations"]
    table = pq.read_table(ingest.OUT / "samples.parquet").to_pylist()
    of = {row["sequence"][5:] for row in table if row["split"] == "held_out_gestures"}
    assert of == {"fake_gun"}
    assert {row["sequence"][5:] for row in table if row["kind"] == "gesture"} == {
        "fist", "fake_gun"
    }  # fmt: skip
    assert not [r for r in table if r["split"] == "train" and r["sequence"].endswith("fake_gun")]
    held_out = json.loads((ingest.OUT / "split.json").read_text())["held_out_gestures"]
    assert held_out["subjects"] == folders["test"]["subjects"]


def test_a_gesture_that_no_folder_has_is_reported_with_the_nearest_one(
    dataset: Dataset, stand_in: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    set_params(stand_in, held_out_gestures=["fakegun", "dh_pray", "0003_fake_gun"])
    assert run_stage(ingest.main, "ingest") == 2
    assert capsys.readouterr().err == (
        "ingest: params.yaml: ingest.held_out_gestures names what no gesture folder of official "
        "train is called, with or without its number:\n  fakegun (nearest: fake_gun)\n  dh_pray\n"
        "Gestures there: fake_gun\n"
    )

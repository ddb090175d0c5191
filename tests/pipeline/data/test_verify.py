"""A line for each finding: what is sound is called sound, and each damage by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.data.verify import check
from stages import ingest, label
from stages.params import Params, load_params
from stages.running.command import run_stage

TRAIN = Path("data/synthetic/images/train")
DATA = Path("data/synthetic/annotations/train/InterHand2.6M_train_data.json")


def said(each: int | None = None, root: Path | None = None) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = check(load_params(), root, each=each, write_line=lines.append)
    return code, lines


def faults(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("FAIL")]


def photo() -> Path:
    return sorted(TRAIN.rglob("*.jpg"))[0]


def edit(change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(DATA.read_text("utf-8"))
    change(content)
    DATA.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("each", [0, 1, None])
def test_the_synthetic_set_is_sound_and_not_the_official_one(
    params: Params, each: int | None
) -> None:
    code, lines = said(each)
    assert code == 0
    assert faults(lines) == []
    assert lines[-1] == "nothing to fix"
    for split in ("train", "val", "test"):
        assert any(split in line and "not the official set" in line for line in lines)
    assert any("90 gesture" in line for line in lines)
    assert any("opened are sound" in line for line in lines) == (each != 0)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def splice(path: Path) -> None:
    """The tail of a noisier photo."""
    image = cv2.imread(str(path))
    assert image is not None
    noise = np.random.default_rng(0).integers(0, 60, image.shape)
    noisy = (image + noise).clip(0, 255).astype(np.uint8)
    other = cv2.imencode(".jpg", noisy)[1].tobytes()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + other[len(other) // 2 :])


def blacken(path: Path) -> None:
    image = cv2.imread(str(path))
    assert image is not None
    cv2.imwrite(str(path), image * np.uint8(0))


def crop(path: Path) -> None:
    image = cv2.imread(str(path))
    assert image is not None
    cv2.imwrite(str(path), image[:30])


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (Path.unlink, ": not found"),
        (cut, "image_truncated: 1 of"),
        (splice, "image_damaged: 1 of"),
        (lambda path: path.write_bytes(b""), "image_empty: 1 of"),
        (lambda path: path.write_bytes(b"text \xff\xd9"), "image_undecodable: 1 of"),
        (crop, "image_size: 1 of"),
        (lambda path: shutil.rmtree(path.parents[2]), "images/train/Capture0/ not found"),
        (lambda path: shutil.rmtree(path.parent), "/ not found, with 1 annotated photo;"),
    ],
)
def test_a_damaged_photo_is_found(own: Path, damage: Callable[[Path], None], word: str) -> None:
    damage(photo())
    code, lines = said()
    assert code == 2
    fault, *further = faults(lines)
    assert all("split train will have no sample" in text for text in further)
    assert word in fault
    assert "again" in fault or "version" in fault, "the remedy"


def test_photos_of_another_format_are_counted_and_sound(own: Path) -> None:
    image = cv2.imread(str(photo()))
    assert image is not None
    photo().write_bytes(cv2.imencode(".png", image)[1].tobytes())
    code, lines = said()
    assert (code, sum("1 is a PNG file" in line for line in lines)) == (0, 1)


def test_a_black_photo_is_noted_and_many_are_a_fault(own: Path) -> None:
    blacken(photo())
    code, lines = said()
    assert (code, sum("image_black: 1 of" in line for line in lines)) == (0, 1)
    for path in sorted(TRAIN.rglob("*.jpg"))[:40]:
        blacken(path)
    assert said()[0] == 2


def test_a_folder_in_other_capitals_is_reported_by_its_name(own: Path) -> None:
    folder = next(path for path in TRAIN.glob("Capture0/ROM*"))
    folder.rename(folder.with_name(folder.name.swapcase()))
    (fault,) = faults(said()[1])
    assert f"is called {folder.name.swapcase()}" in fault


@pytest.mark.parametrize("file", ["joint_3d", "MANO_NeuralAnnot"])
def test_a_file_without_the_moments_is_a_fault(own: Path, file: str) -> None:
    DATA.with_name(f"InterHand2.6M_train_{file}.json").write_text("{}", "utf-8")
    fault, *further = faults(said(each=0)[1])
    assert all("Nothing is left to use" in text for text in further)
    assert ("MANO fit" if file == "MANO_NeuralAnnot" else "no joints") in fault
    assert "unpack the annotations" in fault


def test_what_cannot_be_read_is_reported_and_the_rest_is_looked_at(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photo()
    folder.unlink()
    folder.mkdir()  # nobody can read a folder, not even root
    faulty, read = "InterHand2.6M_val_camera.json", Path.open

    def refuse(path: Path, *how: Any, **more: Any) -> Any:
        if path.name == faulty:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *how, **more)

    monkeypatch.setattr(Path, "open", refuse)
    missing, unreadable = faults(said()[1])
    assert "image_unreadable: 1 of" in missing
    assert f"{faulty} cannot be read (Permission denied); fix its permissions" in unreadable


def test_a_data_set_is_the_same_however_it_is_written(own: Path) -> None:
    text = Path("params.yaml").read_text("utf-8")
    key = "validation_subjects:\n  - "
    Path("params.yaml").write_text(text.replace(f"{key}1", f"{key}77"), "utf-8")
    for root in (None, Path("data/synthetic"), own / "data/../data/synthetic"):
        (fault,) = faults(said(each=0, root=root)[1])
        assert "names [77]" in fault


def test_annotation_files_that_are_missing_or_cut_are_reported(own: Path) -> None:
    files = sorted(Path("data/synthetic/annotations/val").iterdir())
    files[0].unlink()
    DATA.write_bytes(DATA.read_bytes()[:-5000])
    reported = faults(said()[1])
    assert len(reported) == 2
    assert "ends in the middle" in reported[0]
    assert files[0].name in reported[1]
    shutil.rmtree("data/synthetic/annotations/val")
    assert len(faults(said()[1])) == 1, "val may be missing as a whole"


def test_contradictions_between_annotation_files_are_reported(own: Path) -> None:
    def contradict(content: dict[str, Any]) -> None:
        content["images"][0]["camera"] = "400999"
        content["images"][1]["frame_idx"] = 987654321
        content["images"][2]["width"] = None

    edit(contradict)
    code, lines = said(0)
    text = "\n".join(lines)
    assert code == 2
    assert "not in the camera file: camera 400999" in text
    assert "1 of" in text
    assert "no joints" in text
    assert "1 malformed" in text


def test_what_the_parameters_ask_of_this_data_set_is_looked_for(own: Path) -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text("utf-8").replace("- 2\n", "- 77\n"), encoding="utf-8")
    table = Path("labels/gesture_map.csv")
    rows = table.read_text("utf-8").splitlines(keepends=True)
    table.write_text("".join(row for row in rows if "16_fist," not in row), "utf-8")
    reported = faults(said(0)[1])
    assert any("ingest.test_subjects names [77]" in line for line in reported)
    assert any("0016_fist" in line for line in reported)
    shutil.move("data/synthetic", "elsewhere")
    assert said(0, Path("elsewhere"))[0] == 0, "nothing is asked of another data set"


def test_a_wrong_folder_is_reported_before_anything_is_read(params: Params, tmp_path: Path) -> None:
    code, lines = said(1, tmp_path)
    assert code == 2
    assert lines[0].startswith("FAIL  layout")


def test_the_command_line_says_it_too(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "--all"]) == 0
    assert capsys.readouterr().out.endswith("nothing to fix\n")
    assert main(["data", "verify", "nowhere", "--sample", "3"]) == 2


def test_photos_one_folder_down_are_reported_and_the_command_brings_them_back(own: Path) -> None:
    root = Path("data/synthetic")
    (root / "InterHand2.6M_5fps_batch1").mkdir()
    shutil.move(root / "images", root / "InterHand2.6M_5fps_batch1" / "images")
    code, lines = said(each=0)
    (fault,) = faults(lines)
    assert code == 2
    assert "data/synthetic/InterHand2.6M_5fps_batch1/images is it: link it" in fault
    subprocess.run(fault.rpartition("move it): ")[2], shell=True, check=True)
    assert said(each=0)[0] == 0


@pytest.mark.parametrize("frames", ["of a capture", "of a frame"])
def test_joints_of_an_early_release_are_called_so(own: Path, frames: str) -> None:
    file = DATA.with_name("InterHand2.6M_train_joint_3d.json")
    whole = file.read_text("utf-8")
    content = json.loads(whole)
    lists = {
        capture: list(of.values())
        if frames == "of a capture"
        else {frame: one["world_coord"] for frame, one in of.items()}
        for capture, of in content.items()
    }
    file.write_text(json.dumps(lists), encoding="utf-8")
    code, lines = said(each=0)
    assert code == 2
    assert any("early release" in line and "v1.0" in line for line in faults(lines))
    file.write_text(whole, encoding="utf-8")
    assert said(each=0)[0] == 0


def test_a_folder_of_a_name_of_its_own_is_dropped_by_the_line_that_label_prints(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole walk: verify and label name the folder, label the line; then both are content."""

    def rename(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["file_name"] = image["file_name"].replace(OLD, NEW)
            image["seq_name"] = image["seq_name"].replace(OLD, NEW)

    OLD, NEW = "0003_fake_gun", "0999_newgesture"
    edit(rename)
    for folder in list(TRAIN.glob(f"*/{OLD}")):
        folder.rename(folder.with_name(NEW))
    assert run_stage(ingest.main, "ingest") == 0
    (fault,) = faults(said(each=0)[1])
    assert f"gesture folders that the gesture map does not list: {NEW}" in fault
    capsys.readouterr()
    assert run_stage(label.main, "label") == 2
    message = capsys.readouterr().err
    assert f"No class can be given to {NEW}: these are called 00xx_NAME (right)" in message
    line = message.partition("add these lines:\n")[2]
    with Path("labels/gesture_map.csv").open("a", encoding="utf-8") as stream:
        stream.write(line)
    assert run_stage(label.main, "label") == 0
    assert said(each=0)[0] == 0

"""A line for each finding: what is sound is called sound, and each damage by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.data.verify import check
from stages.params import Params, load_params

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
        (lambda path: path.write_bytes(b"text \xff\xd9"), "image_undecodable: 1 of"),
        (crop, "image_size: 1 of"),
        (lambda path: shutil.rmtree(path.parents[2]), "images/train/Capture0/ not found"),
        (lambda path: shutil.rmtree(path.parent), "/ not found, of which 1 photos"),
    ],
)
def test_a_damaged_photo_is_found(own: Path, damage: Callable[[Path], None], word: str) -> None:
    damage(photo())
    code, lines = said()
    assert code == 2
    (fault,) = faults(lines)
    assert word in fault
    assert "again" in fault or "version" in fault, "the remedy"


def test_a_black_photo_is_noted_and_many_are_a_fault(own: Path) -> None:
    blacken(photo())
    code, lines = said()
    assert (code, sum("image_black: 1 of" in line for line in lines)) == (0, 1)
    for path in sorted(TRAIN.rglob("*.jpg"))[:40]:
        blacken(path)
    assert said()[0] == 2


def test_a_folder_in_other_capitals_is_told_by_its_name(own: Path) -> None:
    folder = next(path for path in TRAIN.glob("Capture0/ROM*"))
    folder.rename(folder.with_name(folder.name.swapcase()))
    (fault,) = faults(said()[1])
    assert f"is called {folder.name.swapcase()}" in fault


@pytest.mark.parametrize("file", ["joint_3d", "MANO_NeuralAnnot"])
def test_a_file_without_the_moments_is_a_fault(own: Path, file: str) -> None:
    DATA.with_name(f"InterHand2.6M_train_{file}.json").write_text("{}", "utf-8")
    (fault,) = faults(said(each=0)[1])
    assert ("MANO fit" if file == "MANO_NeuralAnnot" else "no joints") in fault
    assert "unpack the annotations" in fault


def test_what_cannot_be_read_is_told_and_the_rest_is_looked_at(
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


def test_annotation_files_that_are_missing_or_cut_are_told(own: Path) -> None:
    files = sorted(Path("data/synthetic/annotations/val").iterdir())
    files[0].unlink()
    DATA.write_bytes(DATA.read_bytes()[:-5000])
    told = faults(said()[1])
    assert len(told) == 2
    assert "is not JSON" in told[0]
    assert files[0].name in told[1]
    shutil.rmtree("data/synthetic/annotations/val")
    assert len(faults(said()[1])) == 1, "val may be missing as a whole"


def test_contradictions_between_annotation_files_are_told(own: Path) -> None:
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
    assert "the first is number 2 of the list" in text


def test_what_the_parameters_ask_of_this_data_set_is_looked_for(own: Path) -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text("utf-8").replace("- 2\n", "- 77\n"), encoding="utf-8")
    table = Path("labels/gesture_map.csv")
    rows = table.read_text("utf-8").splitlines(keepends=True)
    table.write_text("".join(row for row in rows if "16_fist," not in row), "utf-8")
    told = faults(said(0)[1])
    assert any("ingest.test_subjects names [77]" in line for line in told)
    assert any("0016_fist" in line for line in told)
    shutil.move("data/synthetic", "elsewhere")
    assert said(0, Path("elsewhere"))[0] == 0, "nothing is asked of another data set"


def test_a_wrong_folder_is_told_before_anything_is_read(params: Params, tmp_path: Path) -> None:
    code, lines = said(1, tmp_path)
    assert code == 2
    assert lines[0].startswith("FAIL  layout")


def test_the_command_line_says_it_too(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "--all"]) == 0
    assert capsys.readouterr().out.endswith("nothing to fix\n")
    assert main(["data", "verify", "nowhere", "--sample", "3"]) == 2

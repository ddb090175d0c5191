"""The gallery: one file that asks for nothing, with every folder, and those without an image."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.__main__ import main
from pipeline.labels.class_gallery import Shots
from pipeline.thumbnails import SIDE_PX
from stages.paths import SAMPLES

PAGE = Path("results/gallery.html")
PHOTOS = Path("data/synthetic")
MAP = Path("labels/gesture_map.csv")
LEVELS = {"0016_fist": 60, "0116_fist": 110, "0017_fist_rigid": 160, "0044_cup": 210}
"""Grey level of the photos of each folder, by which they are recognised."""

Show = Callable[..., str]


def write_photo(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((60, 80, 3), level, np.uint8))


def samples(folders: dict[str, int], *, people: int = 3, cameras: int = 3) -> list[dict[str, Any]]:
    """Nine frames of each folder, person and camera; the middle one's photo has the level."""
    return [
        {
            "sequence": folder,
            "subject": person,
            "session": person,
            "camera": f"4000{camera}",
            "frame": frame,
            "image": f"images/{folder}/{person}/{camera}/{frame}.jpg",
            "width": 80,
            "height": 60,
            "bbox": [20.0, 10.0, 40.0, 40.0],
            "kind": "gesture",
        }
        for folder in folders
        for person in range(people)
        for camera in range(cameras)
        for frame in range(9)
    ]


def write_samples(rows: list[dict[str, Any]], folders: dict[str, int]) -> None:
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    boxes = pa.array([row["bbox"] for row in rows], pa.list_(pa.float32(), 4))
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "bbox"}
    pq.write_table(pa.table({**columns, "bbox": boxes}), SAMPLES)
    for row in rows:
        level = folders[row["sequence"]] if row["frame"] == 4 else 20
        write_photo(PHOTOS / row["image"], level)


@pytest.fixture
def photographed(clone: Path) -> Path:
    """A clone in which four folders have photos."""
    write_samples(samples(LEVELS), LEVELS)
    return clone


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def run(*words: str) -> str:
        assert main(["labels", "gallery", *words]) == 0
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return run


def pictures(page: str) -> list[tuple[str, Any]]:
    """Alternative text and pixels of every picture, in the order of the page."""
    found = re.findall(r'<img src="data:image/webp;base64,([^"]+)" alt="([^"]+)">', page)
    return [
        (html.unescape(alt), cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), 1))
        for text, alt in found
    ]


def test_each_folder_shows_the_middle_of_its_sequences(photographed: Path, show: Show) -> None:
    out = show("--people", "2", "--cameras", "2")
    shown = pictures(PAGE.read_text("utf-8"))
    assert len(shown) == len(LEVELS) * 2 * 2
    for alt, picture in shown:
        (found,) = re.findall(r"^(\w+), person [01], camera 4000[02], frame 4$", alt)
        assert picture.shape == (SIDE_PX, SIDE_PX, 3)
        assert abs(float(picture.mean()) - LEVELS[found]) < 4
    assert f"wrote {PAGE}: 16 thumbnails of 4 folders, " in out


def test_the_page_asks_for_nothing_outside(photographed: Path, show: Show) -> None:
    show()
    page = PAGE.read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_merged_folders_and_twins_stand_side_by_side(photographed: Path, show: Show) -> None:
    show()
    page = PAGE.read_text("utf-8")
    (table,) = re.findall(r"<h3>fist .*?</table>", page, re.DOTALL)
    head = re.sub(r"<wbr>", "", table.partition("</thead>")[0])
    assert re.findall(r'<span class="hand">(\w+)</span>', head) == [
        *("0016_fist", "0116_fist"),
        *("0017_fist_rigid", "0117_fist_rigid"),
    ]
    assert re.findall(r'<th class="(\w+)( first)?">', head) == [
        *(("right", " first"), ("left", "")),
        *(("right", " first"), ("left", "")),
    ]
    assert "2 gestures merged" in table
    rows = re.findall(r"<tr><th>(\d)</th>(.*?)</tr>", table, re.DOTALL)
    assert [person for person, _ in rows] == ["0", "1", "2"]
    for _, cells in rows:
        assert [cell.count("<img") for cell in cells.split("<td")[1:]] == [2, 2, 2, 0]


def test_a_folder_without_an_image_is_shown_and_named(photographed: Path, show: Show) -> None:
    """No sample, photos that are gone, left out, and not in the map."""
    out = show()
    assert f"no image of 86 folders, no sample in {SAMPLES}: 0000_neutral_relaxed, 0001" in out
    assert PAGE.read_text("utf-8").count("no image: no sample in") == 86
    for photo in (PHOTOS / "images/0044_cup").rglob("*.jpg"):
        photo.unlink()
    out = show()
    assert "no image of 1 folder, whose photos cannot be shown: 0044_cup\n" in out
    assert "6 pictures could not be made, the page says why; the first: image_missing: " in out
    page = PAGE.read_text("utf-8")
    assert "no image: image_missing: data/synthetic/images/0044_cup/0/0/4.jpg not found" in page


def test_a_damaged_photo_is_replaced_by_its_neighbour(photographed: Path, show: Show) -> None:
    for photo in (PHOTOS / "images/0044_cup").rglob("4.jpg"):
        photo.write_bytes(photo.read_bytes()[:200])
    assert "could not be made" not in show()


def test_what_is_left_out_and_what_the_map_lacks_comes_last(photographed: Path, show: Show) -> None:
    folders = {**LEVELS, "0999_<b>new&odd": 90}
    write_samples(samples(folders), folders)
    assert main(["labels", "set", "0044_cup", "drop"]) == 0
    show()
    page = PAGE.read_text("utf-8")
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert heads[-2:] == ["left out of the experiment", "not in the map"]
    assert "0999_<wbr>&lt;b&gt;new&amp;odd" in page
    assert "<b>new" not in page
    assert len([alt for alt, _ in pictures(page) if alt.startswith("0999_<b>new&odd,")]) == 6


def test_cameras_are_taken_at_equal_steps(photographed: Path) -> None:
    rows = samples({"0016_fist": 0}, people=1, cameras=9)
    write_samples(rows, {"0016_fist": 0})
    shots = Shots.read(SAMPLES, 3).by_key["0016_fist", 0]
    assert [shot.camera for shot in shots] == ["40001", "40004", "40007"]


def test_a_page_too_large_is_refused_and_the_old_one_stays(
    photographed: Path,
    show: Show,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    show()
    before = PAGE.read_bytes()
    monkeypatch.setattr("pipeline.thumbnails.MOST_BYTES", 1000)
    assert main(["labels", "gallery"]) == 2
    assert "show fewer: --people (now 6) or --cameras (now 2)" in capsys.readouterr().err
    assert PAGE.read_bytes() == before
    assert [path.name for path in PAGE.parent.iterdir()] == ["gallery.html"]


def test_without_samples_it_says_what_to_run(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", "gallery"]) == 2
    assert "not found; run `dvc repro ingest` first" in capsys.readouterr().err
    write_samples([row | {"kind": "rom"} for row in samples({"x": 1})], {"x": 1})
    assert main(["labels", "gallery"]) == 2
    assert "has no sample of a gesture folder" in capsys.readouterr().err

"""The loop as a user types it: rank, look, exclude, ingest again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from handpose.exclusions import Exclusions
from pipeline.__main__ import main
from pipeline.faults import find_faults as module
from pipeline.faults.fault_kinds import BY_NAME
from pipeline.faults.find_faults import RANKING, find_faults
from pipeline.thumbnails import MOST_BYTES, PageSizeError
from stages import ingest
from stages.params import load_params
from stages.paths import REJECTS, SAMPLES
from tests.pipeline.faults.conftest import PlantedSet

LIST = Path("labels/exclusions.csv")


def no_hands(pictures: list[Any], boxes: list[Any]) -> list[float]:
    """A network that sees no hand anywhere, and takes no time."""
    return [0.0] * len(boxes)


@pytest.fixture
def own(planted_set: PlantedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, with its own list; the photos are those of the planted set."""
    folder = tmp_path / "own"
    shutil.copytree(planted_set.folder, folder, ignore=shutil.ignore_patterns("images", "work"))
    images = Path("data/synthetic/images")
    (folder / images).symlink_to(planted_set.folder / images)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(module, "released_network", lambda: no_hands)
    return folder


def output_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["data", *words]) == 0
    return capsys.readouterr().out


def ranking() -> list[dict[str, str]]:
    with RANKING.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def manifest() -> dict[str, Any]:
    counts: dict[str, Any] = json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))
    return counts["counts"]  # type: ignore[no-any-return]


def test_the_loop(own: Path, planted_set: PlantedSet, capsys: pytest.CaptureFixture[str]) -> None:
    before, rows_before = manifest(), pq.read_table(SAMPLES)
    out = output_of(capsys, "faults", "--top", "4")
    assert re.search(r"swapped_side +\d+ +10 ", out)
    page = Path("work/faults.html").read_text("utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)", page), "it asks for nothing outside"
    assert page.count("<img ") == page.count("data:image/webp")
    assert all(f'id="{name}"' in page for name in BY_NAME)

    chosen = ("swapped_side", "wrong_fit:1-3", "dark_photo:2", "--all-splits")
    out = output_of(capsys, "exclude", *chosen)
    assert "swapped_side: 10 rows added" in out
    assert "14 rows now" in out
    of = dict(zip(*(rows_before[name].to_pylist() for name in ("image", "split")), strict=True))
    assert all(row["used_in"] == of[row["image"]] for row in ranking())
    assert "14 rows were in" in output_of(capsys, "exclude", *chosen)
    listed = Exclusions.read(LIST)
    assert len(listed.rows) == 14
    ingest.main()
    out = capsys.readouterr().out
    assert (
        "11 annotations are not used by labels/exclusions.csv: dark_photo 1, swapped_side 10" in out
    )
    assert (
        "3 annotations are used without the MANO fit by labels/exclusions.csv: wrong_fit 3" in out
    )
    after, rows = manifest(), pq.read_table(SAMPLES)
    assert after["excluded_drop"] == {"dark_photo": 1, "swapped_side": 10}
    assert after["excluded_drop_fit"] == {"wrong_fit": 3}
    assert after["annotations"] == before["annotations"]
    assert after["rejected"]["excluded"] == 11
    assert after["without_mano_fit"] == before["without_mano_fit"] + 3 - 10, "swapped had none"
    assert len(rows) == len(rows_before) - 11
    kept = set(zip(*(rows[name].to_pylist() for name in ("session", "frame")), strict=True))
    assert not kept & planted_set.truth["swapped_side"]
    rejects = pq.read_table(REJECTS)
    details = rejects.filter(pc.equal(rejects["reason"], "excluded"))["detail"].to_pylist()
    assert any(re.match(r"swapped_side, labels/exclusions\.csv:\d+: ", text) for text in details)
    assert "11 excluded" in " ".join(output_of(capsys, "rejects").split())

    out = output_of(capsys, "faults", "--photos", "0")
    assert re.search(r"swapped_side +\d+ +0 ", out)
    assert "photos were not opened (--photos 0)" in out
    assert all(row["kind"] != "dark_photo" for row in ranking())

    LIST.write_text(LIST.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    ingest.main()
    assert manifest() == before
    assert pq.read_table(SAMPLES).equals(rows_before), "taken back to the byte"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["blurred"], "found the kind 'blurred', expected one of wrong_fit, "),
        (["dark_photo:0-3"], "found ranks '0-3', expected such as dark_photo:1-20,25"),
        (["dark_photo:7-3"], "7-3 ends before it begins; write 3-7"),
        (["dark_photo"], "work/faults.csv: not found; run `handpose data faults` first"),
    ],
)
def test_what_cannot_be_excluded_is_reported(
    own: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "exclude", *words]) == 2
    assert message in capsys.readouterr().err
    assert len(LIST.read_text("utf-8").splitlines()) == 1


def test_a_rank_that_is_not_there_and_another_file_are_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find_faults(load_params(), out=Path("work/f.html"), photos=0, top=1)
    assert main(["data", "exclude", "swapped_side:1-4000"]) == 2
    assert re.search(r"has no rank \d+ of swapped_side; its last is \d+", capsys.readouterr().err)
    RANKING.write_text("kind,rank\nwrong_fit,1\n", encoding="utf-8")
    assert main(["data", "exclude", "wrong_fit"]) == 2
    assert "is not as handpose data faults wrote it" in capsys.readouterr().err


def test_a_page_too_large_is_refused_and_the_old_one_stays(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_BYTES == 15_000_000
    page = Path("work/f.html")
    find_faults(load_params(), out=page, photos=0, top=1)
    before = page.read_bytes()
    monkeypatch.setattr("pipeline.thumbnails.MOST_BYTES", 1000)
    with pytest.raises(PageSizeError, match=r"show fewer: --top \(now 3\)"):
        find_faults(load_params(), out=page, photos=0, top=3)
    assert page.read_bytes() == before


def test_no_samples_yet(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SAMPLES.unlink()
    assert main(["data", "faults"]) == 2
    assert "run `dvc repro ingest` first" in capsys.readouterr().err

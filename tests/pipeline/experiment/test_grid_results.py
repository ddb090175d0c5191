"""Results in files that do not count: each is refused, and each remedy works."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.experiment.grid_results import ComparisonError, check_same_people
from pipeline.experiment.pages.experiments_page import read_all
from pipeline.experiment.runs import RESULTS
from pipeline.readme_block import README
from tests.pipeline.experiment.pages.test_experiments_page import fill
from tests.pipeline.experiment.pages.test_grid_page import shifted_rows
from tests.pipeline.experiment.test_grid import SMALL, written

ROOT = Path(__file__).parents[3]
FULL, SLOW = RESULTS / "full", RESULTS / "slow"
FIRST, SECOND, OTHER = FULL / "seed-0.json", FULL / "seed-1.json", SLOW / "seed-1.json"
LABELS = Path("labels/gesture_map.csv")

Change = Callable[[], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grid of two variants and two seeds with all of its results; the working directory."""
    written(tmp_path, grids={"a": SMALL["grids"]["a"] | {"seeds": [0, 1]}})
    shutil.copy(ROOT / README, tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / LABELS).parent.mkdir()
    (tmp_path / LABELS).write_text("a map\n", encoding="utf-8")
    fill(tmp_path, "a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def copy_of_a_seed() -> None:
    write(SECOND, read(FIRST) | {"seed": 1})


def copy_for_another_grid() -> None:
    write(FULL / "seed-20.json", read(FIRST) | {"seed": 20})


def another_variant() -> None:
    shutil.copy(OTHER, SECOND)


def mean(value: Any) -> Change:
    def change() -> None:
        content = read(SECOND)
        content["people"]["15"]["wrist_mpjpe_mm"]["mean"] = value
        write(SECOND, content)

    return change


def no_mean() -> None:
    content = read(SECOND)
    del content["people"]["15"]["wrist_mpjpe_mm"]["mean"]
    write(SECOND, content)


def a_person_less() -> None:
    content = read(SECOND)
    del content["people"]["15"]
    write(SECOND, content)


def a_person_more() -> None:
    content = read(SECOND)
    content["people"]["99"] = content["people"]["15"]
    write(SECOND, content)


def no_digest_of_code() -> None:
    write(SECOND, read(SECOND) | {"code": {"pose": ""}})


def other_labels() -> None:
    labels = hashlib.sha256(b"another map\n").hexdigest()
    write(SECOND, read(SECOND) | {"labels": labels})


@pytest.mark.parametrize(
    ("change", "words", "remedy"),
    [
        (copy_of_a_seed, (f"{FIRST}: has the weights of ", f"{SECOND}, so one of"), SECOND),
        (
            copy_for_another_grid,
            (f"{FIRST}: has the weights of ", "seed-20.json, so one of them is a copy"),
            FULL / "seed-20.json",
        ),
        (
            another_variant,
            (f"{SECOND}: is of variant slow, run pretrained, seed 1, expected variant full",),
            SECOND,
        ),
        (mean("3"), ("mean of wrist_mpjpe_mm of person 15 is '3', expected a finite",), SECOND),
        (mean(float("nan")), (f"{SECOND}: is not a", "person 15 is nan, expected"), SECOND),
        (mean(float("inf")), (f"{SECOND}: is not a", "person 15 is inf, expected"), SECOND),
        (no_mean, (f"{SECOND}: is not a", "person 15 is None, expected a finite"), SECOND),
        (a_person_less, ("full, seed 1: its result has no person 15 on test split",), SECOND),
        (a_person_more, ("full, seed 0: its", "no person 99", "but full, seed 1 has"), SECOND),
        (no_digest_of_code, (f"{SECOND}: is not a", "its code of pose is ''"), SECOND),
        (other_labels, (f"{SECOND}: was trained with other labels: SHA-256 ",), SECOND),
    ],
)
def test_a_result_that_does_not_count_ends_the_report_with_what_to_do(
    folder: Path,
    change: Change,
    words: tuple[str, ...],
    remedy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["experiment", "table", "a"]) == 0
    change()
    capsys.readouterr()
    assert main(["experiment", "report"]) == 2
    said = capsys.readouterr().err
    assert all(one in said for one in words), said
    assert "elete" in said and "Traceback" not in said
    assert main(["experiment", "table", "a"]) == 2
    remedy.unlink()
    assert main(["experiment", "table", "a"]) == 0, "the remedy"


def test_a_relabelling_refuses_results_that_say_their_labels(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = folder / LABELS
    write(SECOND, read(SECOND) | {"labels": hashlib.sha256(labels.read_bytes()).hexdigest()})
    assert read_all(folder)[1] == {}
    labels.write_text("edited\n", encoding="utf-8")
    assert main(["experiment", "report"]) == 2
    said = capsys.readouterr().err
    assert f"{SECOND}: was trained with other labels: SHA-256 " in said
    assert f"of {LABELS}, now " in said
    labels.write_text("a map\n", encoding="utf-8")
    assert read_all(folder)[1] == {}, "the labels restored"
    labels.unlink()
    (fault,) = read_all(folder)[1].values()
    assert f"of {LABELS}, which is not there now" in fault
    SECOND.unlink()
    assert read_all(folder)[1] == {}, "the others do not say which labels they were trained with"


def test_variants_may_share_weights(folder: Path) -> None:
    """Those that differ by their test sets alone are one training."""
    write(OTHER, read(OTHER) | {"weights": read(SECOND)["weights"]})
    assert read_all(folder)[1] == {}


def test_people_of_a_test_set_are_the_same_too() -> None:
    found = shifted_rows()
    check_same_people([row.on("hard") for row in found], "hard")
    del found[1].results[2]["sets"]["hard"]["people"]["15"]  # type: ignore[index]
    check_same_people(found)
    with pytest.raises(ComparisonError, match="low, seed 2: its result has no person 15 on hard"):
        check_same_people([row.on("hard") for row in found], "hard")


def test_results_of_this_repository_are_none_of_these() -> None:
    """Each has weights of its own, its folder's name, and the people of its grid."""
    assert read_all(ROOT)[1] == {}

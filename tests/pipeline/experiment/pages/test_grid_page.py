"""The table of a grid: differences with intervals, and nothing averaged away."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline.experiment.grid import SameImages, SeedGrid
from pipeline.experiment.grid_results import (
    ComparisonError,
    GridResults,
    Row,
    check_same_images,
    differences,
)
from pipeline.experiment.pages.grid_page import page
from tests.pipeline.experiment.made_up_results import result

SEEDS = [0, 1, 2]
GRID = SeedGrid(
    what="who is better",
    planned="first",
    against="base",
    variants=["base", "low", "same"],
    seeds=SEEDS,
)


def rows(**missing: int) -> list[Row]:
    """`low` is 3 mm below the others."""
    means = {"base": 30.0, "low": 27.0, "same": 30.0}
    return [
        Row(
            name,
            f"the {name} one",
            {
                seed: None if missing.get(name) == seed else result(name, seed, mean)
                for seed in SEEDS
            },
        )
        for name, mean in means.items()
    ]


def of(found: list[Row]) -> GridResults:
    return GridResults("g", GRID, found)


def lines(found: list[Row]) -> dict[str, list[str]]:
    """Cells of the primary table by variant."""
    text = list(page(of(found)))
    start = text.index("## wrist-relative MPJPE, mm")
    table = [line for line in text[start:] if line.startswith("| ")][2 : len(found) + 2]
    return {cells[1]: cells for cells in ([c.strip() for c in line.split("|")] for line in table)}


def test_a_difference_that_is_there_is_found_and_another_is_not() -> None:
    found = differences(rows(), rows()[0], "wrist_mpjpe_mm", [str(14 + k) for k in range(10)])
    assert set(found) == {"low", "same"}
    assert found["low"].high < -2 and found["low"].verdict == "lower"
    assert found["same"].low < 0 < found["same"].high
    table = lines(rows())
    assert float(table["low"][10]) < 0.01 < float(table["same"][10])
    assert float(table["low"][9]) == pytest.approx(found["low"].effect, abs=0.006)
    assert table["base"][7:11] == ["", "", "", ""]
    assert float(table["low"][6]) == pytest.approx(27, abs=1.5)


def test_a_missing_seed_is_shown_and_the_others_are_averaged() -> None:
    table = lines(rows(low=1))
    assert table["low"][4] == "missing"
    assert table["low"][7:11] == table["same"][7:11] == ["open", "", "", ""], "before all are there"
    whole = lines(rows())["low"]
    assert table["low"][3] == whole[3] and table["low"][6] != whole[6]
    alone = rows()
    alone[1] = Row("low", "?", dict.fromkeys(SEEDS))
    assert lines(alone)["low"][3:11] == ["missing"] * 3 + ["", "open", "", "", ""]


def test_gates_times_and_interventions_are_reported() -> None:
    text = "\n".join(page(of(rows())))
    assert "| low | 100 | 200 | 1,000 |  | 50.0 | 0.100, 0.200 | +0.70 |  |  |" in text
    assert "Commit cccccccccc; A CPU, 2 cores." in text
    assert "200 images of 10 people" in text


def shifted_rows() -> list[Row]:
    """`low` is better on the test split, and worse on one of two test sets."""
    found = rows()
    for row in found:
        for seed, own in row.results.items():
            assert own is not None
            sets = {}
            for name, mean in (("people", 30.0), ("hard", 45.0 if row.name == "low" else 40.0)):
                other = result(row.name, seed, mean)
                sets[name] = {"test": name, "people": other["people"]}
            own["sets"] = sets
    return found


def test_a_grid_is_compared_on_its_test_set_and_all_sets_are_shown() -> None:
    grid = GRID.model_copy(update={"test_set": "hard"})
    found = GridResults("g", grid, shifted_rows()).on("hard")
    assert found.differences("wrist_mpjpe_mm")["low"].low > 3
    assert found.tests == ["people", "hard"]
    text = list(page(found))
    assert any(line.startswith("Test set `hard`: 200 images of 10 people") for line in text)
    table = text[text.index("## Every test set") :]
    cells = {line.split("|")[1].strip(): line.split("|")[2:7] for line in table if "| `" in line}
    low = {name: float(cells[f"`{name}`"][2].split()[0]) for name in ("people", "hard")}
    assert low["hard"] == pytest.approx(5, abs=1) and abs(low["people"]) < 1
    assert [float(cells[f"`{name}`"][0]) for name in ("people", "hard")] == pytest.approx(
        [30, 40], abs=1.5
    )
    assert "## Every test set" not in list(page(of(rows())))


def test_a_result_without_the_test_set_and_other_images_of_it_are_refused() -> None:
    found = shifted_rows()
    del found[1].results[2]["sets"]["hard"]  # type: ignore[index]
    with pytest.raises(ComparisonError, match=r"low, seed 2: its result has no test set 'hard'"):
        of(found).on("hard")
    found = shifted_rows()
    found[1].results[2]["sets"]["hard"]["test"] = "others"  # type: ignore[index]
    with pytest.raises(ComparisonError, match="low, seed 2 was tested on other images"):
        of(found).on("hard")
    missing = shifted_rows()
    missing[1].results[2] = None
    assert of(missing).on("hard").missing == 1


def changed(**changes: Any) -> list[Row]:
    found = rows()
    found[2].results[1] = result("same", 1, 30.0, **changes)
    return found


def test_what_the_runs_do_not_share_is_said() -> None:
    text = "\n".join(page(of(changed(code={"pose": "other"}, uncommitted=["a.py"]))))
    assert "The runs have 2 states of the code." in text
    assert "1 of 9 runs with uncommitted changes" in text


def test_results_of_other_images_and_no_results_are_refused() -> None:
    with pytest.raises(ComparisonError, match=r"same, seed 1 was tested on other images"):
        check_same_images(changed(test="x" * 64))
    same = SameImages(what="rendered by two processors", digests=["t" * 64, "x" * 64])
    check_same_images(changed(test="x" * 64), [same])
    with pytest.raises(ComparisonError, match="name both digests under same_images"):
        check_same_images(changed(test="y" * 64), [same])
    empty = [Row("base", "?", dict.fromkeys(SEEDS))]
    with pytest.raises(ComparisonError, match="handpose experiment run g"):
        list(page(of(empty)))


def test_images_that_count_as_the_same_are_reported() -> None:
    same = SameImages(what="rendered by two processors", digests=["t" * 64, "x" * 64])
    found = dataclasses.replace(of(changed(test="x" * 64)), same_images=[same])
    text = "\n".join(page(found))
    assert "tttttttttttt, xxxxxxxxxxxx count as the same: rendered by two processors." in text
    alone = dataclasses.replace(of(rows()), same_images=[same])
    assert "count as the same" not in "\n".join(page(alone))


def test_a_person_without_a_value_is_left_out_and_named() -> None:
    found = rows()
    people = result("same", 1, 30.0)["people"]
    del people["15"]["wrist_mpjpe_mm"]
    found[2].results[1] = result("same", 1, 30.0, people=people)
    text = "\n".join(page(of(found)))
    assert "Without a value, left out: person 15." in text


def test_which_epoch_was_kept_is_stated_where_results_have_it() -> None:
    found = rows()
    for row, kept in zip(found, ((5, 6, 6), (6, 6, 6)), strict=False):
        for seed, epoch in zip(SEEDS, kept, strict=True):
            one = row.results[seed]
            assert one is not None
            row.results[seed] = {**one, "kept_epoch": epoch, "epochs": 6}
    text = list(page(of(found)))
    table = text[text.index("## Training, and what the gesture tokens do") + 4 :]
    assert [line.split(" | ")[4] for line in table[:3]] == ["5 to 6 of 6", "6 of 6", ""]

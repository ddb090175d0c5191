"""The lines of a comparison of sets: the numbers are those of the crossed difference."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from handpose.evaluation.crossed import CrossedDifference, crossed_difference
from handpose.evaluation.power import fewest_people, fewest_seeds
from pipeline.compare.paired import ACCURACIES, ERRORS, FIRST, SCRATCH
from pipeline.compare.seed_report import (
    MeasuredDifference,
    adjusted_p_values,
    compare_sets,
    difference,
    shared_images,
)
from pipeline.compare.seed_sets import SeedSet, SeedSetError
from stages.code_digest import RECORDS
from stages.paths import PREDICTIONS, SHARDS
from tests.pipeline.compare.made_up_runs import (
    LR,
    PRIMARY,
    make_run,
    make_table,
    predictions,
    table,
)
from tests.pipeline.made_up import labels

BEFORE, AFTER = table(1, 3, 40.0), table(2, 3, 39.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs of one recipe in `plain`, three of another in `other`."""
    make_table(tmp_path / "plain", BEFORE)
    make_table(tmp_path / "other", AFTER, params=LR)
    return tmp_path


def text(folder: Path, first: str = "./plain", second: str = "./other") -> str:
    return "\n".join(compare_sets(folder, first, second))


def row(output: str, block: str, name: str) -> list[str]:
    """Cells of the row with this name, in the table whose first head is `block`."""
    lines = output[output.index(f"\n{block}") + 1 :].splitlines()
    found = next(line for line in lines if line.startswith(name))
    return re.split(r"\s{2,}", found)[1:]


def test_the_numbers_are_those_of_seeds_by_people(folder: Path) -> None:
    e = crossed_difference(BEFORE, AFTER)
    output = text(folder)
    assert row(output, "All test images", "full model, MPJPE (primary)") == [
        "60",
        "4",
        f"{BEFORE.mean():.2f}",
        f"{AFTER.mean():.2f}",
        f"{e.value:+.2f}",
        f"[{e.low:+.2f}, {e.high:+.2f}]",
        f"{e.p_value:.2g}",
        "-",
        e.verdict,
    ]
    assert row(output, "Size", "full model, MPJPE") == [
        f"{e.percent:+.1f} %",
        f"{e.effect:+.2f}",
        *(f"{v**0.5:.2f}" for v in dataclasses.astuple(e.components)),
    ]
    shares = (0.1, 0.05 * e.first)
    needed = [
        *(fewest_seeds(e.components, size, people=4) for size in shares),
        *(fewest_people(e.components, size, seeds=3) for size in shares),
    ]
    assert None in needed
    assert any(needed)
    shown = [f"{count:,}" if count else "-" for count in needed]
    assert row(output, "To see a change", "full model, MPJPE") == shown


def test_each_person_counts_once_however_many_images(folder: Path) -> None:
    """The images of one person are cut to two, whose mean is another one."""
    kept = [*range(2), *range(15, 60)]
    for name in ("plain", "other"):
        for seed in range(3):
            rows = predictions((BEFORE if name == "plain" else AFTER)[seed]).take(kept)
            lr = {} if name == "plain" else LR
            make_run(folder / name / f"seed-{seed}", rows, seed=seed, params=lr)
    sets = [
        SeedSet.read(folder, letter, f"./{name}")
        for letter, name in zip("AB", ("plain", "other"), strict=True)
    ]
    found = difference(shared_images([[*one.runs.values()] for one in sets]), FIRST)
    assert (found.images, found.found.people) == (47, 4)
    assert found.found.value == pytest.approx(AFTER.mean() - BEFORE.mean()), "images cancel out"
    cut = predictions(BEFORE[0]).take(kept)[PRIMARY].to_numpy()
    means = [cut[:2].mean(), *cut[2:].reshape(3, 15).mean(1)]
    assert found.runs[0][0] == pytest.approx(np.mean(means))


def test_swapped_sides_give_the_opposite(folder: Path) -> None:
    one, other = text(folder), text(folder, "./other", "./plain")
    cells = [row(output, "All test images", "full model, MPJPE") for output in (one, other)]
    assert cells[0][2:4] == cells[1][3:1:-1]
    assert float(cells[0][4]) == -float(cells[1][4])
    assert cells[0][6] == cells[1][6]


def test_missing_seeds_are_shown_as_missing(folder: Path) -> None:
    (folder / "other" / "seed-1" / PREDICTIONS).unlink()
    make_run(folder / "plain" / "seed-4", predictions(BEFORE[0] + 1), seed=4)
    output = text(folder)
    assert output.startswith("From A (4 runs) to B (2 runs)")
    lines = [re.split(r"\s{2,}", line) for line in output.splitlines()]
    assert ["1", f"{BEFORE[1].mean():.2f}", "./plain/seed-1", "missing", "./other/seed-1"] in lines
    assert ["4", f"{BEFORE[0].mean() + 1:.2f}", "./plain/seed-4", "missing"] in lines
    assert "./other/seed-1 of B: results/predictions.parquet of ./other/seed-1: not" in output
    assert "Nothing stands in for a missing run" in output
    expected = crossed_difference(np.vstack([BEFORE, BEFORE[:1] + 1]), AFTER[[0, 2]])
    assert f"[{expected.low:+.2f}, {expected.high:+.2f}]" in output
    assert "B has fewer than 3 runs: the interval is wider than 95 % needs" in output
    (folder / "other" / "seed-1" / "params.yaml").write_text("pose: [", encoding="utf-8")
    assert "B: ./other/seed-1 is missing." in text(folder)


def test_complete_sets_miss_nothing(folder: Path) -> None:
    output = text(folder)
    assert "MPJPE in mm: (b)" in output
    for word in ("missing", "Careful", "left out", "Left out", "fewer than"):
        assert word not in output


def test_one_run_against_several_says_what_it_takes_for_granted(folder: Path) -> None:
    output = text(folder, "./plain", "./other/seed-0")
    expected = crossed_difference(BEFORE, AFTER[:1])
    assert f"[{expected.low:+.2f}, {expected.high:+.2f}]" in output
    assert "B is one run: its seeds are taken to spread as the other side's do" in output
    assert "fewer than" not in output, "three runs show the spread"


def test_one_run_on_each_side_is_not_compared_as_sets(folder: Path) -> None:
    for seed in (1, 2):
        (folder / "other" / f"seed-{seed}" / PREDICTIONS).unlink()
    with pytest.raises(SeedSetError, match=r"`handpose compare \./plain/seed-0 \./other/seed-0`$"):
        text(folder, "./plain/seed-0", "./other")


def test_people_of_one_side_alone_are_named_and_left_out(folder: Path) -> None:
    for seed in range(3):
        rows = predictions(AFTER[seed])
        make_run(folder / "other" / f"seed-{seed}", rows.slice(15), seed=seed, params=LR)
    output = text(folder)
    assert output.startswith(
        "From A (3 runs) to B (3 runs), on 45 test images of 3 people that all"
    )
    assert "15 images are only in A and 0 only in B; these are left out." in output
    assert "Only A has images of 9: left out, as if not tested." in output
    expected = crossed_difference(BEFORE[:, 1:], AFTER[:, 1:])
    assert f"[{expected.low:+.2f}, {expected.high:+.2f}]" in output


def test_one_shared_person_is_refused(folder: Path) -> None:
    for seed in range(3):
        rows = predictions(AFTER[seed])
        make_run(folder / "other" / f"seed-{seed}", rows.slice(45), seed=seed, params=LR)
    with pytest.raises(
        SeedSetError, match=r"all runs share 15 test images of 1 person; an interval"
    ):
        text(folder)


def test_a_person_without_a_number_is_left_out_of_that_measure_alone(folder: Path) -> None:
    fit = np.where(np.arange(60) < 15, np.nan, 10.0)
    make_run(
        folder / "plain" / "seed-0", predictions(BEFORE[0], pretrained_pa_mpjpe_mm=fit), seed=0
    )
    output = text(folder)
    assert row(output, "All test images", "full model, PA-MPJPE")[:2] == ["45", "3"]
    assert row(output, "All test images", "full model, MPJPE")[:2] == ["60", "4"]
    assert "full model, PA-MPJPE: 9 left out, without a number of this measure" in output
    fit[:45] = np.nan
    make_run(
        folder / "plain" / "seed-0", predictions(BEFORE[0], pretrained_pa_mpjpe_mm=fit), seed=0
    )
    with pytest.raises(
        SeedSetError, match="full model, PA-MPJPE: 1 person has a number in all run"
    ):
        text(folder)


def test_models_that_share_a_seed_are_left_out(folder: Path) -> None:
    """`dvc exp run -S pose.seed=1,2` trains one Stage 1 for all."""
    for seed, errors in enumerate(AFTER):
        run = folder / "other" / f"seed-{seed}"
        make_run(run, predictions(errors), seed=seed, pretrain=0, params=LR)
    output = text(folder)
    assert (
        "Careful: runs of B share pretrain.seed; what another one would change is not in" in output
    )
    assert (
        "Left out: Stage 1, coarse accuracy and Stage 1, fine accuracy; runs of B share that "
        "model's seed." in output
    )
    rows = output[output.index("All test images") :]
    assert "Stage 1" not in rows
    assert "without pretraining" in rows


def test_what_else_differs_is_reported(folder: Path) -> None:
    for seed, errors in enumerate(AFTER):
        make_run(
            folder / "other" / f"seed-{seed}",
            predictions(errors),
            seed=seed,
            md5s={
                str(SHARDS / "tars"): "11" * 16,
                str(RECORDS / "pose.json"): f"{seed}" * 32,
            },
            relabelled=labels(**{"0001_a": ("fist", "fist")}),
        )
    output = text(folder)
    assert "Careful: the code of pose differs between runs of B." in output
    assert "Careful: A and B have different labels" in output
    assert "Careful: A and B have different crops" in output


# --- Holm ----------------------------------------------------------------------------------------


def made_up(p_values: list[float], base: CrossedDifference) -> list[MeasuredDifference]:
    measures = (*ACCURACIES, *ERRORS, *SCRATCH)
    empty = np.empty(0)
    return [
        MeasuredDifference(m, 0, [], (empty, empty), dataclasses.replace(base, p_value=p))
        for m, p in zip(measures, p_values, strict=True)
    ]


def test_all_but_the_primary_are_adjusted_as_by_hand() -> None:
    """Of 0.04, 0.01, 0.03, 0.005, 0.5: 5 x 0.005, 4 x 0.01, 3 x 0.03, never below those before."""
    measured = made_up([0.04, 0.01, 0.02, 0.03, 0.005, 0.5], crossed_difference(BEFORE, AFTER))
    assert measured[2].measure == FIRST
    assert adjusted_p_values(measured) == pytest.approx([0.09, 0.04, 0.02, 0.09, 0.025, 0.5])


def test_a_verdict_follows_the_adjusted_p_value(folder: Path) -> None:
    """PA-MPJPE is clearly lower; the other measures do not move at all."""
    for seed, errors in enumerate(AFTER):
        fit = predictions(errors, pretrained_pa_mpjpe_mm=np.full(60, 9.0 + 0.01 * seed))
        make_run(folder / "other" / f"seed-{seed}", fit, seed=seed, params=LR)
    output = text(folder)
    cells = row(output, "All test images", "full model, PA-MPJPE")
    assert cells[-1] == "lower"
    assert float(cells[-2]) == pytest.approx(5 * float(cells[-3]), rel=0.1)
    assert row(output, "All test images", "Stage 1, coarse")[-3:] == ["1", "1", "inconclusive"]

"""What is one set of runs, and which runs may be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.compare.seed_report import compare_sets
from pipeline.compare.seed_sets import Seeds, SeedSet, SeedSetError, is_set, run_names
from pipeline.compare.snapshot import SnapshotError
from stages.code_digest import RECORDS
from stages.paths import LABELS, PREDICTIONS, SAMPLES, SHARDS
from tests.pipeline.compare.made_up_runs import LR, make_run, make_table, predictions, table
from tests.pipeline.made_up import labels

TWO = "./plain/seed-0,./plain/seed-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs of one recipe in `plain`, three of another in `other`."""
    make_table(tmp_path / "plain", table(1, 3, 40.0))
    make_table(tmp_path / "other", table(2, 3, 38.0), params=LR)
    return tmp_path


def test_a_folder_of_seeds_is_the_runs_in_it_in_the_order_of_their_numbers(folder: Path) -> None:
    for seed in (9, 10):
        make_run(folder / "plain" / f"seed-{seed}", predictions(np.ones(4) * seed), seed=seed)
    names = [f"./plain/seed-{seed}" for seed in (0, 1, 2, 9, 10)]
    assert run_names(folder, "./plain/") == names
    assert run_names(folder, f"{TWO}, main") == [*names[:2], "main"]
    found = SeedSet.read(folder, "A", "./plain")
    assert list(found.runs) == [Seeds(seed, seed) for seed in (0, 1, 2, 9, 10)]
    assert [run.name for run in found.runs.values()] == names


def test_one_run_is_no_set_and_a_clone_with_seeds_below_it_is_one_run(folder: Path) -> None:
    make_table(folder / "plain" / "seed-0" / "work" / "table", table(3, 2, 40.0))
    assert is_set(folder, "./plain")
    assert is_set(folder, "./plain/seed-0/work/table")
    for word in ("HEAD", "plain", "./plain/seed-0", "./nothing"):
        assert not is_set(folder, word)


@pytest.mark.parametrize("words", ["", "seed-1,", "a,,b", " , "])
def test_an_empty_name_is_refused(folder: Path, words: str) -> None:
    with pytest.raises(SeedSetError, match="expected names of results with a comma between two"):
        run_names(folder, words)


def test_a_name_that_stands_there_twice_is_refused(folder: Path) -> None:
    with pytest.raises(SeedSetError, match=r"\./plain/seed-0 is listed twice"):
        run_names(folder, f"./plain,{TWO}")


def test_one_seed_twice_is_no_second_draw(folder: Path) -> None:
    make_run(folder / "again", predictions(np.ones(4)), seed=1)
    with pytest.raises(
        SeedSetError, match=r"A: \./plain/seed-1 and \./again both have seed 1: a s"
    ):
        SeedSet.read(folder, "A", f"{TWO},./again")


def test_a_set_is_one_recipe(folder: Path) -> None:
    with pytest.raises(
        SeedSetError,
        match=r"B: \./plain/seed-0 and \./other/seed-1 differ in more than the seed: "
        r"pose\.lr is 0\.002 and 0\.005\. A set is one recipe; put them on different sides",
    ):
        SeedSet.read(folder, "B", "./plain/seed-0,./other/seed-1")


def test_where_it_ran_and_how_it_was_evaluated_is_no_recipe(folder: Path) -> None:
    moved = {"pretrain.device": "cuda", "evaluate.pictures": 3, "shard.workers": 4}
    make_run(folder / "moved", predictions(np.ones(4)), seed=5, params=moved)
    assert len(SeedSet.read(folder, "A", f"{TWO},./moved").runs) == 3


@pytest.mark.parametrize("path", [SHARDS / "tars", LABELS])
def test_a_set_has_one_data(folder: Path, path: Path) -> None:
    fist = labels(**{"0001_a": ("fist", "fist")}) if path == LABELS else None
    md5s = {} if path == LABELS else {str(path): "00" * 16}
    make_run(folder / "odd", predictions(np.ones(4)), seed=5, md5s=md5s, relabelled=fist)
    with pytest.raises(SeedSetError, match=f"differ in more than the seed: {path} differs"):
        SeedSet.read(folder, "A", f"{TWO},./odd")


def test_results_of_other_data_are_refused(folder: Path) -> None:
    for seed in range(3):
        rows = predictions(np.ones(4) * seed)
        make_run(folder / "new" / f"seed-{seed}", rows, seed=seed, md5s={str(SAMPLES): "99" * 16})
    with pytest.raises(
        SeedSetError,
        match=r"\./plain/seed-0 and \./new/seed-0 are of other data: \S+samples\.parquet has MD5 "
        r"5a5a5a5a5a and 9999999999 in their dvc\.lock.*train and evaluate both on the same data",
    ):
        compare_sets(folder, "./plain", "./new")


def test_data_that_nobody_recorded_are_not_taken_for_the_same(folder: Path) -> None:
    for lock in folder.glob("*/seed-*/dvc.lock"):
        lock.write_text(lock.read_text("utf-8").replace(str(SAMPLES), "gone"), encoding="utf-8")
    with pytest.raises(SeedSetError, match=r"are of other data: .* has MD5 none and none"):
        compare_sets(folder, "./plain", "./other")


def test_a_run_on_both_sides_is_refused(folder: Path) -> None:
    with pytest.raises(
        SeedSetError, match=r"\./plain/seed-1 of A and \./plain/seed-1 of B are the same results"
    ):
        compare_sets(folder, TWO, "./plain/seed-1,./plain/seed-2")


def test_a_run_whose_seed_nobody_knows_is_refused(folder: Path) -> None:
    lock = folder / "plain" / "seed-1" / "dvc.lock"
    lock.write_text(lock.read_text("utf-8").replace("seed: 1", "sead: 1"), encoding="utf-8")
    with pytest.raises(SeedSetError, match=r"dvc\.lock of \./plain/seed-1 has no pretrain\.seed"):
        SeedSet.read(folder, "A", TWO)


def test_results_of_a_version_with_other_columns_are_refused(folder: Path) -> None:
    make_run(folder / "old", predictions(np.ones(4)).drop_columns("session"), seed=5)
    with pytest.raises(SnapshotError, match=r"of \./old has no column session"):
        SeedSet.read(folder, "A", f"{TWO},./old")


def test_a_run_without_results_is_missing_and_keeps_its_seed(folder: Path) -> None:
    (folder / "plain" / "seed-1" / PREDICTIONS).unlink()
    found = SeedSet.read(folder, "A", "./plain")
    assert list(found.runs) == [Seeds(0, 0), Seeds(2, 2)]
    assert [(one.name, one.seeds) for one in found.missing] == [("./plain/seed-1", Seeds(1, 1))]
    assert "not found; `dvc repro` writes it" in found.missing[0].why


def test_a_run_in_progress_is_missing(folder: Path) -> None:
    (folder / "plain" / "seed-1" / PREDICTIONS).write_bytes(b"half")
    (folder / "plain" / "seed-1" / "params.yaml").write_text("pose: [", encoding="utf-8")
    (one,) = SeedSet.read(folder, "A", "./plain").missing
    assert one.seeds is None, "params.yaml cannot be read"
    assert "does not match dvc.lock" in one.why


def test_a_folder_that_is_no_clone_is_a_mistake_and_not_missing(folder: Path) -> None:
    with pytest.raises(SnapshotError, match=r"predictions.parquet of \./nowhere: not found"):
        SeedSet.read(folder, "A", f"{TWO},./nowhere")


def test_a_set_without_any_results_is_refused(folder: Path) -> None:
    for seed in range(3):
        (folder / "other" / f"seed-{seed}" / PREDICTIONS).unlink()
    with pytest.raises(SeedSetError, match=r"B: none of \./other/seed-0, .* has results: results/"):
        compare_sets(folder, "./plain", "./other")


def test_seeds_that_repeat_are_known(folder: Path) -> None:
    for seed in (3, 4):
        make_run(folder / "shared" / f"seed-{seed}", predictions(np.ones(4)), seed=seed, pretrain=0)
    found = SeedSet.read(folder, "A", "./shared")
    assert [str(seeds) for seeds in found.runs] == ["0/3", "0/4"]
    assert (found.varies(("pretrain",)), found.varies(("pose",))) == (False, True)
    assert found.varies(("pretrain", "pose"))


def test_other_code_within_a_set_is_known(folder: Path) -> None:
    assert SeedSet.read(folder, "A", "./plain").other_code() == []
    changed = {str(RECORDS / "pose.json"): "00" * 16}
    make_run(folder / "odd", predictions(np.ones(4)), seed=5, md5s=changed)
    assert SeedSet.read(folder, "A", f"{TWO},./odd").other_code() == ["pose"]


# --- the command ---------------------------------------------------------------------------------


def test_the_command_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_table(tmp_path / "plain" / "work" / "table", table(1, 3, 40.0))
    make_table(tmp_path / "mine" / "work" / "table", table(2, 3, 30.0), params=LR)
    monkeypatch.chdir(tmp_path / "mine")
    assert main(["compare", "../plain/work/table", "./work/table"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(
        "From A (3 runs) to B (3 runs), on 60 test images of 4 people that all"
    )
    assert "lower" in output


def test_the_second_set_is_this_folder_if_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(folder / "mine", predictions(np.full(4, 39.0)), seed=7, params={"pose.lr": 0.1})
    monkeypatch.chdir(folder / "mine")
    assert main(["compare", "../plain"]) == 0
    assert capsys.readouterr().out.startswith("From A (3 runs) to B (1 run), on 60 test images")


def test_gestures_and_pictures_are_of_two_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for words in (["--all"], ["--out", "a.png"]):
        assert main(["compare", "./plain", "./other", *words]) == 2
        assert "--all and --out show gestures of two runs" in capsys.readouterr().err

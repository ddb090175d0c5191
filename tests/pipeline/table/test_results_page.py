"""README's table is that of `docs/seeds.json`, and its commit is one that HEAD comes from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.readme_block import README
from pipeline.table.results_page import (
    BLOCK,
    FACTS,
    NOT_MEASURED,
    PAGE,
    WIDTH,
    ResultsPageError,
    read_facts,
    readme_block,
    results_page,
    stale,
    write_markdown,
)
from pipeline.table.seed_results import as_text, merged_metrics
from tests.pipeline.table.ancestry import ancestry
from tests.pipeline.table.made_up_metrics import MACHINE, metrics, without

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def facts(**changes: Any) -> dict[str, Any]:
    return {
        "command": "handpose table --seeds 0,1,2",
        "commit": COMMIT,
        "uncommitted": [],
        "machine": MACHINE,
        "seeds": [0, 1, 2],
        "metrics": merged_metrics([metrics(seed) for seed in (0, 1, 2)]),
    } | changes


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder in which `make table` has written its files."""
    (tmp_path / README).write_text(
        f"# Title\n\n{BLOCK.begin}\nold\n{BLOCK.end}\n\nMore.\n", encoding="utf-8"
    )
    (tmp_path / FACTS).parent.mkdir()
    (tmp_path / FACTS).write_text(as_text(facts()), encoding="utf-8")
    write_markdown(tmp_path, facts())
    return tmp_path


# --- this repository -----------------------------------------------------------------------------


def test_readme_and_the_page_say_what_the_file_does() -> None:
    assert stale(ROOT) == []


@pytest.mark.may_skip(
    because="make table runs before a release, and a shallow clone has no history"
)
def test_the_commit_is_one_that_head_comes_from() -> None:
    measured = read_facts(ROOT)
    if measured is None:
        pytest.skip(f"no {FACTS}: make table has not run")
    found = ancestry(ROOT, measured["commit"])
    if found.known is None:
        pytest.skip(found.why)
    assert found.known, found.why


# --- the guards ----------------------------------------------------------------------------------


def test_the_text_around_the_table_stays(written: Path) -> None:
    text = (written / README).read_text("utf-8")
    assert text.startswith(f"# Title\n\n{BLOCK.begin}\n|")
    assert text.endswith(f"\n{BLOCK.end}\n\nMore.\n")
    write_markdown(written, facts())
    assert (written / README).read_text("utf-8") == text
    assert stale(written) == []


@pytest.mark.parametrize("name", [README, PAGE])
def test_a_digit_that_is_changed_by_hand_is_found(written: Path, name: Path) -> None:
    text = (written / name).read_text("utf-8")
    assert "31.0" in text
    (written / name).write_text(text.replace("31.0", "30.9", 1), encoding="utf-8")
    assert [line.split(":")[0] for line in stale(written)] == [str(name)]


def test_a_file_of_another_run_is_found(written: Path) -> None:
    (written / FACTS).write_text(json.dumps(facts(commit="f" * 40)), encoding="utf-8")
    assert len(stale(written)) == 2
    (written / FACTS).unlink()
    assert len(stale(written)) == 2
    (written / PAGE).unlink()
    (written / README).write_text(f"{BLOCK.begin}\n{NOT_MEASURED}\n{BLOCK.end}", encoding="utf-8")
    assert stale(written) == []


def test_a_damaged_file_is_named(written: Path) -> None:
    (written / FACTS).write_text("{", encoding="utf-8")
    with pytest.raises(ResultsPageError, match=r"seeds\.json: is not JSON"):
        stale(written)


def test_git_is_asked_about_the_commit(tmp_path: Path) -> None:
    def git(*words: str, folder: Path = tmp_path) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        command = ["git", *identity, *words]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert ancestry(tmp_path, COMMIT).known is None, "no repository"
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    first = git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "second")
    second = git("rev-parse", "HEAD")
    assert ancestry(tmp_path, first).known
    assert ancestry(tmp_path, second).known
    assert ancestry(tmp_path, COMMIT).known is False
    git("checkout", "-q", first)
    assert ancestry(tmp_path, second).known is False
    shallow = tmp_path / "shallow"
    git("clone", "-q", "--depth=1", f"file://{tmp_path}", str(shallow))
    found = ancestry(shallow, COMMIT)
    assert found.known is None
    assert "shallow" in found.why


# --- what the texts say --------------------------------------------------------------------------


def test_the_table_has_the_named_rows_with_range_and_interval() -> None:
    lines = readme_block(facts()).splitlines()
    assert lines[2] == (
        "| full model | 0.410 (0.400 to 0.420) | | 31.0 (30.0 to 32.0) [27.0, 33.0] | "
        "| 77 + 101 s (177 to 179) |"
    )
    assert lines[4] == "| mean pose, true root | | | 25.8 [23.2, 28.4] | | |", "no seed in it"
    assert lines[5] == "", "a row without a name is for the page"
    text = " ".join(lines[6:])
    for part in (
        "seeds 0, 1 and 2",
        "4 people",
        "1,045 to 1,073 images",
        COMMIT[:10],
        "A CPU @ 2.60GHz, 2 cores",
        "another CPU gives other digits",
    ):
        assert part in text
    assert max(map(len, lines[6:])) <= WIDTH


def test_the_page_has_every_row_difference_and_seed() -> None:
    text = results_page(facts())
    assert "| a new row | 13.7 | | 13.7 [12.3, 15.1] |" in text
    assert "| pretrained minus scratch | -11.00 | -12.00 to -10.00 | -10.00 " in text
    assert "| tokens gates closed | +0.50 |" in text
    assert "| full model | 178 | 177 to 179 | 177 | 178 | 179 | 807 |" in text
    assert "torch 2.15.0" in text
    assert "committed" not in text


@pytest.mark.parametrize(
    "key", ["tokens", "pretrained_minus_scratch", "training", "low", "samples"]
)
def test_what_was_not_measured_is_not_in_the_texts(key: str) -> None:
    some = facts(metrics=merged_metrics([without(metrics(seed), key) for seed in (0, 1, 2)]))
    assert "31.0 (30.0 to 32.0)" in readme_block(some)
    assert "nan" not in results_page(some)


def test_a_tree_that_was_not_committed_and_a_limit_on_threads_are_named() -> None:
    some = facts(uncommitted=["a.py", "b.py"], machine={**MACHINE, "omp_num_threads": "1"})
    assert f"{COMMIT[:10]} with 2 changed files, not committed" in readme_block(some)
    assert "Not committed: a.py, b.py." in results_page(some)
    assert "OMP_NUM_THREADS=1" in results_page(some)
    assert "with OMP_NUM_THREADS=1" in " ".join(readme_block(some).split())
    assert "a GPU" in readme_block(facts(machine={**MACHINE, "gpu": "a GPU"}))

"""docs/relabel.md as it is written, and the plan held against what DVC then does."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.end_to_end

PAGE = Path(__file__).parents[2] / "docs" / "relabel.md"
MAP = Path("labels/gesture_map.csv")

PLANNED = re.compile(r"^[=<>!] (\w+) +(\w+)", re.MULTILINE)
DONE = {
    r"Stage '(\w+)' didn't change, skipping": "unchanged",
    r"Stage '(\w+)' is cached - skipping run, checking out outputs": "restored",
    r"Running stage '(\w+)'": "runs",
}
DATA = ["code", "synthesize", "inputs", "ingest", "label", "shard"]
ALL = [*DATA, "pretrain", "pose", "pose_scratch", "evaluate"]
TRAINED = {"pretrain", "pose", "pose_scratch", "evaluate"}


def planned(output: str) -> dict[str, str]:
    """What `handpose plan` reports of each stage."""
    return dict(PLANNED.findall(output))


def done(output: str) -> dict[str, str]:
    """What `dvc repro` did with each stage."""
    found = {name: word for text, word in DONE.items() for name in re.findall(text, output)}
    return found or dict.fromkeys(
        ALL, "unchanged"
    )  # it reports nothing of a pipeline that is up to date


def running(fates: dict[str, str]) -> set[str]:
    return {name for name, word in fates.items() if word == "runs"}


def blocks(language: str) -> list[str]:
    """Lines of the page's blocks in this language, without comments."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = (line.split("  #")[0].rstrip() for block in found for line in block.splitlines())
    return [line for line in lines if line]


def edit_as_the_page_says(clone: Path) -> None:
    text = (clone / MAP).read_text("utf-8")
    lines = blocks("diff")
    for old, new in zip(lines[::2], lines[1::2], strict=True):
        assert (old[0], new[0]) == ("-", "+")
        assert old[1:] in text
        text = text.replace(old[1:], new[1:])
    (clone / MAP).write_text(text, encoding="utf-8")


def test_the_journey_of_the_page(tiny_copy: Path, run: Any) -> None:
    left = blocks("sh")

    def next_line(expected: str) -> str:
        """Run the page's next line, which has to be this one."""
        line = left.pop(0)
        assert line.startswith(expected)
        return str(run(tiny_copy, *shlex.split(line)))

    (tiny_copy / "work" / "note").write_text("")  # something to commit in any case
    run(tiny_copy, "git", "add", "-f", "work/note")
    next_line("git add")
    next_line("git commit")
    run(tiny_copy, "python", "-m", "pipeline.offline_plots")  # as .ci/setup does
    before = (tiny_copy / "results" / "metrics.json").read_bytes()

    edit_as_the_page_says(tiny_copy)
    assert "no faults" in next_line("handpose labels check")
    plan = next_line("handpose plan")
    assert "- 0006_thumbup_relaxed,right,thumbup_relaxed,5,thumb_up,31,thumb_up_relaxed" in plan
    assert "+ 0006_thumbup_relaxed,right,thumbup_relaxed,5,thumb_up,32,thumb_up_firm" in plan
    repro = next_line("dvc repro")
    assert planned(plan) == done(repro)
    assert running(done(repro)) == {"label"} | TRAINED

    moved = next_line("dvc metrics diff")
    assert "results/headline.json" in moved
    assert len(moved.splitlines()) < 40, "it is read by people"
    output = next_line("handpose compare")
    assert "0006_thumbup_relaxed  thumb_up / thumb_up_relaxed -> thumb_up / thumb_up_firm" in output
    assert "70 -> 68 fine" in output
    assert "full model, MPJPE " in output
    assert "one person, so there is no interval" in output
    next_line("handpose compare --out")
    assert (tiny_copy / "work" / "compare.png").read_bytes().startswith(b"\x89PNG")
    next_line("dvc plots diff")
    page = (tiny_copy / "work" / "plots" / "index.html").read_text("utf-8")
    assert '"rev": "HEAD"' in page
    assert "cdn.jsdelivr.net" not in page

    left[:2], saved = [], left[:2]
    assert [line.split()[1] for line in saved] == ["add", "commit"]
    next_line("git checkout labels")
    output = run(tiny_copy, "handpose", "plan")
    repro = next_line("dvc repro")
    assert planned(output) == done(repro)
    assert running(done(repro)) == set(), "undoing trains nothing"
    assert (tiny_copy / "results" / "metrics.json").read_bytes() == before

    edit_as_the_page_says(tiny_copy)
    assert running(done(run(tiny_copy, "dvc", "repro"))) == set(), "nor does bringing it back"
    for line in saved:
        run(tiny_copy, *shlex.split(line))
    assert "thumb_up_relaxed -> thumb_up" in run(tiny_copy, "handpose", "compare", "HEAD~1")
    assert left == []


def reorder(clone: Path) -> None:
    header, *rows = (clone / MAP).read_text("utf-8").splitlines()
    (clone / MAP).write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")


def drop_a_gesture(clone: Path) -> None:
    """Claws and dinosaurs are one class of two folders on each hand; the dinosaurs go."""
    rows = list(csv.DictReader((clone / MAP).read_text("utf-8").splitlines()))
    for row in rows:
        if row["gesture"] == "dinosaur":
            row["coarse"] = row["fine"] = "drop"
    with (clone / MAP).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def change_a_parameter(clone: Path) -> None:
    path = clone / "params.yaml"
    text = path.read_text("utf-8")
    assert len(re.findall(r"^  tsne_samples: \d+", text, re.MULTILINE)) == 1
    path.write_text(re.sub(r"tsne_samples: \d+", "tsne_samples: 77", text), encoding="utf-8")


@pytest.mark.parametrize(
    ("edit", "targets", "expected", "reason"),
    [
        (lambda clone: None, [], set(), "Nothing to do"),
        (reorder, [], {"label"}, "the same 91 lines in another order"),
        (drop_a_gesture, ["shard"], {"label", "shard"}, "data/labels/membership.txt: "),
        (change_a_parameter, [], {"evaluate"}, "evaluate.tsne_samples: "),
    ],
    ids=["nothing", "reordered", "dropped", "parameter"],
)
def test_the_plan_is_what_dvc_then_does(
    tiny_copy: Path,
    run: Any,
    edit: Callable[[Path], None],
    targets: list[str],
    expected: set[str],
    reason: str,
) -> None:
    edit(tiny_copy)
    status = run(tiny_copy, "git", "status", "--porcelain")
    output = run(tiny_copy, "handpose", "plan", *targets)
    assert run(tiny_copy, "git", "status", "--porcelain") == status, "a plan writes nothing"
    assert reason in output
    first = run(tiny_copy, "dvc", "repro", *targets)
    assert planned(output) == done(first)
    assert running(done(first)) == expected
    if not expected:
        return
    run(tiny_copy, "git", "checkout", "labels", "params.yaml")
    output = run(tiny_copy, "handpose", "plan", *targets)
    undo = run(tiny_copy, "dvc", "repro", *targets)
    assert planned(output) == done(undo)
    assert running(done(undo)) == set()


def test_a_fault_in_the_map_is_reported_before_anything_runs(tiny_copy: Path, run: Any) -> None:
    text = (tiny_copy / MAP).read_text("utf-8")
    (tiny_copy / MAP).write_text(text.replace(",31,thumb_up_relaxed", ",31,thumb_upp"), "utf-8")
    output = run(tiny_copy, "handpose", "plan", expect=2)
    assert planned(output)["label"] == "stops"
    assert "labels/gesture_map.csv:8" in output
    assert "Traceback" not in output


def test_the_headline_is_a_dozen_numbers_with_their_counts(tiny_run: Path) -> None:
    headline = json.loads((tiny_run / "results" / "headline.json").read_text())
    numbers = [
        v
        for value in headline.values()
        for v in (value.values() if isinstance(value, dict) else [value])
    ]
    assert 10 <= len(numbers) <= 14
    assert all(isinstance(number, int | float) for number in numbers)
    metrics = json.loads((tiny_run / "results" / "metrics.json").read_text())
    full = metrics["pose"]["test"]["pretrained"]["wrist_mpjpe_mm"]
    assert headline["full_model"]["mpjpe_mm"] == full["value"]
    assert headline["images"] >= full["samples"] > 0

"""`make table` on the tiny profile: killed in the middle, started again, and once more."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from pipeline.table.results_page import FACTS, stale
from tests.end_to_end.lab import Breakpoint, Lab
from tests.pipeline.table.ancestry import ancestry

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).parents[2]
STEP = 8
PATIENCE_S = 1200.0
"""For three trainings."""


def command() -> str:
    """What the target of the Makefile runs, two seeds at once on any machine."""
    found = re.search(r"^table:.*\n\t(.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert found
    return f"{found[1]} --jobs 2"


def test_the_table(lab: Lab) -> None:
    lab.configure(pose={"checkpoint_every_s": 0})
    lab.do('git commit -qam "A checkpoint after every step"')
    before = (lab.folder / FACTS).read_bytes()
    point = Breakpoint("stages.pose", "handpose.training.fit:gradient_step", STEP)
    killed = lab.start(command(), point)
    killed.wait_held()
    killed.process.send_signal(signal.SIGKILL)
    killed.wait_gone()
    output = killed.output()
    for seed in (0, 1):  # two at once
        said = f"seed {seed}: Running stage 'pretrain'"
        assert said in output, "no model is taken from the cache"
    assert "Running stage 'synthesize'" not in output, "the data are"
    assert (lab.folder / FACTS).read_bytes() == before, "no table before its last seed"

    again = lab.start(command())
    assert again.process.wait(PATIENCE_S) == 0, again.output()
    output = again.output()
    assert re.search(r"seed [01]: Stage 'pretrain' didn't change, skipping", output)
    resumed = rf"seed [01]: pose pretrained: resumes after step {STEP}/"
    assert re.search(resumed, output), "it ended its step"
    assert output.count("Running stage 'pretrain'") < 3, "a seed had ended it"
    assert stale(lab.folder) == []
    facts = json.loads((lab.folder / FACTS).read_text("utf-8"))
    assert ancestry(lab.folder, facts["commit"]).known
    rows = facts["metrics"]["pose"]["test"]
    assert len(set(rows["pretrained"]["wrist_mpjpe_mm"]["value"])) == 3
    assert len(set(rows["scratch"]["wrist_mpjpe_mm"]["value"])) == 3
    assert len(set(rows["mean_joints"]["wrist_mpjpe_mm"]["value"])) == 1

    lab.do("git add README.md docs")
    lab.do('git commit -qm "The table"')
    assert "Running stage" not in lab.do(command()), "a commit of text trains nothing"
    assert json.loads((lab.folder / FACTS).read_text("utf-8"))["commit"] != facts["commit"]

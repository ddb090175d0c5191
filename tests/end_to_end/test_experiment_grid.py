"""`handpose experiment` on the tiny profile: run, killed, resumed, compared."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.lab import Breakpoint, Lab

pytestmark = pytest.mark.end_to_end

STEP = 8
PATIENCE_S = 900.0
RUN = "handpose experiment run claim --jobs 2 --only full --only pretraining_only"


def test_a_grid_is_run_and_compared(lab: Lab) -> None:
    lab.configure(pose={"checkpoint_every_s": 0})
    file = lab.folder / "experiments" / "grid.yaml"
    grids = yaml.safe_load(file.read_text("utf-8"))
    grids["grids"]["claim"]["seeds"] = [3]
    file.write_text(yaml.safe_dump(grids, sort_keys=False), "utf-8")
    lab.do('git commit -qam "One seed, a checkpoint after every step"')

    point = Breakpoint("stages.pose", "handpose.training.fit:gradient_step", STEP)
    killed = lab.start(RUN, point)
    killed.wait_held()
    killed.process.send_signal(signal.SIGKILL)
    killed.wait_gone()
    again = lab.start(RUN)
    assert again.process.wait(PATIENCE_S) == 0, again.output()
    output = again.output()
    assert f"pose pretrained: resumes after step {STEP}/" in output
    assert "Running stage 'pose_scratch'" not in output, "neither variant needs that run"
    assert "Running stage 'synthesize'" not in output, "the data are those of the clone"
    folder = lab.folder / "experiments" / "results"
    for variant in ("full", "pretraining_only"):
        found = json.loads((folder / variant / "seed-3.json").read_text("utf-8"))
        assert found["settings"]["pose_net"]["gesture_tokens"] is (variant == "full")
        assert len(found["gates"]) == (2 if variant == "full" else 0)
        assert found["people"] and found["seconds"]["pretrain"] > 0
    left = [path.name for path in (lab.folder / "work" / "experiments").iterdir()]
    assert left == ["lock"], "their clones are deleted"

    assert "Running stage" not in lab.do(RUN), "each result is there"
    table = lab.do("handpose experiment table claim")
    assert table == (folder / "claim.md").read_text("utf-8") + "\n"
    rows = [line for line in table.splitlines() if line.startswith("| neither |")]
    assert "missing" in rows[0]
    assert Path(lab.folder / "experiments" / "dvc.yaml").is_file()

"""docs/experiments.md, line by line, on the tiny profile."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.lab import Lab

pytestmark = pytest.mark.end_to_end

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
PATIENCE_S = 900.0


def lines() -> list[str]:
    """Commands of the page, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    found = (line.split("#")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in found if line]


TORN = "unexpected error - Expecting value: line 1 column 1 (char 0)"
"""What DVC says when it reads a run's record at the moment at which the run writes it anew (it
does not write it atomically): the page says to ask again, and nothing else is asked again."""


def queue_status(lab: Lab) -> str:
    """What `dvc queue status` shows."""
    for _ in range(5):
        asked = lab.start("dvc queue status", None)
        code, output = asked.process.wait(PATIENCE_S), asked.output()
        if code == 0:
            return output
        assert TORN in output, f"{code}\n{output}"
    raise AssertionError(output)


def worker_log(lab: Lab) -> str:
    """What the queue's workers have written."""
    log = lab.folder / ".dvc/tmp/exps/celery/dvc-exp-worker-1.out"
    return log.read_text("utf-8") if log.exists() else ""


LOST = "Unrecoverable error: JSONDecodeError"
"""What DVC's worker writes when it read a message that was just being written. It ends after the
run at hand."""
IDLE_S = 30.0
"""How long a worker that was asked to start may take to appear in `dvc queue status`."""
POLL_S = 8.0
"""Between two of `dvc queue status`, which takes seconds of a core that the run needs."""


def wait_for_the_queue(lab: Lab) -> str:
    """The queue's last word; where no worker is left, start one, as the page says."""
    deadline = time.monotonic() + PATIENCE_S
    worked = time.monotonic()
    while re.search("Running|Queued", output := queue_status(lab)):
        assert time.monotonic() < deadline, output
        if "Queued" not in output or "0 active, 0 idle" not in output:
            worked = time.monotonic()
        elif time.monotonic() > worked + IDLE_S:
            lab.do("dvc queue start")
            worked = time.monotonic()
        time.sleep(POLL_S)
    return output


def run_the_queue(lab: Lab, line: str) -> None:
    """Run `dvc exp run --run-all`; if its worker is lost, do what the page says."""
    running = lab.start(line, None)
    deadline = time.monotonic() + PATIENCE_S
    while running.process.poll() is None:
        assert time.monotonic() < deadline, f"{running.output()}\n{worker_log(lab)}"
        if LOST in worker_log(lab):
            running.kill("dvc", signal.SIGINT)
            running.process.wait(PATIENCE_S)
            wait_for_the_queue(lab)
        time.sleep(1)
    assert running.process.returncode == 0, running.output()


def lose_the_worker(lab: Lab) -> None:
    """Give the worker an empty message, as it meets one that is just being written."""
    deadline = time.monotonic() + PATIENCE_S
    while "Running" not in (output := queue_status(lab)):
        assert time.monotonic() < deadline, output
    (node, *_) = re.findall(r"(dvc-exp-\S+@localhost) ready", worker_log(lab))
    broker = lab.folder / ".dvc/tmp/exps/celery/broker/in"
    (broker / f"0_0.{node}.celery.pidbox.msg").touch()
    while LOST not in worker_log(lab):
        assert time.monotonic() < deadline, worker_log(lab)
        time.sleep(0.2)


def checkpoints(lab: Lab) -> set[Path]:
    return {path.relative_to(lab.folder) for path in lab.folder.glob("work/*/*/*")}


def test_the_page(lab: Lab) -> None:
    lab.environ["COLUMNS"] = "300"  # tables of `dvc exp show` in whole lines
    (run_one, queue_seeds, run_all, queue_more, start, status, show, apply, *rest) = lines()
    remove, back, checkout, logs, remove_failed, *_ = rest  # the others: see test_docs.py

    output = lab.do(run_one)
    assert "Stage 'pretrain' didn't change" in output
    assert output.count("Running stage") == 3
    before = checkpoints(lab)

    lab.do(back)
    lab.do(checkout)
    assert "up to date" in lab.do("dvc status")
    lab.do(queue_seeds)
    run_the_queue(lab, run_all)
    for name in ("seed-1", "seed-2"):
        assert lab.do(f"dvc queue logs {name}").count("Running stage 'pose'") == 1
    assert checkpoints(lab) == before, "a queued run keeps its checkpoints in its copy"

    lab.do(queue_more)
    lab.do("dvc exp run --queue -n fast -S pose.lr=fast")
    lab.do(start)
    assert status == "dvc queue status"
    lose_the_worker(lab)
    output = wait_for_the_queue(lab)
    assert output.count("Success") == 3, "the two that --run-all ran, and this"
    assert worker_log(lab).count(" ready.") > 1, "another worker ran what the lost one had left"
    assert "Failed" in output
    assert "pose.lr: Input should be a valid number" in lab.do(logs)
    lab.do(remove_failed)
    assert "Failed" not in lab.do(status)

    output = lab.do(show)
    for name in ("slow", "seed-1", "seed-2", "sure", "full_model.mpjpe_mm", "pose.lr", "pose.seed"):
        assert name in output
    assert "models/" not in output
    rows = {name: line for line in output.splitlines() for name in re.findall(r"\[(.*?)\]", line)}
    assert len({rows[name].split("]")[1] for name in ("slow", "seed-1", "seed-2")}) == 3
    assert max(map(len, output.splitlines())) < 300

    lab.do(apply)
    assert "seed: 2" in (lab.folder / "params.yaml").read_text("utf-8")
    assert "up to date" in lab.do("dvc status"), "its results came along"
    lab.do(remove)
    assert "slow" not in lab.do("dvc exp list")
    lab.do(back)
    lab.do(checkout)
    assert "up to date" in lab.do("dvc status")
    assert not lab.do("git status --porcelain")


def test_a_value_that_cannot_be(lab: Lab) -> None:
    output = lab.do("dvc exp run -S pose.lr=fast", expect=255)
    assert "pose.lr: Input should be a valid number" in output
    assert "Traceback" not in output
    assert "exited with 2" in output
    assert "Could not override" in lab.do("dvc exp run -S pose.lrate=1", expect=255)
    lab.do("git checkout params.yaml")
    lab.do("dvc checkout --quiet")
    assert "up to date" in lab.do("dvc repro"), "earlier results are safe"
    assert not lab.do("dvc exp list")

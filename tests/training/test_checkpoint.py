"""Live checkpoints: whole or not there, of the right run or refused, one process at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from handpose.files import write_durably
from handpose.training.checkpoint import Checkpoint, CheckpointError, differences

IDENTITY = {"fit": {"lr": 0.01, "milestones": (1, 2)}, "labels": "a" * 64}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = {"weights": torch.rand(3), "step": 5, "rows": [{"loss": 0.1}], "best": {}}
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.load() is None
        checkpoint.save(state)
        checkpoint.save(state | {"step": 6})
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        loaded = checkpoint.load()
        assert loaded is not None
        assert torch.equal(loaded.pop("weights"), state["weights"])  # type: ignore[arg-type]
        assert loaded == {"step": 6, "rows": [{"loss": 0.1}], "best": {}}


def test_other_parameters_begin_anew_and_the_old_ones_go_on(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save({"step": 5})
    changed = IDENTITY | {"fit": {"lr": 0.02, "milestones": (1, 2)}}
    with Checkpoint(tmp_path, changed) as checkpoint:
        assert checkpoint.load() is None
        checkpoint.save({"step": 1})
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.load() == {"step": 5}


def test_a_finished_run_keeps_its_state_and_its_mark(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save({"step": 5})
        assert not checkpoint.mark.exists()
        checkpoint.finish("what came out")
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.load() == {"step": 5}
        assert checkpoint.mark.read_text() == "what came out"


def test_a_checkpoint_put_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save({"step": 5})
        theirs = checkpoint.path
    changed = {"fit": {"lr": 0.02, "milestones": (1,)}, "labels": "b" * 64}
    with Checkpoint(tmp_path, changed) as checkpoint:
        write_durably(checkpoint.path, theirs.read_bytes())
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load()
    for text in (
        "fit.lr is 0.01, expected 0.02",
        "number of fit.milestones is 2, expected 1",
        "labels is aaaaaaaaaaaa..., expected bbbbbbbbbbbb...",
        f"delete {checkpoint.path.parent}",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_named_with_its_remedy(
    tmp_path: Path, damage: bytes | None
) -> None:
    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save({"weights": torch.rand(1000)})
        half = checkpoint.path.read_bytes()[:2000]
        checkpoint.path.write_bytes(half if damage is None else damage)
        with pytest.raises(CheckpointError, match=r"cannot be read .* delete .* from the start"):
            checkpoint.load()


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("echo trapped",)

    with Checkpoint(tmp_path, IDENTITY) as checkpoint:
        checkpoint.save({"trap": Trap()})
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoint.load()


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        Checkpoint(tmp_path, IDENTITY),
        pytest.raises(CheckpointError, match=rf"another run \(process {os.getpid()}\)"),
        Checkpoint(tmp_path, {"another": "identity"}),
    ):
        pass
    with Checkpoint(tmp_path, IDENTITY):
        pass  # the first one let go


def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path: Path) -> None:
    hold = (
        "import fcntl, sys; lock = open(sys.argv[1], 'a+'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "lock.write('4711'); lock.flush(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(CheckpointError, match=r"process 4711\).*`kill 4711`"):
        Checkpoint(tmp_path, IDENTITY).__enter__()
    process.kill()
    process.communicate()
    with Checkpoint(tmp_path, IDENTITY):
        pass


def test_differences_are_listed_by_key_and_not_all_when_there_are_many() -> None:
    assert differences({"a": {"b": (1, 2)}}, {"a": {"b": [1, 2]}}) == []
    assert differences({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}) == [
        "a.b is 2, expected 1",
        "a.c is 3, expected missing",
    ]
    many = differences({"names": ["x"] * 54}, {"names": ["y"] * 53})
    assert many[0] == "number of names is 53, expected 54"
    assert re.fullmatch(r"and 55 in all", many[-1])
    assert len(many) == 6

"""docs/trouble.md: what goes wrong, the message, and that its remedy works."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.lab import Breakpoint, Lab

pytestmark = pytest.mark.end_to_end

PAGE = Path(__file__).parents[2] / "docs" / "trouble.md"
MAY_SKIP = pytest.mark.may_skip(because="only root can mount, and not in every container")
TRAINING = Breakpoint("stages.pretrain", "handpose.training.fit:gradient_step", 5)


@pytest.fixture
def small_disk() -> Iterator[Callable[..., None]]:
    """Puts a disk under a folder with `free` MB besides what is in it; again: another size."""
    mounted: list[Path] = []

    def mount(folder: Path, free: int) -> None:
        folder.mkdir(exist_ok=True)
        used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))
        size = f"size={used + free * 1_000_000},mode=755"
        if folder in mounted:
            subprocess.run(["mount", "-o", f"remount,{size}", str(folder)], check=True)
            return
        saved = Path(shutil.move(folder, folder.with_name("saved")))
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk")
        mounted.append(folder)
        shutil.copytree(saved, folder, dirs_exist_ok=True, symlinks=True)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def documented(heading: str) -> list[str]:
    """Commands under the first heading of the page that holds this text."""
    (part,) = [p for p in PAGE.read_text("utf-8").split("\n## ")[1:] if heading in p.split("\n")[0]]
    return [
        line
        for block in re.findall(r"```sh\n(.*?)```", part, re.S)
        for line in block.split("\n")
        if line
    ]


def test_two_at_once_and_then_a_stale_lock(lab: Lab) -> None:
    lab.configure(pretrain={"lr": 0.002})
    first = lab.start("dvc repro pretrain", TRAINING)
    stage = first.wait_held()
    output = lab.do("dvc repro", expect=255)
    assert f"is busy, it is being blocked by:\n  (PID {first.process.pid})" in output
    assert f"another run (process {stage})" in lab.do("python -m stages.pretrain", expect=2)
    lab.do("dvc metrics show")
    assert stage in first.processes(), "the first one is not disturbed"

    first.kill("dvc", signal.SIGKILL)
    first.wait_gone()
    (again,) = documented("Stopped, killed")
    output = lab.do(f"{again} pretrain")
    assert "had been killed. Auto removed it from the lock file" in output
    assert "resumes after step 5/22" in output
    (forget,) = documented("Checkpoints")
    lab.do(forget)
    assert "up to date" in lab.do("dvc status pretrain")


@MAY_SKIP
def test_a_full_disk_under_the_shards(lab: Lab, small_disk: Callable[..., None]) -> None:
    earlier = (lab.folder / "dvc.lock").read_bytes()
    lab.configure(shard={"jpeg_quality": 96})
    small_disk(lab.folder / "data" / "shard", 0)
    shutil.rmtree(lab.folder / "data" / "shard" / "tars")
    (lab.folder / "data" / "shard" / "filler").write_bytes(b"0" * 1_000_000)
    output = lab.do("dvc repro shard", expect=255)
    assert "shard: No space left on device" in output
    assert "exited with 2" in output
    assert "Traceback" not in output
    assert not (lab.folder / "data" / "shard" / "tars").exists()
    assert (lab.folder / "dvc.lock").read_bytes() == earlier

    small_disk(lab.folder / "data" / "shard", 100)
    lab.do("dvc repro shard")
    assert "up to date" in lab.do("dvc status shard")


@MAY_SKIP
def test_a_full_disk_under_the_checkpoints(lab: Lab, small_disk: Callable[..., None]) -> None:
    """There is space for one, and none for the next one beside it."""
    lab.configure(pretrain={"lr": 0.002, "checkpoint_every_s": 0})
    shutil.rmtree(lab.folder / "work", ignore_errors=True)
    small_disk(lab.folder / "work", 30)
    output = lab.do("dvc repro pretrain", expect=255)
    assert "pretrain: No space left on device" in output
    assert "exited with 2" in output
    assert "Traceback" not in output
    assert not list((lab.folder / "work").rglob("*.partial"))

    small_disk(lab.folder / "work", 100)
    assert "resumes after step 1/22" in lab.do("dvc repro pretrain")


@MAY_SKIP
def test_a_full_disk_under_the_cache(lab: Lab, small_disk: Callable[..., None]) -> None:
    """The training ends well, and DVC cannot keep what came out."""
    lab.configure(pretrain={"lr": 0.002})
    small_disk(lab.folder / ".dvc" / "cache", 2)
    output = lab.do("dvc repro pretrain", expect=255)
    assert "[Errno 28] No space left on device" in output
    assert "epoch 1/1" in output

    small_disk(lab.folder / ".dvc" / "cache", 100)
    output = lab.do("dvc repro pretrain")
    assert "rewriting its results" in output
    assert "epoch 1/1" not in output
    assert "up to date" in lab.do("dvc status pretrain")
    lab.do("git add dvc.lock params.yaml")
    lab.do("git commit -qm Another")
    (collect,) = documented("No space left")
    lab.do(collect)
    lab.do("git checkout -q HEAD~1")
    lab.do("dvc checkout")
    assert "Running stage" not in lab.do("dvc repro"), "what a commit names was not collected"


def test_a_lock_file_in_conflict(lab: Lab) -> None:
    path = lab.folder / "dvc.lock"
    good = path.read_text("utf-8")
    first, *_ = re.findall(r"md5: \w{32}", good.split("outs:")[-1])
    for branch, text in (("base", "0"), ("theirs", "1"), ("ours", None)):
        lab.do(f"git checkout -q -b {branch}" + (" base" if branch == "ours" else ""))
        path.write_text(good if text is None else good.replace(first, f"md5: {text * 32}"))
        lab.do(f"git commit -qam {branch}")
    lab.do("git merge theirs", expect=1)

    output = lab.do("dvc repro", expect=255)
    assert "dvc.lock' is invalid (possible merge conflicts)" in output
    assert "git conflict" in lab.do("handpose plan", expect=2)
    *remedy, repro = documented("possible merge conflicts")
    for line in remedy:
        lab.do(line)
    assert "Running stage" not in lab.do(repro)
    assert path.read_text("utf-8") == good


@pytest.mark.parametrize("saved", [0, 0.5])
def test_a_lock_file_that_was_cut_short(lab: Lab, saved: float) -> None:
    path = lab.folder / "dvc.lock"
    good = path.read_bytes()
    path.write_bytes(good[: int(saved * len(good))])
    if not saved:
        assert "validation failed" in lab.do("dvc repro", expect=255)
    remove, repro = documented("validation failed")
    lab.do(remove)
    output = lab.do(repro)
    assert "Running stage" not in output
    assert output.count("is cached - skipping run, checking out outputs") == 10
    assert path.read_bytes() == good


def test_a_result_that_was_edited_is_named(lab: Lab) -> None:
    with (lab.folder / "models" / "pretrain" / "model.safetensors").open("r+b") as stream:
        stream.seek(-4, os.SEEK_END)
        stream.write(b"rot!")
    output = lab.do("python -m stages.evaluate", expect=2)
    assert "is not the file that model.json names" in output
    (look,) = documented("model.json names")
    output = lab.do(look, expect=2)
    assert "models/pretrain/model.safetensors" in output
    remedy = re.search(r"rm -f (\S+); (dvc checkout)", output)
    assert remedy, output
    Path(remedy[1]).unlink()
    lab.do(remedy[2])
    lab.do(look)

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path

import pytest

from pipeline.doctor import dvc_state as doctor_dvc


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "config").touch()
    return tmp_path


def settle(clone: Path, *lines: str) -> None:
    (clone / ".dvc" / "config").write_text("\n".join(lines))


def test_a_conflict_in_the_lock_file_is_reported_with_its_line(clone: Path) -> None:
    (found,) = doctor_dvc.lock_file(clone)
    assert found.state == "note"
    path = clone / "dvc.lock"
    path.write_text("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\n>>>>>>> other\n")
    (found,) = doctor_dvc.lock_file(clone)
    assert (found.state, found.text.split(" has")[0]) == ("FAIL", "line 2")
    path.write_text("schema: '2.0'\nstages: {}\n")
    (found,) = doctor_dvc.lock_file(clone)
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ("copy", "ok"),
        ("reflink,copy", "ok"),
        ("reflink", "FAIL"),
        ("hardlink", "FAIL"),
        ("hardlink,copy", "FAIL" if os.geteuid() == 0 else "ok"),
    ],
)
def test_link_types_that_lose_or_corrupt_results_fail(clone: Path, kinds: str, state: str) -> None:
    settle(clone, "[cache]", f"type = '{kinds}'")
    assert [found.state for found in doctor_dvc.cache(clone, deep=False)] == [state]


def test_dvcs_own_default_is_fine(clone: Path) -> None:
    assert [found.state for found in doctor_dvc.cache(clone, deep=True)] == ["ok"] * 3


def test_a_dead_holder_is_stale_and_a_living_one_at_work(clone: Path) -> None:
    (found,) = doctor_dvc.locks(clone)
    assert found.state == "ok"
    gone = subprocess.Popen(["true"])
    gone.wait()
    holders = {
        "write": {"/a": {"pid": os.getpid(), "cmd": "dvc repro"}},
        "read": {"/b": [{"pid": gone.pid, "cmd": "dvc push"}]},
    }
    (clone / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(holders))
    at_work, stale = (found.text for found in doctor_dvc.locks(clone))
    assert f"dvc repro (process {os.getpid()})" in at_work
    assert f"dvc push (process {gone.pid})" in stale


def test_a_training_that_holds_its_folder_is_seen_without_touching_the_lock(clone: Path) -> None:
    path = clone / "work" / "pose-pretrained" / "lock"
    path.parent.mkdir(parents=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (found,) = doctor_dvc.locks(clone)
        assert f"work/pose-pretrained/lock (process {os.getpid()})" in found.text
    (found,) = doctor_dvc.locks(clone)
    assert found.text == "nothing is locked"


def test_checkpoints_that_wait_are_listed_with_age_and_remedy(clone: Path) -> None:
    assert [found.state for found in doctor_dvc.work(clone)] == ["ok"]
    path = clone / "work" / "pretrain" / "0123" / "checkpoint.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(3_000_000))
    os.utime(path, (0, path.stat().st_mtime - 7200))
    (found,) = doctor_dvc.work(clone)
    assert "3 MB, 2.0 h old" in found.text
    assert f"rm -r {path.parent}" in found.text
    assert "dvc repro resumes it" in found.text
    path.with_name("finished").write_text("0123abcd")
    (found,) = doctor_dvc.work(clone)
    assert "dvc repro resumes it" in found.text, "nothing has recorded its results"
    (clone / "dvc.lock").write_text("outs: [{path: models/pretrain/model.json, md5: 0123abcd}]")
    (found,) = doctor_dvc.work(clone)
    assert "its results are in dvc.lock, and the stage's next training removes it" in found.text


def test_a_plots_template_that_is_gone_fails(clone: Path) -> None:
    settle(clone, "[plots]", "html_template = plots/page.html")
    (found,) = doctor_dvc.plots(clone)
    assert found.state == "FAIL"
    (clone / ".dvc" / "plots").mkdir()
    (clone / ".dvc" / "plots" / "page.html").touch()
    (found,) = doctor_dvc.plots(clone)
    assert found.state == "ok"

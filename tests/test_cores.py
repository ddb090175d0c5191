from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from handpose import cores
from handpose.cores import usable_cores

ROOT = Path(__file__).parents[1]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 cores without control groups."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 192)
    return tmp_path


def group(machine: Path, own: str, **files: str) -> None:
    """The process's line in /proc/self/cgroup, and files as `folder__name=content`."""
    (machine / "own").write_text(own)
    for name, content in files.items():
        path = machine / "cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def test_a_batch_system_leaves_few_of_many(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() == 64, "the affinity, not the machine"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 7})
    assert usable_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == 192, "not Linux"
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("400000 100000", 4),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", 64),
        ("9900000 100000", 64),
        ("nonsense", 64),
    ],
)
def test_a_container_has_a_quota(machine: Path, content: str, expected: int) -> None:
    group(machine, "0::/\n", cpu_DOT_max=content)
    assert usable_cores() == expected


def test_the_tightest_of_all_groups_above_counts(machine: Path) -> None:
    group(machine, "0::/a/b\n", a__b__cpu_DOT_max="max 100000", a__cpu_DOT_max="300000 100000")
    assert usable_cores() == 3
    group(machine, "0::/a/b\n", a__b__cpu_DOT_max="200000 100000")
    assert usable_cores() == 2
    group(machine, "0::/../elsewhere\n", cpu_DOT_max="500000 100000")
    assert usable_cores() == 5, "a path outside of what the container sees"


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_version_1_has_quota_and_period_apart(machine: Path, folder: str) -> None:
    own = f"5:cpuset:/x\n4:{folder}:/docker/abc\n1:name=systemd:/x\n0::/x\n"
    files = {f"{folder}__cpu_DOT_cfs_quota_us": "250000", f"{folder}__cpu_DOT_cfs_period_us": "1e5"}
    group(machine, own, **files)
    assert usable_cores() == 64, "not a number"
    files[f"{folder}__cpu_DOT_cfs_period_us"] = "100000"
    group(machine, own, **files)
    assert usable_cores() == 3
    files[f"{folder}__cpu_DOT_cfs_quota_us"] = "-1"
    group(machine, own, **files)
    assert usable_cores() == 64
    deep = f"{folder}__docker__abc"
    files = {f"{deep}__cpu_DOT_cfs_quota_us": "100000", f"{deep}__cpu_DOT_cfs_period_us": "100000"}
    group(machine, own, **files)
    assert usable_cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone restricts cores")
def test_a_real_restriction_is_seen() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from handpose.cores import usable_cores; print(usable_cores())"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"

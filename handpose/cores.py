"""How many cores this process may use, which is often fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that the scheduler and the quota of the process's control groups leave it, at least 1.

    `taskset` and batch systems restrict the first, containers (`docker run --cpus`) the second. A
    quota that is not whole is rounded up, so that none of it is wasted.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    allowed = len(affinity(0)) if affinity else machine_cores()
    return max(1, min([allowed, *map(math.ceil, _quotas())]))


def machine_cores() -> int:
    """Cores of the machine, whoever may use them."""
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """Quotas in cores of the process's control groups and of those above them.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst.
    """
    try:
        lines = OWN_CGROUP.read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:  # 0::/path in version 2, 4:cpu,cpuacct:/path in version 1
        _, controllers, own = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        tops = [CGROUPS / controllers, CGROUPS / "cpu"] if controllers else [CGROUPS]
        for top in tops:
            group = Path(os.path.normpath(top / own.lstrip("/")))
            groups = (group, *group.parents) if group.is_relative_to(top) else (top,)
            for folder in groups[: groups.index(top) + 1]:  # a container may see its own alone
                yield from _quota_of(folder, version=1 if controllers else 2)


def _quota_of(group: Path, version: int) -> Iterator[float]:
    """The quota of one control group, if it has one."""
    try:
        if version == 1:
            quota = (group / "cpu.cfs_quota_us").read_text("utf-8")
            period = (group / "cpu.cfs_period_us").read_text("utf-8")
        else:
            quota, period = (group / "cpu.max").read_text("utf-8").split()
        if quota != "max" and int(quota) > 0 and int(period) > 0:  # -1: no quota
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return

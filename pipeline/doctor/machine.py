"""The doctor's checks of the machine: Python, packages, GPU, disk and Prefect's server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from handpose.cores import machine_cores, usable_cores
from pipeline.doctor.finding import Finding
from pipeline.live.server import DEFAULT, Server, ServerError
from pipeline.runner.environment import PROGRAMS

OLDEST_PYTHON = (3, 11)
GB = 1e9
LITTLE_GB, VERY_LITTLE_GB = 5.0, 0.5
SHOWN = 4
ANSWER_S = 1.5
PYTHON_S = 10.0
NVIDIA = Path("/proc/driver/nvidia/version")
WSL = Path("/dev/dxg")
"""The GPU of a Windows machine, as its Linux sees it."""


def python(root: Path) -> Iterator[Finding]:
    """The interpreter, and whether it is the clone's own."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("FAIL", f"{version}; 3.11 or newer is needed: make setup PYTHON=python3.12")
    elif (root / ".venv").is_dir() and Path(sys.prefix) != (root / ".venv").resolve():
        yield Finding(
            "note", f"{version} of {sys.prefix}, not of .venv; source .venv/bin/activate changes it"
        )
    else:
        yield Finding("ok", f"{version} in {sys.prefix}")


def path(root: Path) -> Iterator[Finding]:
    """Whether the `python` that DVC starts stages with is this one."""
    remedy = f"export PATH={PROGRAMS}:$PATH, in the crontab or the service too"
    found = shutil.which("python")
    if found is None:
        yield Finding(
            "FAIL",
            f"there is no python on PATH, so dvc repro would delete a stage's results and then "
            f"stop: {remedy}; or run it by {PROGRAMS}/handpose run",
        )
        return
    words = [found, "-c", "import sys; print(sys.prefix)"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PYTHON_S)
        prefix = done.stdout.strip() if done.returncode == 0 else done.stderr.strip()[-200:]
    except (OSError, subprocess.TimeoutExpired) as error:
        prefix = str(error)
    if prefix == sys.prefix:
        yield Finding("ok", f"python is {found}")
    else:
        yield Finding(
            "FAIL",
            f"python is {found} (of {prefix}), not of {sys.prefix}, and dvc repro runs stages by "
            f"that name: {remedy}; or run it by {PROGRAMS}/handpose run",
        )


def cores(root: Path) -> Iterator[Finding]:
    """Cores that may be used, of those that the machine has."""
    usable, total = usable_cores(), machine_cores()
    limit = f" of {total}: the others are not for this process" if usable < total else ""
    yield Finding("ok", f"{usable}{limit}")


def packages(root: Path) -> Iterator[Finding]:
    """Installed versions against the pins."""
    pins = _pins(root / "constraints.txt")
    installed = {_plain(item.name): item.version for item in metadata.distributions()}
    wanted = [
        _plain(text)
        for text in metadata.requires("handpose") or []
        if "extra ==" not in text  # of `dev`: not needed by a user
    ]
    missing = sorted(name for name in wanted if name not in installed)
    other = [
        f"{name} {installed[name]} (pinned {pin})"
        for name, pin in sorted(pins.items())
        if name in installed and installed[name].split("+")[0] != pin
    ]
    if missing:
        yield Finding("FAIL", f"missing: {_some(missing)}; make setup installs them")
    if other:
        yield Finding("FAIL", f"not as pinned: {_some(other)}; make setup puts them back")
    if not missing and not other:
        yield Finding("ok", f"{sum(name in installed for name in pins)} packages as pinned")


def gpu(root: Path) -> Iterator[Finding]:
    """Torch and its device; torch takes seconds to import, so only where there is a GPU."""
    version = metadata.version("torch")
    if not NVIDIA.exists() and not WSL.exists():
        yield Finding("ok", f"torch {version} on the CPU; no NVIDIA driver here")
        return
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GB
        yield Finding("ok", f"torch {version} on {torch.cuda.get_device_name(0)}, {memory:.0f} GB")
    else:
        yield Finding(
            "FAIL",
            f"an NVIDIA driver is here, but torch {version} cannot use it, and would "
            "train on the CPU; compare `nvidia-smi` with torch's CUDA "
            f"{torch.version.cuda or '(none: a CPU build)'}, or set device: cpu in params.yaml",
        )


def disk(root: Path) -> Iterator[Finding]:
    """Free space, and the size of the cache, the data and the checkpoints."""
    free = shutil.disk_usage(root).free / GB
    used = ", ".join(
        f"{name} {_size(root / name) / GB:.2f} GB" for name in (".dvc/cache", "data", "work")
    )
    text = f"{free:.1f} GB free; {used}"
    remedy = "dvc gc --all-commits deletes cached results that no commit names"
    if free < VERY_LITTLE_GB:
        yield Finding("FAIL", f"{text}; {remedy}")
    elif free < LITTLE_GB:
        yield Finding("note", f"{text}; {remedy}")
    else:
        yield Finding("ok", text)


def prefect(root: Path) -> Iterator[Finding]:
    """The client, and what listens at the address of its server."""
    client = metadata.version("prefect")
    if os.environ.get("PREFECT_API_URL") == "":
        yield Finding("note", f"{client}; runs are not reported: PREFECT_API_URL is set to nothing")
        return
    server = Server.find(root)
    if trouble := Server.trouble_of(root, server):
        remedy = "" if trouble.ours else " Free the port, or set PREFECT_API_URL to the server's."
        yield Finding("note", f"{client}; runs are not reported: {trouble.text}{remedy}")
        return
    if server is None:
        yield Finding("ok", f"{client}; no server answers at {DEFAULT}: handpose ui starts one")
        return
    try:
        version = str(server.call("GET", "/admin/version", timeout_s=ANSWER_S))
    except ServerError:  # Prefect Cloud has none
        yield Finding("ok", f"{client}; a server of unknown version at {server.api}")
        return
    text = f"{client}; server {version} at {server.api}"
    if version.split(".")[:2] == client.split(".")[:2]:
        yield Finding("ok", text)
    else:
        yield Finding("note", f"{text}: another version, which may refuse some reports")


def _pins(path: Path) -> dict[str, str]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {_plain(name): version.strip() for name, version in pairs}


def _plain(requirement: str) -> str:
    """A package's normalised name, out of `Name[extra]>=1`."""
    name = requirement.split(";")[0]
    for mark in "[<>=!~ (":
        name = name.split(mark)[0]
    return name.strip().lower().replace("_", "-").replace(".", "-")


def _some(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def _size(folder: Path) -> int:
    """Bytes of the files in a folder that may change while it is read."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total

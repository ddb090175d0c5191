"""The environment of the processes that we start: this Python's programs first, proxies where due.

`python -m pipeline.runner.environment`, run by `make setup`, lets every Python of this environment
put its own programs first in PATH, as activating it does: `.venv/bin/dvc repro` then finds the
`python` of `dvc.yaml` from cron, a systemd unit or an IDE too.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

PROGRAMS = Path(sys.executable).parent

PTH = "handpose_programs.pth"
PTH_LINE = (
    "import os, sys; b = os.path.join(sys.prefix, 'bin'); "
    "p = os.environ.get('PATH', os.defpath); "
    "p.split(os.pathsep)[0] == b or os.environ.update(PATH=b + os.pathsep + p)\n"
)
"""Run by Python's `site` at every start; https://docs.python.org/3/library/site.html."""

NO_PROXY = ("no_proxy", "NO_PROXY")  # both are in use; programs differ in which one they read
LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEPT = "HANDPOSE_NO_PROXY"
"""Keeps the user's no_proxy while Prefect's client, which talks to this machine, has another."""


def own_programs_first(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with this Python's folder of programs at the head of PATH."""
    rest = environ.get("PATH", os.defpath).split(os.pathsep)
    others = [folder for folder in rest if folder != str(PROGRAMS)]
    return {**environ, "PATH": os.pathsep.join([str(PROGRAMS), *others])}


def for_commands(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of `dvc` and its stages: own programs first, no proxy to this machine."""
    made = own_programs_first(environ)
    named = made.pop(KEPT, made.get("no_proxy") or made.get("NO_PROXY") or "")
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in LOOPBACK if host not in hosts]
    return made | dict.fromkeys(NO_PROXY, ",".join(hosts))


def past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """What to set for a process that talks to this machine alone; `for_commands` undoes it.

    Not a list of hosts: with a SOCKS proxy in all_proxy, Prefect's client would ask for a package
    that it then does not need.
    """
    kept = environ.get(KEPT, environ.get("no_proxy") or environ.get("NO_PROXY") or "")
    return {KEPT: kept, **dict.fromkeys(NO_PROXY, "*")}


def is_here(host: str) -> bool:
    """Whether a host's name or address is this machine's loopback."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def first_hop(url: str) -> tuple[str, int]:
    """Host and port that a request to this URL connects to: its proxy's, or its own.

    Raises:
        ValueError: it is not http(s)://HOST[:PORT]/...
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url}: expected http://HOST:PORT/...")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    proxy = getproxies().get(parts.scheme)
    if not proxy or is_here(parts.hostname) or proxy_bypass(f"{parts.hostname}:{port}"):
        return parts.hostname, port
    hop = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return hop.hostname or "", hop.port or 80


def main() -> int:
    """Write the line into this environment, unless it is the system's."""
    if sys.prefix == sys.base_prefix:
        print("setup: not a virtual environment; its programs are on PATH already")
        return 0
    (Path(sysconfig.get_path("purelib")) / PTH).write_text(PTH_LINE, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

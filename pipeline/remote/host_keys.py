"""Host keys of SSH remotes, which DVC does not check unless it is configured as here.

`dvc push` and `dvc pull` reach a server through sshfs, which passes `known_hosts=None` ("check
nothing") to asyncssh by default, and no key of DVC's configuration changes that. But sshfs is an
fsspec file system, and fsspec reads defaults for its file systems from JSON files in
`~/.config/fsspec`. One such file makes every DVC command of this account check host keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.files import atomic_file

FILE = "handpose-host-keys.json"
SECTION = "abstract"
"""fsspec's name for file systems without a protocol of their own, such as DVC's for SSH. The others
without one (DVC's of a repository, git's) ignore the key."""

DEFAULT = "~/.ssh/known_hosts"
ANSWER_S = 10.0


class HostKeyError(HandPoseError):
    """A server's key is unknown or has changed, or would not be checked."""


def required_files() -> list[str] | None:
    """Files of known hosts that DVC reads on this account; None if it checks no host key."""
    from fsspec.config import conf

    files = conf.get(SECTION, {}).get("known_hosts")
    if files is None:
        return None
    return [files] if isinstance(files, str) else list(files) or [_default()]


def require(extra: Path | None) -> None:
    """Make this process check host keys, against ~/.ssh/known_hosts and one more file.

    Raises:
        HostKeyError: the other file does not exist.
    """
    from fsspec.config import conf

    if extra is not None and not extra.is_file():
        raise HostKeyError(
            f"{extra}: no such file of known hosts; make it with: ssh-keyscan HOST > {extra}, "
            "and compare the fingerprint (ssh-keygen -lf) with the one from the server's owner"
        )
    before = required_files() or []
    added = [] if extra is None else [str(extra.absolute())]
    standard = [_default()] if Path(_default()).is_file() else []
    wanted = list(dict.fromkeys([*standard, *before, *added]))
    # asyncssh takes an empty list as: ~/.ssh/known_hosts if it is there, else no host is known
    conf.setdefault(SECTION, {})["known_hosts"] = [] if wanted == [_default()] else wanted


def save() -> Path:
    """Make every DVC command of this account check as this process does; returns the file written.

    Raises:
        HostKeyError: it cannot be written.
    """
    from fsspec.config import conf

    path = Path(os.environ.get("FSSPEC_CONFIG_DIR", "~/.config/fsspec")).expanduser() / FILE
    content = {SECTION: {"known_hosts": conf[SECTION]["known_hosts"]}}
    try:
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise HostKeyError(
            f"{path}: {error.strerror}; without this file `dvc push` would check no host key"
        ) from None
    return path


def diagnosis(host: str, port: int | None) -> str:
    """Why a server's key was refused, and what to do: unknown, or changed."""
    files = required_files() or [_default()]
    name = f"[{host}]:{port}" if port and port != 22 else host
    known = _known(files, host, port)
    shown = asyncio.run(_shown(host, port))
    fingerprint = f"{shown.get_algorithm()} {shown.get_fingerprint()}" if shown else "no key now"
    line = shown.export_public_key().decode().strip() if shown else "KEY"
    line = " ".join(line.split()[:2])
    if not known:
        return (
            f"the host key of {name} is unknown: it is not in {', '.join(files)}. The server shows "
            f"{fingerprint}. If its owner gives you the same, trust it with\n"
            f"  echo '{name} {line}' >> {files[-1]}"
        )
    expected = ", ".join(key.get_fingerprint() for key in known)
    return (
        f"the host key of {name} has CHANGED: {', '.join(files)} has {expected}, the server shows "
        f"{fingerprint}. Either the server was set up anew, or the connection is intercepted. "
        "Nothing was sent. Ask its owner; if the new key is right:\n"
        f"  ssh-keygen -R '{name}' -f {files[-1]}\n"
        f"  echo '{name} {line}' >> {files[-1]}"
    )


def _default() -> str:
    return str(Path(DEFAULT).expanduser())


def _known(files: list[str], host: str, port: int | None) -> list[Any]:
    import asyncssh

    existing = [file for file in files if Path(file).is_file()]
    hosts = asyncssh.read_known_hosts(existing)
    return list(hosts.match(host, "", port if port != 22 else None)[0])


async def _shown(host: str, port: int | None) -> Any:
    """The key that the server shows; None when it does not answer."""
    import asyncssh

    with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
        request = asyncssh.get_server_host_key(host, port or ())
        return await asyncio.wait_for(request, ANSWER_S)
    return None

"""The doctor's checks of remotes: no secret in git, host keys checked, something answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from handpose.errors import HandPoseError
from pipeline import dvc_internals
from pipeline.doctor.finding import Finding
from pipeline.remote import host_keys
from pipeline.remote.remote import configured
from pipeline.remote.storage import Storage
from pipeline.runner.environment import first_hop

SECRETS = ("password", "passphrase", "access_key_id", "secret_access_key", "session_token", "token")
"""Keys of a DVC remote that must never be in a file under git."""

CONNECT_S = 2.0


def remotes(root: Path) -> Iterator[Finding]:
    """A line for each remote; `handpose remote check` goes deeper."""
    config = dvc_internals.config(root)
    for name, options in config.read("repo").get("remote", {}).items():
        secrets = [key for key in SECRETS if key in options]
        remedies = [f"dvc remote modify --unset {name} {key}" for key in secrets]
        if urlsplit(str(options["url"])).password:
            secrets.append("a password in the URL")
            remedies.append(f"dvc remote modify {name} url URL-WITHOUT-IT")
        if secrets:
            yield Finding(
                "FAIL",
                f"{name}: {', '.join(secrets)} in .dvc/config, which is under git: change that "
                f"secret where it is used, then {'; '.join(remedies)}",
            )
    listed = config.read().get("remote", {})
    if not listed:
        yield Finding("note", "none: results are on this disk alone; handpose remote add NAME URL")
    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(lambda item: _finding(*item), listed.items())


def _finding(name: str, options: dict[str, object]) -> Finding:
    try:
        remote = configured(name, options)
    except HandPoseError as error:
        return Finding("note", str(error))
    if remote.address.kind == "ssh" and host_keys.required_files() is None:
        return Finding(
            "FAIL",
            f"{name}: DVC on this account checks no host key; run: handpose remote add {name}",
        )
    if missing := _unreachable(remote):
        return Finding("note", f"{name}: {missing}; more: handpose remote check {name}")
    return Finding(
        "ok", f"{name}: {remote.address.url} is there; more: handpose remote check {name}"
    )


def _unreachable(remote: Storage) -> str | None:
    """Why the remote cannot be reached; None where it can."""
    address = remote.address
    if address.kind == "folder":
        return None if Path(address.url).is_dir() else f"the folder {address.url} is not there"
    if address.kind == "s3":
        endpoint = str(remote.options.get("endpointurl", "https://s3.amazonaws.com"))
        try:
            host, port = first_hop(endpoint)
        except ValueError as error:
            return f"endpointurl {error}"
    else:
        host, port = address.host, address.port or 22
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        return f"nothing answers at {host}:{port} ({error})"
    return None

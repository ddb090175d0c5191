"""`handpose remote add` and `check`: a remote for `dvc push` is configured only if it works.

What may be published goes to `.dvc/config`, which is under git: URL, endpoint. What is personal
goes to `.dvc/config.local`, which git ignores: user, key file, profile. Passwords and access keys
go to neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from pipeline import dvc_internals
from pipeline.remote import host_keys
from pipeline.remote.address import Address, check_endpoint
from pipeline.remote.objects import check_remote
from pipeline.remote.storage import Storage

KEY_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
UNCHECKED = "first run handpose remote add"
"""Name of a key file that no machine has. `.dvc/config` names it for an SSH remote, and only
`.dvc/config.local` names the real one: where `handpose remote add` never ran, `dvc pull` fails with
this name instead of connecting to a server whose host key would not be checked."""


class RemoteError(HandPoseError):
    """A remote cannot be added, or is not configured."""


@dataclass(frozen=True)
class Credentials:
    """What one person needs to reach a remote; it never goes into git."""

    user: str | None = None
    keyfile: Path | None = None
    profile: str | None = None


def add(
    name: str,
    url: str | None,
    *,
    root: Path,
    credentials: Credentials,
    port: int | None = None,
    endpoint: str | None = None,
    known_hosts: Path | None = None,
    default: bool = False,
) -> Iterator[str]:
    """Check a remote and, if it works, configure it; yields lines for the user.

    Without a URL, the one that `.dvc/config` already has is used.

    Raises:
        HandPoseError: it does not work; nothing is written.
    """
    config = _config(root)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise RemoteError(f"{name!r}: use lower-case letters, digits, - and _ in its name")
    shared = config.read("repo").get("remote", {}).get(name, {})
    address = Address.parse(url or _shared_url(name, shared), port)
    if shared and not _same(shared["url"], address.url, config):
        raise RemoteError(
            f"remote {name} is {shared['url']} already; choose another name, or first: "
            f"dvc remote remove {name}"
        )
    if address.inside(root):
        raise RemoteError(f"{address.url} is inside this clone and would be lost with it")
    private = _personal_options(address, credentials)
    public = {"url": _as_typed(address, url), **shared, "verify": True}  # hash what is pulled
    if endpoint:
        public["endpointurl"] = check_endpoint(endpoint)
    if address.kind == "ssh":
        host_keys.require(known_hosts)
    remote = Storage(name, address, {**_without_url(public), **private})
    yield f"{name}: {address.url}: wrote, read back and deleted in {remote.probe():.1f} s"
    if address.kind == "ssh":
        yield f"every dvc command of this account checks host keys: {host_keys.save()}"
        public["keyfile"] = os.path.relpath(root / ".dvc" / f"{UNCHECKED} {name}")
    yield from _write(config, name, public, private, default=default)


def check(name: str | None, *, root: Path, deep: bool = False) -> Iterator[str]:
    """Probe a remote that is configured; `deep` reads every object and compares its md5.

    Raises:
        HandPoseError: a step failed, or an object is corrupted.
    """
    remote = find(root, name)
    if remote.address.kind == "ssh" and host_keys.required_files() is None:
        raise RemoteError(
            f"DVC on this account checks no host key; run: handpose remote add {remote.name}"
        )
    yield (
        f"{remote.name}: {remote.address.url}: wrote, read back and deleted in "
        f"{remote.probe():.1f} s"
    )
    if deep:
        yield from check_remote(remote)


def find(root: Path, name: str | None = None) -> Storage:
    """A configured remote; without a name the default one.

    Raises:
        RemoteError: it is not configured, or not for this account yet.
    """
    merged = _config(root).read()
    remotes = merged.get("remote", {})
    name = name or merged.get("core", {}).get("remote")
    if name is None:
        raise RemoteError("no remote is the default; add one: handpose remote add NAME URL")
    if name not in remotes:
        known = ", ".join(sorted(remotes)) or "none"
        raise RemoteError(f"no remote is called {name}; there are: {known}")
    return configured(name, remotes[name])


def configured(name: str, options: Mapping[str, Any]) -> Storage:
    """The remote that DVC's merged configuration describes.

    Raises:
        HandPoseError: its URL is of another kind, or `handpose remote add` never ran here.
    """
    if UNCHECKED in str(options.get("keyfile", "")):
        raise RemoteError(
            f"remote {name} is not set up on this machine; run: handpose remote add {name}"
        )
    address = Address.parse(str(options["url"]))
    user = {"user": address.user} if address.user else {}  # dvc remote add leaves it in the URL
    return Storage(name, address, {**user, **_without_url(options)})


def _config(root: Path) -> Any:
    """DVC's configuration of this clone, see `dvc_internals.config`."""
    if not (root / ".dvc").is_dir():
        raise RemoteError(f"{root}: not a DVC project; run this in the folder of the clone")
    try:
        return dvc_internals.config(root)
    except dvc_internals.DvcError as error:
        raise RemoteError(f"{root / '.dvc' / 'config'}: {error}") from None


def _shared_url(name: str, shared: Mapping[str, Any]) -> str:
    if not shared:
        raise RemoteError(f"{name}: no such remote in .dvc/config; add its URL to the command")
    return str(shared["url"])


def _as_typed(address: Address, url: str | None) -> str:
    """Its URL; a relative folder stays relative, to .dvc, as DVC stores it."""
    if address.kind == "folder" and url is not None and not os.path.isabs(Path(url).expanduser()):
        return os.path.relpath(address.url)
    return address.url


def _same(first: str, second: str, config: Any) -> bool:
    """Whether two URLs are the same; a folder in `.dvc/config` is relative to .dvc."""
    if "://" in first or "://" in second:
        return first == second
    base = Path(str(config.dvc_dir))
    return (base / first).resolve() == (base / second).resolve()


def _personal_options(address: Address, credentials: Credentials) -> dict[str, Any]:
    """Options for `.dvc/config.local`."""
    if address.kind == "s3":
        return {"profile": credentials.profile} if credentials.profile else {}
    if address.kind == "folder":
        return {}
    home = Path.home() / ".ssh"
    found = [home / name for name in KEY_FILES if (home / name).is_file()]
    keyfile = credentials.keyfile.expanduser().absolute() if credentials.keyfile else None
    if keyfile is None and not found:
        raise RemoteError(
            f"no key in {home}; make one with ssh-keygen -t ed25519, or name one with --keyfile"
        )
    user = credentials.user or address.user
    return {"keyfile": str(keyfile or found[0]), **({"user": user} if user else {})}


def _without_url(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "url"}


def _write(
    config: Any, name: str, public: dict[str, Any], private: dict[str, Any], *, default: bool
) -> Iterator[str]:
    """Write both files, or neither."""
    files = [Path(config.files[level]) for level in ("repo", "local")]
    before = [file.read_bytes() if file.exists() else None for file in files]
    try:
        with config.edit("repo") as shared:
            shared["remote"][name] = public
            if default:
                shared["core"]["remote"] = name
        with config.edit("local") as local:
            local["remote"].pop(name, None)
            if private:
                local["remote"][name] = private
    except BaseException as error:
        for file, content in zip(files, before, strict=True):
            file.unlink(missing_ok=True) if content is None else file.write_bytes(content)
        if isinstance(error, OSError):
            raise RemoteError(f"{files[0].parent}: cannot be written: {error}") from None
        raise
    yield f"shared, commit it: {files[0]}: {', '.join(k for k in public if k != 'keyfile')}"
    if private:
        yield f"private, ignored by git: {files[1]}: {', '.join(private)}"

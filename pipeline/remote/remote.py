"""`handpose remote add` and `check`: where `dvc push` keeps results, set up only if it works.

What everybody may read goes to `.dvc/config`, which git keeps: URL, endpoint. What is personal goes
to `.dvc/config.local`, which git ignores: user, key file, profile. Passwords and access keys go to
neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handpose.errors import HandPoseError
from pipeline.remote import host_keys
from pipeline.remote.address import Address, check_endpoint
from pipeline.remote.objects import check_remote
from pipeline.remote.storage import Storage

if TYPE_CHECKING:
    from dvc.config import Config

KEY_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
UNCHECKED = "first run handpose remote add"
"""Name of a key file that no machine has. It stands in `.dvc/config` for an SSH remote, and only
`.dvc/config.local` has the real one: in a clone where `handpose remote add` never ran, `dvc pull`
ends with this name instead of talking to a server whose key nobody checks."""


class RemoteError(HandPoseError):
    """A remote cannot be added or is not there."""


@dataclass(frozen=True)
class Personal:
    """What one person needs to reach a remote; none of it goes into git."""

    user: str | None = None
    keyfile: Path | None = None
    profile: str | None = None


def add(
    name: str,
    url: str | None,
    *,
    root: Path,
    personal: Personal,
    port: int | None = None,
    endpoint: str | None = None,
    known_hosts: Path | None = None,
    default: bool = False,
) -> Iterator[str]:
    """Check a remote and, if it works, write it down; yields lines for the user.

    Without a URL the one that somebody else has put into `.dvc/config` is taken.

    Raises:
        HandPoseError: it does not work; nothing was written then.
    """
    config = _config(root)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise RemoteError(f"{name!r}: name it with small letters, digits, - and _")
    shared = config.read("repo").get("remote", {}).get(name, {})
    address = Address.parse(url or _shared_url(name, shared), port)
    if shared and not _same(shared["url"], address.url, config):
        raise RemoteError(
            f"remote {name} is {shared['url']} already; take another name, or first: "
            f"dvc remote remove {name}"
        )
    if address.inside(root):
        raise RemoteError(f"{address.url} lies in this clone and would be lost with it")
    mine = _personal(address, personal)
    public = {"url": _as_typed(address, url), **shared, "verify": True}  # hash what is pulled
    if endpoint:
        public["endpointurl"] = check_endpoint(endpoint)
    if address.kind == "ssh":
        host_keys.demand(known_hosts)
    remote = Storage(name, address, {**_without_url(public), **mine})
    yield f"{name}: {address.url}: wrote, read back and deleted in {remote.probe():.1f} s"
    if address.kind == "ssh":
        yield f"every dvc command of this account checks host keys: {host_keys.keep()}"
        public["keyfile"] = os.path.relpath(root / ".dvc" / f"{UNCHECKED} {name}")
    yield from _write(config, name, public, mine, default=default)


def check(name: str | None, *, root: Path, deep: bool = False) -> Iterator[str]:
    """Probe a remote that is configured; `deep` reads every object and compares its md5.

    Raises:
        HandPoseError: a step failed, or an object is corrupted.
    """
    remote = find(root, name)
    if remote.address.kind == "ssh" and host_keys.demanded() is None:
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
        RemoteError: it is not configured, or not for this person yet.
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


def _config(root: Path) -> Config:
    from dvc.config import Config
    from dvc.exceptions import DvcException

    if not (root / ".dvc").is_dir():
        raise RemoteError(f"{root}: no DVC project; run this in the folder of the clone")
    try:
        return Config(str(root / ".dvc"))
    except DvcException as error:
        raise RemoteError(f"{root / '.dvc' / 'config'}: {error}") from None


def _shared_url(name: str, shared: Mapping[str, Any]) -> str:
    if not shared:
        raise RemoteError(f"{name}: no such remote in .dvc/config; add its URL to the command")
    return str(shared["url"])


def _as_typed(address: Address, url: str | None) -> str:
    """Its URL; a folder told from here stays so, from .dvc on, as DVC keeps it."""
    if address.kind == "folder" and url is not None and not os.path.isabs(Path(url).expanduser()):
        return os.path.relpath(address.url)
    return address.url


def _same(first: str, second: str, config: Config) -> bool:
    """Whether two URLs are one place; a folder in `.dvc/config` is told from .dvc on."""
    if "://" in first or "://" in second:
        return first == second
    base = Path(str(config.dvc_dir))
    return (base / first).resolve() == (base / second).resolve()


def _personal(address: Address, personal: Personal) -> dict[str, Any]:
    """What goes to `.dvc/config.local`."""
    if address.kind == "s3":
        return {"profile": personal.profile} if personal.profile else {}
    if address.kind == "folder":
        return {}
    home = Path.home() / ".ssh"
    found = [home / name for name in KEY_FILES if (home / name).is_file()]
    keyfile = personal.keyfile.expanduser().absolute() if personal.keyfile else None
    if keyfile is None and not found:
        raise RemoteError(
            f"no key in {home}; make one with ssh-keygen -t ed25519, or name one with --keyfile"
        )
    user = personal.user or address.user
    return {"keyfile": str(keyfile or found[0]), **({"user": user} if user else {})}


def _without_url(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "url"}


def _write(
    config: Config, name: str, public: dict[str, Any], mine: dict[str, Any], *, default: bool
) -> Iterator[str]:
    """Both files, or neither."""
    files = [Path(config.files[level]) for level in ("repo", "local")]
    before = [file.read_bytes() if file.exists() else None for file in files]
    try:
        with config.edit("repo") as shared:
            shared["remote"][name] = public
            if default:
                shared["core"]["remote"] = name
        with config.edit("local") as local:
            local["remote"].pop(name, None)
            if mine:
                local["remote"][name] = mine
    except BaseException as error:
        for file, content in zip(files, before, strict=True):
            file.unlink(missing_ok=True) if content is None else file.write_bytes(content)
        if isinstance(error, OSError):
            raise RemoteError(f"{files[0].parent}: cannot be written: {error}") from None
        raise
    yield f"for everybody, commit it: {files[0]}: {', '.join(k for k in public if k != 'keyfile')}"
    if mine:
        yield f"for you alone, git ignores it: {files[1]}: {', '.join(mine)}"

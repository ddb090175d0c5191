"""A remote as DVC opens it: write, read back and delete an object, and explain what failed."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from handpose.errors import HandPoseError
from pipeline import dvc_internals
from pipeline.remote import host_keys
from pipeline.remote.address import Address

TIMEOUTS: Mapping[str, Mapping[str, Any]] = {
    "folder": {},
    "ssh": {"timeout": 10},
    "s3": {"connect_timeout": 5, "read_timeout": 10},
}
"""Seconds for a check; DVC itself waits half an hour for a connection."""

PROBE = b"written by `handpose remote check`; may be deleted\n"


class StorageError(HandPoseError):
    """A remote cannot be used; the message names the step that failed and what to do."""


@dataclass(frozen=True)
class Storage:
    """One remote, with its options in DVC's configuration."""

    name: str
    address: Address
    options: Mapping[str, Any]  # as in .dvc/config and .dvc/config.local, without the URL

    def probe(self) -> float:
        """Write a tiny object, read it back and delete it; returns the seconds it took.

        Raises:
            StorageError: a step failed.
        """
        started = time.monotonic()
        try:
            system, folder = self.open()
            self._require_folder(system, folder)
            path = system.join(folder, f".handpose-{uuid.uuid4().hex}")
            with system.open(path, "wb") as stream:
                stream.write(PROBE)
            try:
                with system.open(path, "rb") as stream:
                    found = stream.read()
            finally:
                system.remove(path)
        except HandPoseError:
            raise
        except Exception as error:  # each library below has exceptions of its own
            raise StorageError(
                f"remote {self.name} ({self.address.url}): {self.explain(error)}"
            ) from None
        if found != PROBE:
            raise StorageError(f"remote {self.name}: what was written came back changed")
        return time.monotonic() - started

    def objects(self) -> Iterator[tuple[str, Any, str]]:
        """Every object on the remote: its md5 by name, the file system, and its path there."""
        system, folder = self.open()
        root = system.join(folder, "files", "md5")
        for path in sorted(system.find(root)) if system.exists(root) else []:
            head, tail = str(path).split("/")[-2:]
            yield head + tail.removesuffix(".dir"), system, path

    def open(self) -> tuple[Any, str]:
        """DVC's own file system for it, and the folder there."""
        settings = {**TIMEOUTS[self.address.kind], **self.options, "url": self.address.url}
        return dvc_internals.file_system(settings)

    def _require_folder(self, system: Any, folder: str) -> None:
        """Refuse a missing folder, a typo or a disk that is not mounted: DVC would create it.

        A bucket's prefix is not a folder and need not exist.
        """
        if self.address.kind == "s3" or system.isdir(folder):
            return
        server = self.address.host
        login = f"{self.options['user']}@{server}" if "user" in self.options else server
        port = f" -p {self.address.port}" if self.address.port else ""
        make = f"ssh{port} {login} mkdir -p {folder}" if server else f"mkdir -p {folder}"
        raise StorageError(
            f"remote {self.name} ({self.address.url}): the folder {folder} is not there. If the "
            f"name is right and its disk is mounted, make it with: {make}"
        )

    def explain(self, error: Exception) -> str:
        """Describe a failure, and its remedy."""
        explain = {"folder": self._of_folder, "ssh": self._of_ssh, "s3": self._of_s3}
        plain = f"{type(error).__name__}: {error}"
        return explain[self.address.kind](error, type(error).__name__) or plain

    def _of_folder(self, error: Exception, kind: str) -> str | None:
        if isinstance(error, PermissionError):
            return f"no permission to write there; ask its owner, or try `ls -ld {error.filename}`"
        if isinstance(error, OSError) and error.strerror:
            return f"{error.strerror}; `df -h {self.address.url}` shows what is free"
        return None

    def _of_ssh(self, error: Exception, kind: str) -> str | None:
        host, port = self.address.host, self.address.port
        server = f"{host}:{port or 22}"
        keyfile = str(self.options.get("keyfile", "~/.ssh/id_*"))
        user = self.options.get("user", os.environ.get("USER", "you"))
        if kind == "HostKeyNotVerifiable":
            return host_keys.diagnosis(host, port)
        if kind == "PermissionError" and "for user" in str(error):
            return (
                f"the server refuses the key {keyfile} for user {user}. Put {keyfile}.pub into "
                f"~/.ssh/authorized_keys of {user} there (ssh-copy-id -p {port or 22} -i {keyfile} "
                f"{user}@{host}), or name another --user or --keyfile"
            )
        if kind in ("PermissionError", "SFTPPermissionDenied"):
            return f"user {user} has no permission to write there; ask the server's owner"
        if isinstance(error, FileNotFoundError) and error.filename:
            return f"the key file {error.filename} is not there; make one: ssh-keygen -t ed25519"
        if kind.startswith("Key"):
            return (
                f"{keyfile}: {error}. A key with a passphrase: dvc remote modify --local "
                f"{self.name} ask_passphrase true"
            )
        if kind == "gaierror":
            return f"there is no machine {host}; is the name right, and the network up?"
        if isinstance(error, (OSError, TimeoutError)) or kind in (
            "ConnectionLost",
            "FSTimeoutError",
        ):
            return (
                f"nothing answers at {server} ({error or kind}). Is the server up, the port right, "
                f"a firewall or VPN in between? `ssh -p {port or 22} {user}@{host}` must work first"
            )
        return None

    def _of_s3(self, error: Exception, kind: str) -> str | None:
        bucket = self.address.host
        endpoint = self.options.get("endpointurl")
        if kind in ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError"):
            return f"no S3 server answers at {endpoint or 'AWS'}; is it up, and the URL right?"
        if kind == "ProfileNotFound":
            return f"{error}; write it with: aws configure --profile {self.options.get('profile')}"
        if kind in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"):
            return (
                "no access key was found. Put it into ~/.aws/credentials and name its section with "
                "--profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; never into git"
            )
        if isinstance(error, FileNotFoundError):
            where = f" --endpoint-url {endpoint}" if endpoint else ""
            return f"there is no bucket {bucket}; make it with: aws s3 mb s3://{bucket}{where}"
        if isinstance(error, PermissionError):
            return (
                f"the server refuses: {error}. The key is wrong, or may not read, write and delete "
                f"in bucket {bucket}"
            )
        return None

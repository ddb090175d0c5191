"""The address of a remote: a folder, a folder of an SSH server, or an S3 bucket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from handpose.errors import HandPoseError


class AddressError(HandPoseError):
    """The URL of a remote cannot be used as it is."""


@dataclass(frozen=True)
class Address:
    """A URL that may be published: no user, no password, no key."""

    kind: Literal["folder", "ssh", "s3"]
    url: str
    host: str = ""
    port: int | None = None
    user: str | None = None  # found in an SSH URL; personal, so it is not part of `url`

    @classmethod
    def parse(cls, text: str, port: int | None = None) -> Address:
        """The address of a URL or folder; `port` overrides the one in an SSH URL.

        Raises:
            AddressError: it contains a secret, or is of a kind that is not checked here.
        """
        if "://" not in text:
            return cls._folder(text)
        try:
            parts = urlsplit(text)
            found_port = parts.port
        except ValueError as error:
            raise AddressError(f"{_without_login(text)}: {error}") from None
        if parts.scheme == "ssh":
            return cls._ssh(parts, port or found_port)
        if parts.scheme == "s3":
            return cls._s3(parts)
        raise AddressError(
            f"{_without_login(text)}: a remote here is a folder, ssh://HOST/FOLDER or "
            "s3://BUCKET/PREFIX; DVC knows more kinds (`dvc remote add --help`), and nothing "
            "here checks those"
        )

    @classmethod
    def _folder(cls, text: str) -> Address:
        head = text.split("/")[0]
        if ":" in head:
            host, _, folder = text.partition(":")
            raise AddressError(
                f"{text}: DVC would read this as a folder of this machine; for a server write "
                f"ssh://{host}/{folder.lstrip('/')} (its full path, from / on)"
            )
        return cls("folder", os.path.abspath(Path(text).expanduser()))

    @classmethod
    def _ssh(cls, parts: SplitResult, port: int | None) -> Address:
        if parts.password:
            raise AddressError(
                f"ssh://{parts.hostname}: a password is in the URL, which git would store. "
                "Use a key: ssh-keygen -t ed25519, ssh-copy-id, and --keyfile here. If it must be "
                "a password, let DVC ask: dvc remote modify --local NAME ask_password true"
            )
        if not parts.hostname or len(parts.path) < 2:
            raise AddressError(
                f"{_without_login(parts.geturl())}: write ssh://HOST/FULL/PATH/OF/THE/FOLDER"
            )
        server = f"{parts.hostname}:{port}" if port else parts.hostname
        return cls("ssh", f"ssh://{server}{parts.path}", parts.hostname, port, parts.username)

    @classmethod
    def _s3(cls, parts: SplitResult) -> Address:
        if parts.username or parts.password:
            raise AddressError(
                "s3://: an access key is in the URL, which git would store for good. It belongs in "
                "~/.aws/credentials (`aws configure --profile ME`, and --profile ME here) or in "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not parts.hostname:
            raise AddressError(f"{parts.geturl()}: write s3://BUCKET/PREFIX")
        return cls("s3", f"s3://{parts.netloc}{parts.path}", parts.netloc)

    def inside(self, folder: Path) -> bool:
        """Whether it is a folder inside `folder`."""
        return self.kind == "folder" and Path(os.path.realpath(self.url)).is_relative_to(
            os.path.realpath(folder)
        )


def check_endpoint(url: str) -> str:
    """The same URL of an S3 server.

    Raises:
        AddressError: it is not an http(s) URL, or contains a login.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AddressError(f"--endpoint-url {_without_login(url)}: write https://HOST[:PORT]")
    if parts.username or parts.password:
        raise AddressError(
            f"--endpoint-url {_without_login(url)}: a login is in the URL, which git would store "
            "for good; keys belong in ~/.aws/credentials, see --profile"
        )
    return url


def _without_login(url: str) -> str:
    """The URL as it may be printed."""
    scheme, _, rest = url.partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{path}"

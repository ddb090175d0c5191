"""Files that are not what their names say, and the remedies that messages name, carried out."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 3821356\n"
)
LOGIN = b"""<!DOCTYPE html>
<html lang="en"><head><title>Sign in</title></head><body><form action="/login"></form></body></html>
"""

WRONG = {
    "empty": "is empty (0 bytes)",
    "zeros": "begins with 4,096 zero bytes",
    "git-lfs": "is a git-lfs pointer (",
    "login page": "is a web page (HTML), not the file: the site answered with its login",
    "server's error": "is XML, as servers send for an error: '<?xml version=",
    "gzip": "is compressed by gzip; decompress it first",
    "bzip2": "is compressed by bzip2; decompress it first",
    "xz": "is compressed by xz; decompress it first",
    "zip": "is a zip archive of 1 file; unpack it first",
    "tar": "is a tar archive; unpack it first",
}
"""Ways in which a download goes wrong, by the beginning of what is said."""


def spoil(path: Path, kind: str) -> None:
    """Replace a file as a download of this kind would."""
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "zeros": bytes(10_000),
        "git-lfs": POINTER,
        "login page": LOGIN,
        "server's error": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind in ("gzip", "bzip2", "xz"):
        path.write_bytes({"gzip": gzip, "bzip2": bz2, "xz": lzma}[kind].compress(whole))
    else:
        inside = path.with_name("inside")
        inside.write_bytes(whole)
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(inside, path.name)
        else:
            with tarfile.open(path, "w") as tar:
                tar.add(inside, path.name)
        inside.unlink()


def apply_remedy(message: str, path: Path, original: bytes) -> None:
    """Do what the message says to a file that `spoil` has made; `original` is what is got again."""
    if command := re.search(r"unpack it first: (.*?)(?:; |\. |$)", message):
        subprocess.run(command[1], shell=True, check=True)
        shutil.copy(path.parent / "unpacked" / path.name, path)
    elif command := re.search(r"decompress it first: (.*?)(?:; |\. |$)", message):
        if shutil.which(program := command[1].split()[0]) is None:
            pytest.skip(f"{program} is not installed")
        subprocess.run(command[1], shell=True, check=True)
    elif command := re.search(r"`(git lfs pull)`", message):
        _pull(command[1], path, original)
    else:
        assert "the file again" in message or "download" in message
        path.write_bytes(original)


def _pull(command: str, path: Path, original: bytes) -> None:
    """Run it beside the file, with a git-lfs that has the original."""
    bin = path.parent / "bin"
    bin.mkdir(exist_ok=True)
    (bin / "original").write_bytes(original)
    (bin / "git-lfs").write_text(f"#!/bin/sh\n[ $1 = pull ] && cp {bin}/original {path}\n")
    (bin / "git-lfs").chmod(0o755)
    environ = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    subprocess.run(command, shell=True, check=True, env=environ)
    shutil.rmtree(bin)

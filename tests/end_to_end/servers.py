"""Real servers on this machine's loopback for the remote tests: OpenSSH and moto's S3."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = "/usr/sbin/sshd"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Ssh:
    """An OpenSSH server with its own keys, which nobody's home knows."""

    port: int
    folder: Path  # where it may write: as an absolute path, like all it sees
    keyfile: Path  # the one it lets in

    @property
    def url(self) -> str:
        return f"ssh://127.0.0.1:{self.port}{self.folder}"

    @property
    def known_host(self) -> str:
        """The line that a file of known hosts needs."""
        kind, key, *_ = (self.keyfile.parent / "host.pub").read_text("utf-8").split()
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"


@contextlib.contextmanager
def ssh_server(folder: Path, port: int = 0, *more: str) -> Iterator[Ssh]:
    """Run one in an empty `folder`; `more` are lines of its configuration."""
    if not Path(SSHD).exists():
        _missing(f"{SSHD} is not there: apt-get install -y --no-install-recommends openssh-server")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    (folder / "store").mkdir(exist_ok=True)
    port = port or free_port()
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        f"PidFile {folder / 'pid'}",
        "UsePAM no",
        "StrictModes no",  # pytest's folders belong to whoever runs it
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        *(more or ("Subsystem sftp internal-sftp",)),
    ]
    (folder / "config").write_text("\n".join(lines) + "\n", "utf-8")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it when root runs it
    command = [SSHD, "-D", "-f", str(folder / "config"), "-E", str(folder / "log")]
    with _running(command, port, folder / "log"):
        yield Ssh(port, folder / "store", folder / "user")


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run one; yields its endpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).parent / "moto_server"
    if not program.exists():
        _missing("moto_server is not there: make setup installs it")
    port = free_port()
    with _running([str(program), "-H", "127.0.0.1", "-p", str(port)], port, folder / "log"):
        yield f"http://127.0.0.1:{port}"


def make_bucket(endpoint: str, name: str) -> None:
    """As `aws s3 mb` would; moto asks nobody who he is."""
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT")).close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def user() -> str:
    return getpass.getuser()


def _missing(text: str) -> None:
    if os.environ.get("HANDPOSE_NO_SERVERS"):
        pytest.skip(text)
    pytest.fail(f"{text} (or set HANDPOSE_NO_SERVERS=1 to go without)")


@contextlib.contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()

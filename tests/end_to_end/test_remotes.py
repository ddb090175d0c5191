"""Three remotes on real servers, as in docs/remotes.md: push, clone, pull, nothing to do."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests.end_to_end.servers import Ssh, make_bucket, s3_server, ssh_server, user

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).parents[2]


class Run(Protocol):
    def __call__(
        self, folder: Path, *command: str, expect: int = 0, env: dict[str, str] = ...
    ) -> str: ...


@dataclass
class Lab:
    """A finished run of somebody, a home without keys or settings, and how to work in both."""

    origin: Path
    home: Path
    _run: Run
    settings: dict[str, str] = field(default_factory=dict)

    def do(self, line: str, *, folder: Path | None = None, expect: int = 0) -> str:
        """Run a line of the docs; without a folder, in the finished run."""
        env = {"HOME": str(self.home), "PREFECT_API_URL": "", **self.settings}
        return self._run(folder or self.origin, *shlex.split(line), expect=expect, env=env)

    def timed(self, line: str, *, folder: Path | None = None) -> float:
        started = time.monotonic()
        self.do(line, folder=folder)
        return time.monotonic() - started

    def trust(self, server: Ssh) -> Path:
        path = self.home / ".ssh" / "known_hosts"
        path.parent.mkdir(exist_ok=True)
        path.write_text(server.known_host, "utf-8")
        return path

    def clone(self, name: str = "clone") -> Path:
        """What a colleague does first."""
        folder = self.home / name
        self.do(f"git clone -q {self.origin} {folder}")
        return folder


@pytest.fixture
def lab(tiny_copy: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.delenv("FSSPEC_CONFIG_DIR", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    lab = Lab(tiny_copy, home, run)
    lab.do("git config --global user.name test")
    lab.do("git config --global user.email test@example.org")
    lab.settings = {"AWS_EC2_METADATA_DISABLED": "true"}
    return lab


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
def ssh(sshd: Ssh, request: pytest.FixtureRequest) -> Ssh:
    """The server, with an empty folder for each test."""
    folder = sshd.folder / request.node.name
    folder.mkdir()
    return dataclasses.replace(sshd, folder=folder)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        make_bucket(endpoint, "hands")
        yield endpoint


def documented(start: str, changes: dict[str, str]) -> str:
    """The line of docs/remotes.md that begins so, with this machine's places in it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/remotes.md").read_text("utf-8"), re.S)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    line: str
    (line,) = [line for line in lines if line.startswith(start)]
    for old, new in changes.items():
        assert old in line, (old, line)
        line = line.replace(old, new)
    return line


def digests(folder: Path) -> dict[str, str]:
    """Of all that DVC brought."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("data", "models", "results")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def journey(lab: Lab, name: str, prepare: Callable[[Path], object]) -> None:
    """After `handpose remote add`: push, fresh clone, `prepare` it, pull, nothing to do."""
    lab.do("git add .dvc/config params.yaml dvc.lock")
    lab.do('git commit -m "A run worth keeping"')
    pushed = lab.timed("dvc push")
    assert "Everything is up to date." in lab.do("dvc push")
    clone = lab.clone()
    prepare(clone)
    pulled = lab.timed("dvc pull", folder=clone)
    print(f"{name}: push {pushed:.1f} s, pull {pulled:.1f} s")
    assert digests(clone) == digests(lab.origin)
    assert "Data and pipelines are up to date." in lab.do("dvc repro", folder=clone)
    assert lab.do("git status --porcelain", folder=clone) == ""


def test_a_folder(lab: Lab, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    add = documented("handpose remote add store", {"/mnt/storage/hands": str(store)})
    assert "wrote, read back and deleted" in lab.do(add)
    journey(lab, "folder", lambda clone: None)


def test_ssh(lab: Lab, ssh: Ssh) -> None:
    lab.trust(ssh)
    places = {"ssh://server.example.org/srv/hands": ssh.url, "me": user()}
    add = documented("handpose remote add lab ssh", places)
    lab.do(f"{add} --keyfile {ssh.keyfile}")
    shared = (lab.origin / ".dvc" / "config").read_text()
    assert str(ssh.keyfile) not in shared
    assert f"user = {user()}" not in shared
    assert "config.local" not in lab.do("git status --porcelain --untracked-files=all")

    def prepare(clone: Path) -> None:
        output = lab.do("dvc pull", folder=clone, expect=1)
        assert "first run handpose remote add lab" in output, "no clone talks to it unchecked"
        again = documented("handpose remote add lab --user", {"me": user()})
        lab.do(f"{again} --keyfile {ssh.keyfile}", folder=clone)
        assert lab.do("git status --porcelain", folder=clone) == "", "setting it up changes nothing"

    journey(lab, "ssh", prepare)
    assert "wrote, read back and deleted" in lab.do("handpose remote check lab")
    assert "objects of remote lab match" in lab.do("handpose remote check lab --deep")
    assert "objects in" in lab.do("handpose doctor --cache")


def test_s3(lab: Lab, s3: str) -> None:
    places = {"https://s3.example.org": s3}
    add = documented("handpose remote add cloud s3", places)
    output = lab.do(add, expect=2)
    assert "aws configure --profile me" in output, "the profile is not there"
    credentials = lab.home / ".aws" / "credentials"
    credentials.parent.mkdir()
    credentials.write_text("[me]\naws_access_key_id = AKIAME\naws_secret_access_key = hush\n")
    lab.do(f"{add} --default")
    assert "profile" not in (lab.origin / ".dvc" / "config").read_text()
    again = documented("handpose remote add cloud --profile", {})
    journey(lab, "s3", lambda clone: lab.do(again, folder=clone))
    assert "objects of remote cloud match" in lab.do("handpose remote check --deep")


# ---- host keys: plain dvc, not only our command


def test_by_itself_plain_dvc_checks_no_host_key(lab: Lab, ssh: Ssh) -> None:
    """The evidence that the settings are needed; when this fails, DVC has mended it."""
    lab.do(f"dvc remote add -d lab {ssh.url}")
    lab.do(f"dvc remote modify --local lab keyfile {ssh.keyfile}")
    lab.do(f"dvc remote modify --local lab user {user()}")
    assert "1 file pushed" in lab.do("dvc push results/summary.txt")


def test_an_unknown_host_key_is_refused_by_our_command_and_by_plain_dvc(lab: Lab, ssh: Ssh) -> None:
    add = f"handpose remote add lab {ssh.url} --user {user()} --keyfile {ssh.keyfile} --default"
    before = (lab.origin / ".dvc" / "config").read_text()
    output = lab.do(add, expect=2)
    assert "is unknown" in output
    assert "SHA256:" in output
    assert (lab.origin / ".dvc" / "config").read_text() == before, "nothing half configured"
    line = output.split("echo '")[1].split("'")[0] + "\n"
    assert line == ssh.known_host, "what to trust is what the server shows"
    path = lab.trust(ssh)
    lab.do(add)
    lab.do("dvc push")
    path.unlink()
    shutil.rmtree(lab.origin / ".dvc" / "cache")
    for command in ("dvc push", "dvc fetch", "dvc pull --force"):
        code = 255 if command == "dvc push" else 1
        assert "Host key is not trusted" in lab.do(command, expect=code)


def test_a_file_of_known_hosts_can_be_named(lab: Lab, ssh: Ssh) -> None:
    trusted = lab.trust(ssh).rename(lab.home / "lab_hosts")
    add = f"handpose remote add lab {ssh.url} --user {user()} --keyfile {ssh.keyfile} --default"
    lab.do(f"{add} --known-hosts {trusted}")
    assert "pushed" in lab.do("dvc push results/summary.txt")
    assert lab.do("handpose remote check")


def test_a_changed_host_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "first") as first:
        lab.trust(first)
        lab.do(
            f"handpose remote add lab {first.url} --user {user()} --keyfile {first.keyfile} "
            "--default"
        )
    with ssh_server(tmp_path / "second", first.port) as second:
        output = lab.do("handpose remote check lab", expect=2)
        assert "has CHANGED" in output
        assert "Traceback" not in output
        assert "Host key is not trusted for host 127.0.0.1" in lab.do("dvc push", expect=255)
        assert not list(first.folder.iterdir())
        assert not list(second.folder.iterdir())


def test_settings_that_were_deleted_are_missed(lab: Lab, ssh: Ssh) -> None:
    lab.trust(ssh)
    add = f"handpose remote add lab {ssh.url} --user {user()} --keyfile {ssh.keyfile} --default"
    lab.do(add)
    lab.do("handpose doctor")
    shutil.rmtree(lab.home / ".config")
    assert "checks no host key" in lab.do("handpose doctor", expect=2)
    assert "checks no host key" in lab.do("handpose remote check", expect=2)
    lab.do(add)
    lab.do("handpose doctor")

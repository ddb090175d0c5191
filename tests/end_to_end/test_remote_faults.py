"""Remotes that misbehave, and objects that rot: a plain message, and the run's results are safe."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from tests.end_to_end.servers import Ssh, free_port, s3_server, ssh_server, user

pytestmark = pytest.mark.end_to_end

MODEL = "models/pretrain/model.safetensors"


class Do(Protocol):
    """Run a line in a folder, by default the finished run."""

    def __call__(self, line: str, *, folder: Path | None = None, expect: int = 0) -> str: ...


class Run(Protocol):
    def __call__(
        self, folder: Path, *command: str, expect: int = 0, env: dict[str, str] = ...
    ) -> str: ...


@pytest.fixture
def do(tiny_copy: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Do:
    """In a home of its own, without keys or settings."""
    monkeypatch.delenv("FSSPEC_CONFIG_DIR", raising=False)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    env = {
        "HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def line_in(line: str, *, folder: Path | None = None, expect: int = 0) -> str:
        output = run(folder or tiny_copy, *line.split(), expect=expect, env=env)
        assert "Traceback" not in output
        return output

    return line_in


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


def add(server: Ssh, **changes: str) -> str:
    options = {"user": user(), "keyfile": str(server.keyfile), **changes}
    words = " ".join(f"--{name} {value}" for name, value in options.items())
    return f"handpose remote add lab {server.url} {words} --default"


def trust(tmp_path: Path, server: Ssh) -> None:
    (tmp_path / "home" / ".ssh" / "known_hosts").write_text(server.known_host, "utf-8")


def object_of(clone: Path, path: str) -> Path:
    """Where a cache or remote keeps this output."""
    stages = yaml.safe_load((clone / "dvc.lock").read_text("utf-8"))["stages"].values()
    (md5,) = {out["md5"] for stage in stages for out in stage["outs"] if out["path"] == path}
    return Path("files", "md5", md5[:2], md5[2:])


def rot(path: Path) -> None:
    """One byte turns; size and rights stay."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(mode)


# ---- servers


def test_a_server_that_refuses_the_key(do: Do, ssh: Ssh, tmp_path: Path) -> None:
    trust(tmp_path, ssh)
    other = ssh.keyfile.parent / "host"  # a key, but not one that is let in
    output = do(add(ssh, keyfile=str(other)), expect=2)
    assert f"refuses the key {other} for user {user()}" in output
    assert "authorized_keys" in output
    do(add(ssh))
    (ssh.keyfile.parent / "authorized_keys").rename(ssh.keyfile.parent / "moved")
    try:
        assert "Permission denied for user" in do("dvc push", expect=255)
        assert "refuses the key" in do("handpose remote check", expect=2)
    finally:
        (ssh.keyfile.parent / "moved").rename(ssh.keyfile.parent / "authorized_keys")
    do("handpose remote check")


def test_a_server_that_is_down(do: Do, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "server") as server:
        trust(tmp_path, server)
        do(add(server))
    assert f"nothing answers at 127.0.0.1:{server.port}" in do("handpose remote check", expect=2)
    assert "Connect call failed" in do("dvc push", expect=255)
    assert re.search("note +remotes +lab: nothing answers", do("handpose doctor"))
    assert "up to date" in do("dvc repro"), "no run needs a remote"


def test_a_server_without_the_folder_or_the_right_to_write(do: Do, tmp_path: Path) -> None:
    read_only = ("Subsystem sftp internal-sftp -R",)
    with ssh_server(tmp_path / "server", 0, *read_only) as server:
        trust(tmp_path, server)
        assert "no permission to write" in do(add(server), expect=2)
        server.folder.rmdir()
        output = do(add(server), expect=2)
        assert f"mkdir -p {server.folder}" in output


def test_s3_that_is_down_or_has_no_bucket_or_no_keys(
    do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with s3_server(tmp_path / "s3") as endpoint:
        add = f"handpose remote add cloud s3://hands/runs --endpoint-url {endpoint}"
        assert "no access key was found" in do(add, expect=2)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
        output = do(add, expect=2)
        assert f"aws s3 mb s3://hands --endpoint-url {endpoint}" in output
    nobody = f"http://127.0.0.1:{free_port()}"
    output = do(f"handpose remote add cloud s3://hands --endpoint-url {nobody}", expect=2)
    assert f"no S3 server answers at {nobody}" in output


# ---- objects


@pytest.fixture
def pushed(do: Do, tmp_path: Path) -> Path:
    """A folder that has all of the run, and is its default remote."""
    store = tmp_path / "store"
    store.mkdir()
    do(f"handpose remote add store {store} --default")
    do("git add .dvc/config")
    do("git -c user.name=t -c user.email=t@example.org commit -qm Remote")
    do("dvc push")
    return store


def fresh_clone(do: Do, origin: Path, folder: Path) -> Path:
    do(f"git clone -q {origin} {folder}")
    return folder


def test_an_object_that_rotted_on_the_remote_is_never_handed_out(
    do: Do, pushed: Path, tiny_copy: Path, tmp_path: Path, ssh: Ssh
) -> None:
    clone = fresh_clone(do, tiny_copy, tmp_path / "colleague")
    trust(tmp_path, ssh)
    do(add(ssh).replace(str(ssh.folder), str(pushed)), folder=clone)
    rotten = pushed / object_of(tiny_copy, MODEL)
    rot(rotten)
    output = do("dvc pull", folder=clone, expect=1)
    assert f"Checkout failed for following targets:\n{MODEL}" in output
    assert not (clone / MODEL).exists()
    assert (clone / "results" / "report.html").exists(), "the rest came"
    output = do("handpose remote check --deep", folder=clone, expect=2)
    assert f"1 of {len(list(pushed.rglob('??/*')))} objects" in output
    assert str(rotten) in output
    rotten.unlink()  # the remedy in the message
    assert "1 file pushed" in do("dvc push")
    do("dvc pull", folder=clone)
    assert (clone / MODEL).read_bytes() == (tiny_copy / MODEL).read_bytes()
    assert "up to date" in do("dvc repro", folder=clone)


def test_an_object_that_rotted_on_this_disk_is_found_and_mended(
    do: Do, pushed: Path, tiny_copy: Path
) -> None:
    whole = (tiny_copy / MODEL).read_bytes()
    rot(tiny_copy / ".dvc" / "cache" / object_of(tiny_copy, MODEL))
    output = do("handpose doctor --cache", expect=2)
    assert f"cp -f {tiny_copy / MODEL}" in output, "the workspace still has it intact"

    (tiny_copy / MODEL).unlink()
    do("dvc checkout")
    assert (tiny_copy / MODEL).read_bytes() != whole
    assert "up to date" in do("dvc status"), "the evidence that dvc alone does not see it"
    output = do("handpose doctor --cache", expect=2)
    (remedy,) = re.findall(r"^  (rm -f .*)$", output, re.MULTILINE)
    do(remedy)
    do("dvc pull")
    assert (tiny_copy / MODEL).read_bytes() == whole
    do("handpose doctor --cache")
    assert "up to date" in do("dvc repro")


@pytest.mark.may_skip(because="only root can mount, and not in every container")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_up_during_a_pull_loses_nothing(
    do: Do, pushed: Path, tiny_copy: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount here, though root")
    try:
        clone = fresh_clone(do, tiny_copy, disk / "clone")
        free = shutil.disk_usage(disk).used + 15_000_000
        subprocess.run(["mount", "-o", f"remount,size={free}", str(disk)], check=True)
        output = do("dvc pull", folder=clone, expect=1)
        assert "No space left on device" in output
        assert re.search("FAIL +disk", do("handpose doctor", folder=clone, expect=2))
        subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
        do("dvc pull", folder=clone)
        assert "up to date" in do("dvc repro", folder=clone)
        output = do("handpose doctor --cache", folder=clone, expect=2)
        assert "match their names" in output
        assert "partial objects" in output
        assert re.findall("FAIL +([a-z]+)", output) == ["disk"], "300 MB are still little"
    finally:
        subprocess.run(["umount", str(disk)], check=True)

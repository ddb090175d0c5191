"""Folders, and what is refused; tests/end_to_end/test_remotes.py takes real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from handpose.errors import HandPoseError
from pipeline.remote import remote
from pipeline.remote.remote import UNCHECKED, Credentials, RemoteError
from pipeline.remote.storage import StorageError


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clone"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (tmp_path / "store").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def add(clone: Path, name: str, url: str | None = None, **options: object) -> list[str]:
    credentials = options.pop("credentials", Credentials())
    return list(remote.add(name, url, root=clone, credentials=credentials, **options))  # type: ignore[arg-type]


def files(clone: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (clone / ".dvc").iterdir() if path.is_file()}


def test_a_folder_is_checked_and_written_relative_as_it_was_typed(clone: Path) -> None:
    lines = add(clone, "store", "../store", default=True)
    assert "wrote, read back and deleted" in lines[0]
    assert not list((clone.parent / "store").iterdir()), "the probe leaves nothing"
    written = files(clone)["config"]
    assert "url = ../../store" in written
    assert "remote = store" in written
    assert "verify = True" in written
    assert "analytics = false" in written
    assert list(remote.check(None, root=clone))


def test_nothing_is_written_when_the_check_fails(clone: Path) -> None:
    before = files(clone)
    missing = clone.parent / "typo"
    with pytest.raises(StorageError, match=rf"{missing} is not there.*mkdir -p {missing}"):
        add(clone, "store", str(missing))
    assert files(clone) == before
    assert not missing.exists()


def test_a_file_and_a_folder_inside_the_clone_are_refused(clone: Path) -> None:
    (clone.parent / "file").touch()
    with pytest.raises(HandPoseError, match="is not there"):
        add(clone, "store", "../file")
    (clone / "here").mkdir()
    with pytest.raises(RemoteError, match="would be lost with it"):
        add(clone, "store", "here")


def test_a_name_keeps_its_url(clone: Path) -> None:
    add(clone, "store", "../store", default=True)
    before = files(clone)
    add(clone, "store", "../store")
    add(clone, "store", str(clone.parent / "store"))
    add(clone, "store")
    assert files(clone) == before
    (clone.parent / "other").mkdir()
    with pytest.raises(RemoteError, match=r"already.*dvc remote remove store"):
        add(clone, "store", "../other")


def test_unknown_names_are_refused_with_the_known(clone: Path) -> None:
    with pytest.raises(RemoteError, match="add one"):
        list(remote.check(None, root=clone))
    with pytest.raises(RemoteError, match="add its URL"):
        add(clone, "store")
    add(clone, "store", "../store")
    with pytest.raises(RemoteError, match="there are: store"):
        list(remote.check("stroe", root=clone))
    with pytest.raises(RemoteError, match="lower-case letters"):
        add(clone, "My Store", "../store")


def test_ssh_needs_a_key_file(clone: Path) -> None:
    with pytest.raises(RemoteError, match=r"no key in .*ssh-keygen"):
        add(clone, "lab", "ssh://127.0.0.1:1/srv")


def test_a_clone_of_somebody_elses_ssh_remote_is_not_set_up(clone: Path) -> None:
    config = clone / ".dvc" / "config"
    config.write_text(
        f"['remote \"lab\"']\n    url = ssh://host/srv\n    keyfile = {UNCHECKED} lab\n"
    )
    with pytest.raises(RemoteError, match="run: handpose remote add lab"):
        remote.find(clone, "lab")


def test_settings_that_somebody_added_stay(clone: Path) -> None:
    add(clone, "store", "../store")
    path = clone / ".dvc" / "config"
    path.write_text(path.read_text().replace("verify = True", "jobs = 2"))
    add(clone, "store")
    assert "jobs = 2" in path.read_text()
    assert "verify = True" in path.read_text()


def test_a_user_that_dvc_left_in_the_url_is_kept(clone: Path) -> None:
    found = remote.configured("lab", {"url": "ssh://me@host/srv", "port": 2222})
    assert found.options == {"user": "me", "port": 2222}


def test_broken_settings_are_reported(clone: Path) -> None:
    (clone / ".dvc" / "config").write_text("[core\n")
    with pytest.raises(RemoteError, match="config"):
        remote.find(clone, "lab")
    with pytest.raises(RemoteError, match="not a DVC project"):
        remote.find(clone.parent, "lab")


def test_both_files_or_neither(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.config import Config

    (clone / ".dvc" / "config.local").write_text("[cache]\n    type = copy\n")
    before = files(clone)
    edit = Config.edit

    def fail_at_second(self: Config, level: str) -> object:
        if level == "local":
            raise OSError("disk full")
        return edit(self, level)

    monkeypatch.setattr(Config, "edit", fail_at_second)
    with pytest.raises(RemoteError, match="disk full"):
        add(clone, "store", "../store")
    assert files(clone) == before

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from pipeline.remote.address import Address
from pipeline.remote.objects import ObjectError, check_cache, check_remote, results_of
from pipeline.remote.storage import Storage


def put(cache: Path, content: bytes, ending: str = "") -> Path:
    name = hashlib.md5(content).hexdigest()
    path = cache / "files" / "md5" / name[:2] / (name[2:] + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def check(root: Path) -> list[str]:
    return list(check_cache(root / "cache", results_of(root, root / "cache")))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A file and a folder that two stages wrote, and their objects."""
    weights = put(tmp_path / "cache", b"weights")
    table = put(tmp_path / "cache", b"table")
    listing = json.dumps([{"md5": table.parent.name + table.name, "relpath": "deep/a.csv"}])
    folder = put(tmp_path / "cache", listing.encode(), ".dir")
    (tmp_path / "tables" / "deep").mkdir(parents=True)
    (tmp_path / "tables" / "deep" / "a.csv").write_bytes(b"table")
    (tmp_path / "model").write_bytes(b"weights")
    outs = [("model", weights), ("tables", folder)]
    entries = [{"path": name, "md5": path.parent.name + path.name} for name, path in outs]
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": {"train": {"outs": entries}}}))
    return tmp_path


def test_intact_objects_and_results_pass(clone: Path) -> None:
    objects, results = check(clone)
    assert objects.startswith("3 objects in")
    assert results.startswith("2 results match")


def run(remedy: str) -> None:
    for line in remedy.splitlines():
        if line.startswith("  "):
            subprocess.run(line.split(), check=True)


@pytest.mark.parametrize(
    ("name", "content"), [("model", b"weights"), ("tables/deep/a.csv", b"table")]
)
def test_a_corrupted_object_is_mended_from_the_workspace(
    clone: Path, name: str, content: bytes
) -> None:
    path = put(clone / "cache", content)
    path.write_bytes(b"rotten")
    with pytest.raises(ObjectError, match="1 of 3 objects") as caught:
        check(clone)
    assert f"cp -f {clone / name} {path}" in str(caught.value)
    run(str(caught.value))
    assert check(clone)


def test_a_corrupted_object_goes_with_the_copy_that_was_restored_from_it(clone: Path) -> None:
    path = put(clone / "cache", b"weights")
    path.write_bytes(b"rotten")
    (clone / "model").write_bytes(b"rotten")
    with pytest.raises(ObjectError, match="1 of 3 objects") as caught:
        check(clone)
    run(str(caught.value))
    assert not path.exists()
    assert not (clone / "model").exists()
    assert check(clone)


def test_a_wrong_result_is_found_when_its_object_is_whole(clone: Path) -> None:
    (clone / "model").write_bytes(b"rotten")
    with pytest.raises(ObjectError, match=f"1 of 2 results.*rm -f {clone / 'model'}; dvc checkout"):
        check(clone)


def test_partial_objects_of_a_pull_are_not_corruption(clone: Path) -> None:
    path = put(clone / "cache", b"weights")
    path.with_name(".x.tmp").write_bytes(b"wei")
    assert any(line.startswith("1 partial") for line in check(clone))


def test_a_remote_is_read_through_dvc(tmp_path: Path) -> None:
    put(tmp_path, b"[]", ".dir")
    path = put(tmp_path, b"weights")
    remote = Storage("store", Address("folder", str(tmp_path)), {})
    assert list(check_remote(remote)) == ["2 objects of remote store match their names"]
    path.write_bytes(b"")
    with pytest.raises(ObjectError, match=f"1 of 2 objects(.|\n)*push(.|\n)*{path}"):
        list(check_remote(remote))


def test_an_empty_remote_is_intact(tmp_path: Path) -> None:
    remote = Storage("store", Address("folder", str(tmp_path)), {})
    assert list(check_remote(remote)) == ["0 objects of remote store match their names"]

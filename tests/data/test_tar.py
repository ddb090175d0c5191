"""Tars: the bytes of webdataset's writer, which its reader and ours both read."""

from __future__ import annotations

from pathlib import Path

import pytest
import webdataset as wds

from handpose.data import tar
from handpose.data.tar import EncodedSample, TarError

SAMPLES = [EncodedSample(f"{n:09d}", bytes([n]) * (500 * n), b"{}" * n) for n in range(1, 31)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    with (tmp_path / "ours.tar").open("wb") as stream:
        assert tar.write(stream, iter(SAMPLES)) == len(SAMPLES)
    return tmp_path / "ours.tar"


def test_the_bytes_are_those_of_webdataset(written: Path, tmp_path: Path) -> None:
    with (
        (tmp_path / "its.tar").open("wb") as stream,
        wds.TarWriter(stream, encoder=False, mtime=0) as writer,
    ):
        for key, jpg, json, _ in SAMPLES:
            writer.write({"__key__": key, "jpg": jpg, "json": json})
    assert written.read_bytes() == (tmp_path / "its.tar").read_bytes()


def test_webdataset_reads_it(written: Path) -> None:
    found = wds.DataPipeline(lambda: iter([{"url": str(written)}]), wds.tarfile_to_samples())
    assert [EncodedSample(s["__key__"], s["jpg"], s["json"]) for s in found] == SAMPLES


def test_what_was_written_is_read(written: Path) -> None:
    assert list(tar.read(written)) == SAMPLES


def test_a_cut_tar_is_reported(written: Path) -> None:
    written.write_bytes(written.read_bytes()[: 512 + 200])
    with pytest.raises(TarError, match=r"ends in the middle of 000000001\.jpg"):
        list(tar.read(written))


def test_what_is_no_tar_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 2048)
    with pytest.raises(TarError, match="not a tar header"):
        list(tar.read(tmp_path / "x.tar"))


def test_a_jpeg_without_its_label_is_reported(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as stream, wds.TarWriter(stream, mtime=0) as writer:
        writer.write({"__key__": "a", "jpg": b"1"})
        writer.write({"__key__": "b", "jpg": b"2"})
    with pytest.raises(TarError, match=r"a\.jpg is not a \.jpg followed by its \.json"):
        list(tar.read(tmp_path / "x.tar"))

"""What a file is taken for by its content, and that whole files of our own are left alone."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from handpose.file_content import HEAD, recognise
from tests.wrong_files import WRONG, spoil


@pytest.mark.parametrize("kind", WRONG)
def test_every_kind_is_recognised(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file with blanks.bin"
    path.write_bytes(bytes(range(256)) * 40)
    spoil(path, kind)
    assert str(recognise(path)).startswith(WRONG[kind])


def test_our_own_kinds_are_known_by_one_word(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    for protocol in range(6):
        (tmp_path / f"{protocol}.pkl").write_bytes(pickle.dumps({"x": np.zeros(3)}, protocol))
    (tmp_path / "a.json").write_text(json.dumps({"x": ["é" * HEAD]}))
    (tmp_path / "a.csv").write_text("é,b\n" * HEAD)
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"")
    kinds = {
        path.name: getattr(recognise(path), "kind", None) for path in sorted(tmp_path.iterdir())
    }
    pickles = {f"{protocol}.pkl": "pickle" for protocol in range(6)}
    assert kinds == pickles | {
        "a.npy": "npy", "a.npz": "npz", "a.json": "json", "a.csv": "text", "a.pt": "torch",
    }  # fmt: skip


@pytest.mark.parametrize("shift", range(4))
def test_a_character_cut_in_two_does_not_matter(tmp_path: Path, shift: int) -> None:
    (tmp_path / "a").write_text("x" * shift + "€" * HEAD, encoding="utf-8")
    found = recognise(tmp_path / "a")
    assert found is not None and found.kind == "text"


def test_bytes_that_say_nothing_are_left_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "a").write_bytes(b"\xf0" + rng.integers(128, 256, 10_000, np.uint8).tobytes())
    assert recognise(tmp_path / "a") is None

"""What is read from look-alikes of the official pickles, which conftest.py writes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hand.mano import SHAPES, ManoError
from pipeline.mano_import.mano_pickle import read_pickle, repaired_left
from tests.pipeline.mano_import.conftest import Write
from tests.wrong_files import WRONG, apply_remedy, spoil


@pytest.mark.parametrize("protocol", [1, 2])
def test_an_official_file_gives_the_arrays_it_was_made_of(
    write: Write, stand_in: Path, protocol: int
) -> None:
    path = write(protocol=protocol)
    assert b"chumpy.reordering" in path.read_bytes()
    assert b"numpy.core.multiarray" in path.read_bytes()
    expected = np.load(stand_in / "MANO_RIGHT.npz")
    for key, array in read_pickle(path).items():
        if key != "kintree_table":
            np.testing.assert_array_equal(array, expected[key], err_msg=key)


class Hostile:
    """A pickle that runs code when it is read by pickle.load."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.path),)


def test_a_hostile_file_is_refused_by_name_and_nothing_of_it_runs(
    write: Write, tmp_path: Path
) -> None:
    path = write(v_template=Hostile(tmp_path / "owned"))
    with pytest.raises(ManoError, match=r"posix.mkdir, which MANO's own files do not; nothing"):
        read_pickle(path)
    assert not (tmp_path / "owned").exists()


def test_the_same_file_would_run_code_under_pickle_itself(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Hostile(tmp_path / "owned")))
    assert (tmp_path / "owned").is_dir()


@pytest.mark.parametrize("module", ["os", "subprocess", "chumpy.ch_ops", "numpy.testing"])
def test_every_other_name_is_refused(tmp_path: Path, module: str) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(b"\x80\x02c" + module.encode() + b"\nsystem\n.")
    with pytest.raises(ManoError, match=f"needs {module}.system"):
        read_pickle(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave": "posedirs"}, "'posedirs' is missing"),
        ({"v_template": np.zeros((6890, 3))}, r"v_template has shape \(6890, 3\)"),
        ({"hands_mean": np.full(45, np.nan)}, "hands_mean holds something that is not a number"),
        ({"f": np.zeros((1538, 3), np.int64)}, "f does not use the vertices"),
        ({"weights": np.zeros((778, 16))}, "rows of weights do not sum to 1"),
        ({"kintree_table": np.zeros((2, 16), np.int64)}, "kintree_table has the parents"),
    ],
)
def test_what_is_not_a_mano_hand_is_refused(
    write: Write, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ManoError, match=message):
        read_pickle(write(**change))


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_another_kind_is_called_by_its_name_and_the_remedy_works(
    write: Write, kind: str
) -> None:
    path = write()
    whole = path.read_bytes()
    spoil(path, kind)
    with pytest.raises(ManoError) as error:
        read_pickle(path)
    assert f"{path}: {WRONG[kind]}" in str(error.value)
    apply_remedy(str(error.value), path, whole)
    read_pickle(path)


def test_an_npz_under_the_name_of_a_pickle_is_reported(write: Write, stand_in: Path) -> None:
    path = write()
    shutil.copy(stand_in / "MANO_RIGHT.npz", path)
    with pytest.raises(ManoError, match=r"is an npz archive .* name the original \.pkl"):
        read_pickle(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("protocol", [1, 2])
def test_a_pickle_that_broke_off_is_reported_as_such(
    write: Write, share: float, protocol: int
) -> None:
    path = write(protocol=protocol)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ManoError, match=r"ends in the middle, after .* bytes|cannot be read"):
        read_pickle(path)


def test_a_transfer_as_text_is_reported(stand_in: Path, tmp_path: Path) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    with np.load(stand_in / "MANO_RIGHT.npz") as file:
        content = {key: np.asarray(file[key]) for key in SHAPES}
    path.write_bytes(pickle.dumps(content, 2).replace(b"\n", b"\r\n"))
    with pytest.raises(ManoError, match="was made CRLF by a transfer as text"):
        read_pickle(path)


def test_text_and_a_missing_file_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(b"404: Not Found")
    with pytest.raises(ManoError, match=r"is text \(14 bytes\) that begins with '404: Not Found'"):
        read_pickle(path)
    path.write_bytes(b'{"error": "no such key"}')
    with pytest.raises(ManoError, match="is JSON, perhaps a server's error: "):
        read_pickle(path)
    with pytest.raises(ManoError, match="not found"):
        read_pickle(tmp_path / "none.pkl")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_that_python_3_saved_again_are_read(
    stand_in: Path, tmp_path: Path, protocol: int
) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    with np.load(stand_in / "MANO_RIGHT.npz") as file:
        content = {key: np.asarray(file[key]) for key in SHAPES}
    path.write_bytes(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(read_pickle(path)["v_template"], content["v_template"])


def test_bytes_come_in_no_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.")
    with pytest.raises(ManoError, match="bytes are written as latin1, not as hex"):
        read_pickle(path)


def test_a_file_of_somebody_else_is_reported(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write()

    def refuse(*_: object) -> None:  # as root one may read all
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ManoError, match="you may not read it; fix its permission"):
        read_pickle(path)


def test_the_fault_of_the_left_file_is_found_and_repaired(write: Write, stand_in: Path) -> None:
    right, left = read_pickle(write()), read_pickle(write("LEFT"))
    assert repaired_left(left, right) is None, "the stand-in's left hand is sound"
    faulty = {**left, "shapedirs": right["shapedirs"]}
    repaired = repaired_left(faulty, right)
    assert repaired is not None
    np.testing.assert_allclose(repaired["shapedirs"], left["shapedirs"], atol=1e-12)

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hand.mano import SHAPES, Mano, ManoError
from pipeline.__main__ import main
from pipeline.mano_import.mano_import import import_mano
from tests.pipeline.mano_import.conftest import Write

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files of a clone that name the folders of a stage; git is not asked."""
    clone = tmp_path / "clone"
    for name in ("dvc.yaml", "params.yaml", "pipeline/stage.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    return clone


@pytest.fixture
def download(stand_in: Path, tmp_path: Path) -> Path:
    """An unpacked download; test_mano_pickle.py looks at true old pickles."""
    folder = tmp_path / "mano_v1_2" / "models"
    folder.mkdir(parents=True)
    for side in ("RIGHT", "LEFT"):
        arrays: dict[str, Any] = dict(np.load(stand_in / f"MANO_{side}.npz"))
        arrays = {key: arrays[key] for key in SHAPES}
        if side == "LEFT":
            arrays["shapedirs"] = np.load(stand_in / "MANO_RIGHT.npz")["shapedirs"]
        content = {key: np.asarray(array) for key, array in arrays.items()}
        (folder / f"MANO_{side}.pkl").write_bytes(pickle.dumps(content, protocol=4))
    return tmp_path


def test_the_imported_files_are_the_hand(download: Path, stand_in: Path) -> None:
    lines = import_mano(download, download / "out")
    ours, theirs = Mano.load(download / "out"), Mano.load(stand_in)
    assert (ours.layer.v_template == theirs.layer.v_template).all()
    left = np.load(download / "out" / "MANO_LEFT.npz")["shapedirs"]
    np.testing.assert_allclose(left, np.load(stand_in / "MANO_LEFT.npz")["shapedirs"], atol=1e-12)
    assert any("known fault" in line for line in lines)
    assert f"set hand.mano to {download / 'out'}" in lines[-1]


def test_by_default_they_lie_beside_the_pickles(download: Path) -> None:
    import_mano(download / "mano_v1_2" / "models" / "MANO_RIGHT.pkl")
    assert (download / "mano_v1_2" / "models" / "MANO_RIGHT.npz").is_file()


def test_where_to_get_it_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mano", "import", str(tmp_path / "nowhere")]) == 2
    assert "no such folder. MANO is free for research" in capsys.readouterr().err
    with pytest.raises(ManoError, match=r"no MANO_RIGHT.pkl in it"):
        import_mano(tmp_path)


def test_a_file_of_another_name_is_not_taken_for_the_one_beside_it(download: Path) -> None:
    models = download / "mano_v1_2" / "models"
    for name in ("SMPL.pkl", "mano_v1_2.zip"):
        (models / name).touch()
        with pytest.raises(ManoError, match=rf"{name}: is a file with another name; exp"):
            import_mano(models / name)
    (models / "MANO_RIGHT.pkl").unlink()
    with pytest.raises(ManoError, match=r"MANO_LEFT.pkl: no MANO_RIGHT.pkl beside it"):
        import_mano(models / "MANO_LEFT.pkl")


def test_the_unopened_archive_is_reported_and_the_command_makes_it_usable(
    download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = shutil.make_archive(str(tmp_path / "mano_v1_2"), "zip", tmp_path, "mano_v1_2")
    shutil.rmtree(tmp_path / "mano_v1_2")
    said = set()
    for named in (archive, str(tmp_path)):
        assert main(["mano", "import", named]) == 2
        message = capsys.readouterr().err
        command = re.search(r"unpack it first: (.*?); then name that", message)
        assert command is not None, message
        said.add(command[1])
    (unpack,) = said
    subprocess.run(unpack, shell=True, check=True)
    assert main(["mano", "import", str(tmp_path / "unpacked")]) == 0


def test_a_download_further_down_is_named(download: Path) -> None:
    deeper = download / "a" / "b"
    deeper.mkdir(parents=True)
    shutil.move(download / "mano_v1_2", deeper)
    with pytest.raises(ManoError, match=r"MANO_RIGHT.pkl is further down: name") as error:
        import_mano(download)
    import_mano(Path(str(error.value).rpartition("name ")[2]), download / "out")


def test_a_hand_under_the_name_of_the_other_is_refused_and_nothing_written(
    download: Path, tmp_path: Path
) -> None:
    right, left = (download / "mano_v1_2" / "models" / f"MANO_{s}.pkl" for s in ("RIGHT", "LEFT"))
    left_hand = left.read_bytes()
    shutil.copy(right, left)
    with pytest.raises(ManoError, match=r"MANO_LEFT.pkl: holds a right hand, expected a left one"):
        import_mano(download, tmp_path / "out")
    right.write_bytes(left_hand)
    with pytest.raises(ManoError, match=r"MANO_RIGHT.pkl: holds a left hand, expected a right one"):
        import_mano(download, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(download: Path) -> None:
    (download / "file").touch()
    with pytest.raises(ManoError, match="file: is a file; name a folder with --out"):
        import_mano(download, download / "file")
    with pytest.raises(ManoError, match=r"Not a directory; name .* that you may write to"):
        import_mano(download, download / "file" / "below")


@pytest.mark.parametrize("out", ["data/stand_in", "data/synthetic/mano", "results/tables"])
def test_a_folder_that_a_stage_makes_is_refused(clone: Path, download: Path, out: str) -> None:
    with pytest.raises(ManoError, match="`dvc push` would publish it, which MANO's licence"):
        import_mano(download, clone / out)


def test_a_linked_data_folder_is_still_the_clones(clone: Path, download: Path) -> None:
    (download / "large_disk").mkdir()
    (clone / "data").symlink_to(download / "large_disk")
    with pytest.raises(ManoError, match="is in an output of stage synthesize"):
        import_mano(download, clone / "data" / "stand_in")
    import_mano(download, clone / "data" / "mano")


def test_a_folder_that_git_would_commit_is_refused(download: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    with pytest.raises(ManoError, match="does not ignore it"):
        import_mano(download, repository / "mano")
    (repository / ".gitignore").write_text("/mano/\n")
    import_mano(download, repository / "mano")


def difference(lines: list[str]) -> tuple[float, bool]:
    """The reported difference in mm, and whether it is called too large."""
    (line,) = [line for line in lines if "mirrored right" in line]
    found = re.search(r"in 100 random hands .* by at most (\S+) mm(\. WARNING)?", line)
    assert found is not None
    return float(found[1]), found[2] is not None


def test_a_mirrored_right_hand_is_compared_with_the_left_one(
    write: Write, tmp_path: Path, stand_in: Path
) -> None:
    """Of files as the official ones are written; the stand-in's hands are mirror images."""
    write()
    write("LEFT")
    mm, too_large = difference(import_mano(tmp_path))
    assert mm < 1e-3 and not too_large
    write("LEFT", shapedirs=np.load(stand_in / "MANO_RIGHT.npz")["shapedirs"])
    lines = import_mano(tmp_path)
    assert any("known fault" in line for line in lines)
    assert difference(lines) == (mm, False), "the repaired hand is compared"
    (tmp_path / "MANO_LEFT.pkl").unlink()
    assert not any("mirrored right" in line for line in import_mano(tmp_path))


@pytest.mark.parametrize(
    ("array", "change", "at_least_mm"),
    [
        ("v_template", 0.002, 1.9),  # metres, of every vertex
        ("hands_mean", 0.1, 1.0),  # radians: fits are relative to it
        ("shapedirs", 0.001, 0.9),
    ],
)
def test_hands_that_are_no_mirror_images_are_reported_in_millimetres(
    write: Write, tmp_path: Path, stand_in: Path, array: str, change: float, at_least_mm: float
) -> None:
    write()
    write("LEFT", **{array: np.load(stand_in / "MANO_LEFT.npz")[array] + change})
    mm, too_large = difference(import_mano(tmp_path))
    assert mm > at_least_mm and too_large

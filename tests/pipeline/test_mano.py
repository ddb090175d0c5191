from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.hand.mano import SHAPES, Mano, ManoError
from pipeline.__main__ import main
from pipeline.mano import import_mano


@pytest.fixture
def download(stand_in: Path, tmp_path: Path) -> Path:
    """An unpacked download; tests/hand/test_mano_pickle.py looks at true old pickles."""
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
    told = import_mano(download, download / "out")
    ours, theirs = Mano.load(download / "out"), Mano.load(stand_in)
    assert (ours.layer.v_template == theirs.layer.v_template).all()
    left = np.load(download / "out" / "MANO_LEFT.npz")["shapedirs"]
    np.testing.assert_allclose(left, np.load(stand_in / "MANO_LEFT.npz")["shapedirs"], atol=1e-12)
    assert any("known fault" in line for line in told)
    assert f"set hand.mano to {download / 'out'}" in told[-1]


def test_by_default_they_lie_beside_the_pickles(download: Path) -> None:
    import_mano(download / "mano_v1_2" / "models" / "MANO_RIGHT.pkl")
    assert (download / "mano_v1_2" / "models" / "MANO_RIGHT.npz").is_file()


def test_where_to_get_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mano", "import", str(tmp_path / "nowhere")]) == 2
    assert "no such folder. MANO is free for research" in capsys.readouterr().err
    with pytest.raises(ManoError, match=r"no MANO_RIGHT.pkl in it"):
        import_mano(tmp_path)


def test_a_folder_that_git_would_commit_is_refused(download: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    with pytest.raises(ManoError, match="does not ignore it"):
        import_mano(download, repository / "mano")
    (repository / ".gitignore").write_text("/mano/\n")
    import_mano(download, repository / "mano")

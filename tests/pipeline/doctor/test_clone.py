from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.doctor import clone as doctor_clone
from pipeline.doctor import doctor

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("params.yaml", "dvc.yaml", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "pipeline").mkdir()
    shutil.copy(ROOT / "pipeline" / "stage.py", tmp_path / "pipeline")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def point(clone: Path, old: str, new: str) -> None:
    path = clone / "params.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")


def other_hand(stand_in: Path, folder: Path) -> Path:
    """A hand model without the mark of our own."""
    with np.load(stand_in / "MANO_RIGHT.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "model_name"}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "MANO_RIGHT.npz", **kept)
    return folder


def test_what_dvc_repro_makes_need_not_be_there_yet(clone: Path) -> None:
    for check in (doctor_clone.data, doctor_clone.hand):
        (found,) = check(clone)
        assert (found.state, "dvc repro writes it" in found.text) == ("note", True)


def test_a_data_root_without_annotations_fails(clone: Path) -> None:
    (clone / "download" / "images").mkdir(parents=True)
    point(clone, "root: data/synthetic", "root: download")
    (found,) = doctor_clone.data(clone)
    assert found.state == "FAIL"
    assert "no annotations" in found.text
    (clone / "download" / "annotations").mkdir()
    (found,) = doctor_clone.data(clone)
    assert found.state == "ok"


def test_a_download_where_a_stage_writes_fails(clone: Path) -> None:
    for part in ("images", "annotations"):
        (clone / "data" / "synthetic" / part).mkdir(parents=True)
    (found,) = doctor_clone.data(clone)
    assert found.state == "FAIL"
    assert "dvc repro replaces that folder; move the download" in found.text
    (clone / "data" / "synthetic" / "annotations" / "synthetic.json").touch()
    (found,) = doctor_clone.data(clone)
    assert found.state == "ok"


def test_the_hand_model_is_identified(clone: Path, stand_in: Path, anny: Path) -> None:
    shutil.copytree(stand_in, clone / "data" / "stand_in")
    (found,) = doctor_clone.hand(clone)
    assert "stand-in" in found.text
    elsewhere = other_hand(stand_in, clone.parent / f"{clone.name}-mano")
    point(clone, "mano: data/stand_in", f"mano: {elsewhere}")
    (found,) = doctor_clone.hand(clone)
    assert (found.state, "MANO, 778" in found.text) == ("ok", True)
    shutil.copy(anny / "MANO_RIGHT.npz", elsewhere)
    (found,) = doctor_clone.hand(clone)
    assert (found.state, "Anny's hand" in found.text) == ("ok", True)
    (elsewhere / "MANO_RIGHT.npz").write_bytes(b"torn")
    (found,) = doctor_clone.hand(clone)
    assert (found.state, "is not a MANO file" in found.text) == ("FAIL", True)
    (elsewhere / "MANO_RIGHT.npz").unlink()
    (found,) = doctor_clone.hand(clone)
    assert (found.state, "is not there" in found.text) == ("FAIL", True)


def test_git_ignores_mano_wherever_it_lies(clone: Path) -> None:
    for name in (
        *("MANO_RIGHT.npz", "deep/mano_left.pkl", "mano_v1_2/models/x.pkl", "mano_v1_2.zip"),
        "J_regressor_mano_ih26m.npy",
    ):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).touch()
    subprocess.run(["git", "add", "."], cwd=clone, check=True)
    added = subprocess.run(
        ["git", "ls-files"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert set(added.stdout.split()) == {
        "params.yaml",
        "dvc.yaml",
        ".gitignore",
        "pipeline/stage.py",
    }
    assert [found.state for found in doctor_clone.licence(clone)] == ["ok"]


def test_mano_that_was_forced_into_git_fails(clone: Path) -> None:
    (clone / "assets").mkdir()
    for name in ("MANO_RIGHT.npz", "J_regressor_mano_ih26m.npy"):
        (clone / "assets" / name).touch()
    subprocess.run(["git", "add", "-f", "assets"], cwd=clone, check=True)
    joints, hand = doctor_clone.licence(clone)
    assert joints.state == hand.state == "FAIL"
    assert "assets/J_regressor_mano_ih26m.npy" in joints.text
    assert "assets/MANO_RIGHT.npz" in hand.text


def test_mano_in_an_output_fails_and_our_own_hand_does_not(clone: Path, stand_in: Path) -> None:
    shutil.copytree(stand_in, clone / "data" / "stand_in")
    assert [found.state for found in doctor_clone.licence(clone)] == ["ok"]
    other_hand(stand_in, clone / "data" / "stand_in")
    (found,) = doctor_clone.licence(clone)
    assert found.state == "FAIL"
    assert "dvc push would upload it" in found.text


def test_mano_under_a_name_that_git_quotes_is_found(clone: Path) -> None:
    (clone / "hände").mkdir()
    (clone / "hände" / "MANO_RIGHT.pkl").touch()
    subprocess.run(["git", "add", "-f", "hände"], cwd=clone, check=True)
    (found,) = doctor_clone.licence(clone)
    assert (found.state, "hände/MANO_RIGHT.pkl" in found.text) == ("FAIL", True)


def test_mano_that_was_added_to_dvc_fails(clone: Path) -> None:
    """`dvc add` tells git to ignore it, and `dvc push` uploads it all the same."""
    (clone / "own").mkdir()
    (clone / "own" / "MANO_LEFT.pkl").touch()
    (clone / "own.dvc").write_text("outs:\n- md5: ab.dir\n  path: own\n")
    (found,) = doctor_clone.licence(clone)
    assert (found.state, "own/MANO_LEFT.pkl" in found.text) == ("FAIL", True)
    (clone / "own.dvc").write_text("<<<<<<< HEAD\n")
    (found,) = doctor.findings(doctor_clone.licence, clone)
    assert (found.state, "is not known" in found.text) == ("FAIL", True)


def test_an_output_that_cannot_be_read_is_no_empty_one(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone / "data" / "stand_in").mkdir(parents=True)

    def scandir(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    (found,) = doctor.findings(doctor_clone.licence, clone)
    assert found.state == "FAIL"
    assert "data/stand_in: Permission denied" in found.text


def test_no_output_holds_a_hand_from_elsewhere(clone: Path) -> None:
    """Whatever `hand.mano` names is a dependency of stages and the output of none."""
    from pipeline.dag import read_dag

    for place in ("../mano", "/srv/mano", "data/mano", "data/synthetic_mano"):
        shutil.copy(ROOT / "params.yaml", clone)
        point(clone, "mano: data/stand_in", f"mano: {place}")
        stages = read_dag(clone).values()
        outs = [Path(out) for stage in stages for out in stage.outs]
        assert any(place in stage.deps for stage in stages)
        assert not any(Path(place).is_relative_to(out) or out.is_relative_to(place) for out in outs)

"""Who takes what lies in a folder: git, a stage, or nobody."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from handpose.hand.mano import FILE
from pipeline.licence_guard import git_takes, is_anny, is_free_hand, is_stand_in, stage_of

ROOT = Path(__file__).parents[2]


def test_git_takes_what_it_does_not_ignore(tmp_path: Path) -> None:
    assert not git_takes(tmp_path / "a.npz"), "no repository"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/mine/\n", "utf-8")
    assert git_takes(tmp_path / "a.npz")
    assert git_takes(tmp_path / "not_there_yet" / "a.npz")
    assert not git_takes(tmp_path / "mine" / "a.npz")


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("data/stand_in", "synthesize"),
        ("data/stand_in/below", "synthesize"),
        ("data/../data/shard/tars", "shard"),
        ("models/pretrain/model.safetensors", "pretrain"),
        ("data/my_hand", None),
        ("labels", None),
    ],
)
def test_a_stage_makes_its_outs_and_all_below(folder: str, stage: str | None) -> None:
    assert stage_of(ROOT / folder) == stage


def test_free_hands_are_known_by_what_they_call_themselves(
    tmp_path: Path, stand_in: Path, anny: Path
) -> None:
    ours, annys = stand_in / FILE, anny / FILE
    assert is_stand_in(ours) and is_free_hand(ours) and not is_anny(ours)
    assert is_anny(annys) and is_free_hand(annys) and not is_stand_in(annys)
    with np.load(ours) as arrays:
        np.savez(tmp_path / FILE, v_template=arrays["v_template"])
    assert not is_free_hand(tmp_path / FILE)
    (tmp_path / FILE).write_bytes(b"torn")
    assert not is_free_hand(tmp_path / FILE)


def test_outside_a_clone_no_stage_makes_anything(tmp_path: Path) -> None:
    assert stage_of(tmp_path / "data" / "stand_in") is None

"""Submission files: what is written is read back, and what is no submission is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.fitting.joint_order import ORDERS
from handpose.hand.mano import Mano
from handpose.imported.statement import ImportedError
from handpose.imported.submission import (
    FORMATS,
    Submission,
    check_order,
    read_submission,
    write_submission,
)
from tests.freihand.made_up_hands import made_up_hands

HANDS = 24
INDEX = np.arange(HANDS)


@pytest.fixture(scope="module")
def truth(mano: Mano) -> Submission:
    hands = made_up_hands(mano, HANDS, "smplx")
    return Submission(hands.joints, hands.vertices)


def predicted(truth: Submission) -> Submission:
    noise = np.random.default_rng(0).normal(0, 0.004, truth.joints.shape)
    return Submission(truth.joints + noise, truth.vertices)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_back(tmp_path: Path, truth: Submission, name: str) -> None:
    form, path = FORMATS[name], tmp_path / "pred"
    index = 3 * INDEX + 5 if form.kind == "lines" else INDEX
    write_submission(path, form, truth, index)
    found = read_submission(path, form, index)
    np.testing.assert_allclose(found.joints, truth.joints, atol=6e-8)
    if form.kind == "pred.json":
        assert found.vertices is not None and truth.vertices is not None
        np.testing.assert_allclose(found.vertices, truth.vertices, atol=6e-8)


def test_freihands_file_is_two_lists_in_metres_in_the_cameras_axes(
    tmp_path: Path, truth: Submission
) -> None:
    write_submission(tmp_path / "pred.json", FORMATS["freihand"], truth, INDEX)
    joints, meshes = json.loads((tmp_path / "pred.json").read_text())
    assert (np.shape(joints), np.shape(meshes)) == ((HANDS, 21, 3), (HANDS, 778, 3))
    np.testing.assert_allclose(joints, truth.joints, atol=6e-8)


def test_ho3ds_file_is_in_opengls_axes_and_manos_order(tmp_path: Path, truth: Submission) -> None:
    write_submission(tmp_path / "pred.json", FORMATS["ho3d_v3"], truth, INDEX)
    joints, meshes = (np.array(one) for one in json.loads((tmp_path / "pred.json").read_text()))
    assert joints[..., 2].max() < 0 and meshes[..., 2].max() < 0, "pred.py refuses z > 0"
    ours = truth.joints * [1, -1, -1]
    # its joint 4 is the middle MCP, 7 the pinky's, 13 the thumb's; tips 16 to 20, thumb to pinky
    for theirs, own in ((0, 0), (4, 9), (7, 17), (13, 1), (16, 4), (17, 8), (20, 20)):
        np.testing.assert_allclose(joints[:, theirs], ours[:, own], atol=6e-8)


def test_dexycbs_lines_are_a_number_and_63_millimetres(tmp_path: Path, truth: Submission) -> None:
    write_submission(tmp_path / "pred.txt", FORMATS["dexycb_s0"], truth, INDEX + 7)
    words = (tmp_path / "pred.txt").read_text().splitlines()[2].split(",")
    assert len(words) == 64 and words[0] == "9"
    np.testing.assert_allclose([float(w) for w in words[1:4]], 1000 * truth.joints[2, 0], atol=1e-3)


def spoil(content: Any) -> dict[str, Any]:
    joints, meshes = content
    nan = json.loads(json.dumps(joints))
    nan[3][2][1] = float("nan")
    return {
        "one list": joints,
        "no json": None,
        "missing": [joints[:-1], meshes[:-1]],
        "doubled": [[*joints, joints[0]], [*meshes, meshes[0]]],
        "unequal": [joints, meshes[:-2]],
        "nan": [nan, meshes],
        "millimetres": [(1000 * np.array(joints)).tolist(), meshes],
        "20 joints": [[hand[:20] for hand in joints], meshes],
        "text": [[["a"] * 21] * HANDS, meshes],
    }


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("one list", "holds 24 lists; expected two"),
        ("no json", "is no JSON"),
        (
            "missing",
            r"joints of 23 hands, the evaluation set of FreiHAND has 24: hands are missing",
        ),
        ("doubled", r"joints of 25 hands, the evaluation set of FreiHAND has 24: .*or doubled"),
        ("unequal", "vertices of 22 hands"),
        ("nan", "joints of 1 hand are not finite, the first is hand 3"),
        ("millimetres", r"read in m, as .* the joints of a hand are \d+ m across, in mm 0\.\d+ m"),
        ("20 joints", r"joints of hand 0 are \(20, 3\), expected \(21, 3\) numbers"),
        ("text", "joints of hand 0 are no equally long lists of numbers"),
    ],
)
def test_what_is_no_submission_is_refused(
    tmp_path: Path, truth: Submission, fault: str, message: str
) -> None:
    path, form = tmp_path / "pred.json", FORMATS["freihand"]
    write_submission(path, form, truth, INDEX)
    content = spoil(json.loads(path.read_text()))[fault]
    path.write_text("[1, 2" if content is None else json.dumps(content))
    with pytest.raises(ImportedError, match=message):
        read_submission(path, form, INDEX)


def test_as_many_hands_as_another_version_has_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "pred.json"
    path.write_text(json.dumps([[[]] * 11_524, [[]] * 11_524]))
    with pytest.raises(
        ImportedError, match=r"11,524 hands, .* HO-3D v3 has 20,137: as many as HO-3D v2"
    ):
        read_submission(path, FORMATS["ho3d_v3"], np.arange(20_137))


@pytest.mark.parametrize(("written", "read"), [("freihand", "ho3d_v2"), ("ho3d_v2", "freihand")])
def test_the_other_benchmarks_axes_are_refused(
    tmp_path: Path, truth: Submission, written: str, read: str
) -> None:
    write_submission(tmp_path / "pred.json", FORMATS[written], truth, INDEX)
    with pytest.raises(ImportedError, match=r"100% of the hands lie behind the camera.*Negate y"):
        read_submission(tmp_path / "pred.json", FORMATS[read], INDEX)


@pytest.mark.parametrize(("name", "other"), [("freihand", "mano"), ("ho3d_v3", "handpose")])
def test_joints_in_another_order_are_refused(
    tmp_path: Path, truth: Submission, name: str, other: str
) -> None:
    """The signature is joints far worse than their mesh after Procrustes; both are stated."""
    form = FORMATS[name]
    found = predicted(truth)
    check_order(tmp_path, form, found, truth.joints)
    wrong = Submission(found.joints[:, ORDERS[form.joint_order]], found.vertices)
    if name == "freihand":
        wrong = Submission(found.joints[:, np.argsort(ORDERS[other])], found.vertices)
    with pytest.raises(ImportedError, match=rf"read as .*'{other}'.* mm"):
        check_order(tmp_path, form, wrong, truth.joints)


def test_lines_are_read_by_number_and_refused_by_line(tmp_path: Path, truth: Submission) -> None:
    path, form = tmp_path / "pred.txt", FORMATS["dexycb_s1"]
    write_submission(path, form, truth, INDEX)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(reversed(lines)))
    np.testing.assert_allclose(read_submission(path, form, INDEX).joints, truth.joints, atol=6e-8)
    for spoilt, message in (
        ([*lines, lines[4]], "pred.txt:25: frame 4 has two lines"),
        (lines[:-3], "3 frames with a hand have no line, the first is 21. Is it of another setup"),
        ([lines[0], lines[1][:50]], "pred.txt:2: expected the number of a frame and 63"),
    ):
        path.write_text("\n".join(spoilt))
        with pytest.raises(ImportedError, match=message):
            read_submission(path, form, INDEX)

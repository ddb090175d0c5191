"""FreiHAND as it is written -> neutral annotations, and every doubt about its lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.data.merged.fit_form import in_mano_form
from handpose.data.splits import TRAIN
from handpose.freihand.lists import FreiHandError
from handpose.freihand.reader import EVALUATION, TRAINING, FreiHandReader
from handpose.hand.mano import Mano
from stages.ingestion.fit_distance import fitted_joints
from tests.freihand.made_up_freihand import write_freihand


def change(root: Path, name: str, function: Callable[[list[Any]], list[Any] | None]) -> None:
    path = root / f"evaluation_{name}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(function(content) or content))


@pytest.fixture
def root(tmp_path: Path, mano: Mano) -> Path:
    write_freihand(tmp_path, mano, training=3, photos=False)
    return tmp_path


def test_joints_are_as_written_and_fits_pose_them(tmp_path: Path, mano: Mano) -> None:
    hands = write_freihand(tmp_path, mano, photos=False)["evaluation"]
    rows, decision = in_mano_form(FreiHandReader(tmp_path).read(EVALUATION).usable, mano)
    np.testing.assert_allclose(rows.hands().joints, hands.joints, atol=1e-12)
    posed = fitted_joints(rows.hands().fit, rows.is_left(), mano, rows.form.tips)
    np.testing.assert_allclose(posed, hands.joints, atol=2e-6)
    np.testing.assert_allclose(rows.hands().fit.transl, hands.transl, atol=2e-6)
    assert decision is not None and not decision.is_turned
    assert decision.as_given[1] < 0.01 and decision.fits == 24


def test_roots_of_another_camera_are_turned_onto_the_joints_and_reported(
    tmp_path: Path, mano: Mano
) -> None:
    """Pose and shape are of the hand, its root rotation of another camera."""
    from scipy.spatial.transform import Rotation

    hands = write_freihand(tmp_path, mano, photos=False)["evaluation"]
    world = Rotation.from_rotvec([0.3, -0.8, 0.2])

    def turn(entries: list[Any]) -> None:
        for entry in entries:
            entry[0][:3] = (world * Rotation.from_rotvec(entry[0][:3])).as_rotvec().tolist()

    change(tmp_path, "mano", turn)
    rows, decision = in_mano_form(FreiHandReader(tmp_path).read(EVALUATION).usable, mano)
    assert decision is not None and decision.is_turned
    assert decision.as_given[0] > 20 and decision.turned[0] < 0.01
    assert decision.turn_deg[0] == pytest.approx(np.rad2deg(world.magnitude()), abs=0.05)
    assert "are taken turned: joints are" in str(decision)
    posed = fitted_joints(rows.hands().fit, rows.is_left(), mano, "freihand")
    np.testing.assert_allclose(posed, hands.joints, atol=5e-6)


def test_every_version_of_a_training_hand_is_a_photo_of_it(root: Path) -> None:
    reader = FreiHandReader(root, training=True)
    assert [split.evaluated_as for split in reader.splits()] == ["freihand", TRAIN]
    rows = reader.read(TRAINING).usable
    images = rows.table["image"].to_pylist()
    assert images == [f"training/rgb/{k:08d}.jpg" for k in range(12)]
    joints = rows.hands().joints
    np.testing.assert_array_equal(joints[:3], joints[9:])
    assert set(FreiHandReader(root).files()) < set(reader.files())


def test_the_truth_is_that_of_the_files(tmp_path: Path, mano: Mano) -> None:
    hands = write_freihand(tmp_path, mano, photos=False)["evaluation"]
    truth = FreiHandReader(tmp_path).truth()
    np.testing.assert_allclose(truth.joints, hands.joints)
    assert truth.vertices is not None
    np.testing.assert_allclose(truth.vertices, hands.vertices)
    assert len(set(truth.unit.tolist())) == 24 and truth.official.tolist() == list(range(24))


def test_a_hand_that_is_not_a_number_stays_one_and_a_fit_is_not_used(root: Path) -> None:
    change(root, "xyz", lambda hands: hands[2][5].__setitem__(1, float("nan")))
    change(root, "mano", lambda hands: hands[4][0].__setitem__(50, float("nan")))
    rows = FreiHandReader(root).read(EVALUATION).usable
    assert np.isnan(rows.hands().joints[2]).any()
    assert (rows.table["fit_at"].to_numpy() < 0).nonzero()[0].tolist() == [4]


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("xyz", lambda hands: hands[:-1], "different lengths, so hands are missing or doubled"),
        ("K", lambda hands: [*hands, hands[0]], "evaluation_K.json 25, evaluation_xyz.json 24"),
        (
            "xyz",
            lambda hands: [[[1000 * x for x in joint] for joint in hand] for hand in hands],
            r"read as metres, as FreiHAND's are, hands are \d+ m across, as millimetres 0\.\d+ m",
        ),
        ("xyz", lambda hands: [hand[::-1] for hand in hands], "contradict each other"),
        ("scale", lambda hands: [2 * bone for bone in hands], "Is one of another set"),
        (
            "K",
            lambda hands: [[[3 * x for x in row] for row in K[:2]] + [K[2]] for K in hands],
            r"\d+% of the joints lie in the photos of 224 x 224 px",
        ),
        ("xyz", lambda hands: [hand[:20] for hand in hands], r"entry 0: expected 21 x 3 numbers"),
        ("K", lambda hands: ["?", *hands[1:]], "entry 0: expected 3 x 3 numbers, found '?'"),
    ],
)
def test_lists_that_contradict_each_other_are_refused(
    root: Path, name: str, function: Callable[[list[Any]], list[Any]], message: str
) -> None:
    change(root, name, function)
    with pytest.raises(FreiHandError, match=message):
        FreiHandReader(root).read(EVALUATION)


def test_a_list_that_is_missing_or_damaged_is_named(root: Path) -> None:
    path = root / "evaluation_xyz.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(FreiHandError, match=re.escape(f"{path}: is no JSON")):
        FreiHandReader(root).read(EVALUATION)
    path.unlink()
    with pytest.raises(FreiHandError, match=r"not found; expected FreiHAND's lists beside"):
        FreiHandReader(root).read(EVALUATION)


def test_meshes_of_another_set_are_refused(root: Path) -> None:
    change(root, "verts", lambda meshes: meshes[:20])
    with pytest.raises(FreiHandError, match="holds 20 hands, the other lists 24"):
        FreiHandReader(root).truth()

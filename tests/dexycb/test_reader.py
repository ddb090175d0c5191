"""DexYCB as it is written -> neutral annotations; the splits s0 to s3."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from handpose.data.merged.fit_form import in_mano_form
from handpose.dexycb import sequences
from handpose.dexycb.reader import DexYcbReader
from handpose.dexycb.sequences import EVERYONE, SERIALS, DexYcbError, Part, Setup, members
from handpose.hand.mano import Mano
from stages.ingestion.fit_distance import fitted_joints
from tests.dexycb.made_up_dexycb import FRAMES, write_dexycb
from tests.freihand.made_up_hands import MadeUpHands

TESTED = (7, 8)  # the people of s1's test set
SEQUENCES = 4


@pytest.fixture
def hands(tmp_path: Path, mano: Mano, monkeypatch: pytest.MonkeyPatch) -> MadeUpHands:
    """DexYCB in the current test's folder, of s1's test people with four sequences each."""
    monkeypatch.setattr(sequences, "SEQUENCES", SEQUENCES)
    return write_dexycb(tmp_path, mano, TESTED, SEQUENCES)


def test_right_hands_are_posed_onto_their_joints_and_left_ones_have_no_fit(
    tmp_path: Path, mano: Mano, hands: MadeUpHands
) -> None:
    reader = DexYcbReader(tmp_path, setup="s1")
    found = reader.read(reader.splits()[0])
    rows, _ = in_mano_form(found.usable, mano)
    here = rows.hands()
    np.testing.assert_array_equal(here.has_mano, ~here.is_left)
    posed = fitted_joints(here.fit, here.is_left, mano, "intaghand")
    right = ~here.is_left
    np.testing.assert_allclose(posed[right], here.joints[right], atol=3e-6)
    sequence = rows.table["annotation_id"].to_numpy() // (FRAMES * len(SERIALS))
    np.testing.assert_array_equal(here.joints, hands.joints[sequence])
    np.testing.assert_allclose(
        here.fit.hand_pose[right], hands.hand_pose[sequence[right]], atol=1e-6
    )


def test_frames_without_a_hand_are_rejected_and_numbers_stay_official(
    tmp_path: Path, hands: MadeUpHands
) -> None:
    reader = DexYcbReader(tmp_path, setup="s1")
    found = reader.read(reader.splits()[0])
    numbers = sorted(found.usable.table["annotation_id"].to_pylist())
    lacking = [k * FRAMES * len(SERIALS) + 1 for k in range(len(hands.joints))]
    assert found.rejected["annotation_id"].to_pylist() == lacking
    assert set(found.rejected["reason"].to_pylist()) == {"not_annotated"}
    whole = len(hands.joints) * FRAMES * len(SERIALS)
    assert sorted([*numbers, *lacking]) == list(range(whole))
    truth = reader.truth()
    assert truth.official.tolist() == numbers and truth.vertices is None
    assert set(truth.unit.tolist()) == {8, 9}


def test_frames_are_ordered_camera_by_camera_as_the_toolkit_does(
    tmp_path: Path, hands: MadeUpHands
) -> None:
    reader = DexYcbReader(tmp_path, setup="s1")
    rows = reader.read(reader.splits()[0]).usable.table.to_pydict()
    first = dict(zip(rows["annotation_id"], rows["image"], strict=True))
    folder = "20201002-subject-08/20200709_140000"
    assert first[0] == f"{folder}/{SERIALS[0]}/color_000000.jpg"
    assert first[3] == f"{folder}/{SERIALS[1]}/color_000001.jpg"


@pytest.mark.parametrize("setup", ["s0", "s1", "s2", "s3"])
def test_a_split_shares_nothing_with_the_other(setup: Setup) -> None:
    parts: dict[Part, set[tuple[int, int, int]]] = {}
    for part in ("train", "test"):
        chosen = members(setup, part)
        parts[part] = {
            (s, c, q) for s in chosen.subjects for c in chosen.cameras for q in chosen.sequences
        }
    assert not parts["train"] & parts["test"]


def test_what_each_setup_holds_out() -> None:
    train, test = (members("s1", part) for part in ("train", "test"))
    assert set(train.subjects) | set(test.subjects) | {6} == set(EVERYONE)
    assert members("s2", "test").cameras == (7,)
    objects = {part: {q // 5 for q in members("s3", part).sequences} for part in ("train", "test")}
    assert objects["test"] == {7, 11, 15} and len(objects["train"]) == 15
    sizes = {setup: len(members(setup, "test").sequences) for setup in ("s0", "s1", "s3")}
    assert sizes == {"s0": 20, "s1": 100, "s3": 15}
    tests = [str(members(setup, "test")) for setup in ("s0", "s1", "s2", "s3")]
    assert all(a != b for a, b in combinations(tests, 2))


def test_what_is_missing_is_named(tmp_path: Path, hands: MadeUpHands) -> None:
    reader = DexYcbReader(tmp_path, setup="s1")
    labels = next(tmp_path.glob("*subject-09/*/*/labels_000000.npz"))
    content = labels.read_bytes()
    labels.write_bytes(content[:200])
    with pytest.raises(DexYcbError, match=re.escape(f"{labels}: is not a readable npz")):
        reader.read(reader.splits()[0])
    labels.unlink()
    with pytest.raises(DexYcbError, match=re.escape(f"{labels}: not found; meta.yml counts it")):
        reader.read(reader.splits()[0])
    (tmp_path / "20201015-subject-09" / "extra").mkdir()
    with pytest.raises(DexYcbError, match="holds 5 sequences, expected 4"):
        reader.files()
    with pytest.raises(DexYcbError, match="20200820-subject-03: not found"):
        DexYcbReader(tmp_path, setup="s0").files()

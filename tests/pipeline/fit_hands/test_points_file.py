"""What `handpose fit` takes, and in which words it refuses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.fit_hands.points_file import HandPoints, PointsError
from tests.wrong_files import WRONG, spoil

HANDS = 0.15 * np.random.default_rng(0).uniform(size=(3, 21, 3))  # m
FACTORS = np.array([1, 1000, 1])[:, None, None]
"""One hand in millimetres among metres."""

K = np.array([[900.0, 0, 256], [0, 900, 167], [0, 0, 1]])


def read(path: Path, **options: Any) -> HandPoints:
    return HandPoints.read(path, **{"unit": "m", "side": None, "K": None} | options)


def saved(folder: Path, points: Any, **others: Any) -> Path:
    np.savez(folder / "hands.npz", points=points, **others)
    return folder / "hands.npz"


def test_every_kind_of_file_holds_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", HANDS)
    np.savez(tmp_path / "b.npz", HANDS)  # one array, whatever its name
    (tmp_path / "c.json").write_text(json.dumps(HANDS.tolist()), "utf-8")
    (tmp_path / "d.json").write_text(json.dumps({"points": HANDS.tolist(), "more": 1}), "utf-8")
    for name in ("a.npy", "b.npz", "c.json", "d.json"):
        found = read(tmp_path / name)
        assert (found.kind, len(found)) == ("joints", 3)
        torch.testing.assert_close(found.points, torch.from_numpy(HANDS))
        assert not found.is_left.any() and found.K is None


def test_one_hand_is_a_batch_of_one(tmp_path: Path) -> None:
    assert len(read(saved(tmp_path, HANDS[0]))) == 1


def test_millimetres_become_metres(tmp_path: Path) -> None:
    found = read(saved(tmp_path, 1000 * HANDS), unit="mm")
    torch.testing.assert_close(found.points, torch.from_numpy(HANDS))


def test_sides_and_cameras_of_the_file_and_of_the_command(tmp_path: Path) -> None:
    uv = 100 * HANDS[..., :2]
    path = saved(tmp_path, uv, is_left=[True, False, True], K=K)
    found = read(path)
    assert found.kind == "pixels" and found.is_left.tolist() == [True, False, True]
    assert found.K is not None and found.K.shape == (3, 3, 3)
    given = read(path, side="left", K=K * [[2], [2], [1]])
    assert given.is_left.all() and given.K is not None and float(given.K[0, 0, 0]) == 1800
    assert given.sample(2).is_left.tolist() == [True, True]


@pytest.mark.parametrize(
    ("points", "options", "words"),
    [
        (1000 * HANDS, {}, ["read as m", "as mm", "give --unit mm"]),
        (HANDS, {"unit": "mm"}, ["read as mm", "as m ", "give --unit m"]),
        (50 * HANDS, {}, ["expected 0.04 to 0.4 m"]),
        (HANDS * FACTORS, {}, [r"hand 1, read as m, is 1\d\d m", "1 of 3 hands"]),
        (HANDS[:, :20], {}, [r"shape \(3, 20, 3\)", r"expected an array of shape \(N, 21, 3\)"]),
        (np.where(np.arange(3)[:, None, None] == 1, np.nan, HANDS), {}, ["hand 1 holds", "1 of 3"]),
        (0 * HANDS, {}, ["all points of hand 0 are one"]),
        (HANDS[:0], {}, ["no hand"]),
        (np.array(["a"]), {}, ["no array of numbers"]),
        (HANDS, {"K": K}, ["need no --intrinsics"]),
        (100 * HANDS[..., :2], {}, ["give --intrinsics"]),
        (HANDS[..., :2], {"K": K}, ["fractions of an image"]),
        (100 * HANDS[..., :2], {"K": K * np.array([[-1], [1], [1]])}, ["of no camera"]),
        (100 * HANDS[..., :2], {"K": K * [[-1], [-1], [1]]}, ["focal lengths must be above 0"]),
        (100 * HANDS[..., :2], {"K": K * [[1e9], [1], [1]]}, ["a number above 1,000,000 px"]),
        (1e5 * HANDS[..., :2] * FACTORS, {"K": K}, ["hand 1 is more than 1,000,000 px", "1 of 3"]),
        (100 * HANDS[..., :2], {"K": K[[0, 1, 1]]}, [r"last row is \(0, 900, 167\), expected"]),
        (100 * HANDS[..., :2], {"K": K[:2]}, ["K has shape"]),
    ],
)
def test_refusals_say_what_was_found(
    tmp_path: Path, points: Any, options: dict[str, Any], words: list[str]
) -> None:
    path = saved(tmp_path, points)
    for word in words:
        with pytest.raises(PointsError, match=word):
            read(path, **options)


def test_a_side_for_each_hand(tmp_path: Path) -> None:
    with pytest.raises(PointsError, match=r"is_left has shape \(2,\)"):
        read(saved(tmp_path, HANDS, is_left=[True, False]))


@pytest.mark.parametrize(
    ("sides", "found"),
    [
        (["left", "right", "left"], "'left' of hand 0"),
        (["False", "True", "False"], "'False' of hand 0"),
        ([True, "left", False], "'left' of hand 1"),
        ([0, 1, 2], "2 of hand 2"),
        ([0, None, 1], "None of hand 1"),
    ],
)
def test_a_side_in_other_words_is_refused(tmp_path: Path, sides: list[Any], found: str) -> None:
    path = tmp_path / "hands.json"
    path.write_text(json.dumps({"points": HANDS.tolist(), "is_left": sides}), "utf-8")
    with pytest.raises(PointsError, match=f"is_left holds {found}, expected true or false for eac"):
        read(path)
    if len({type(side) for side in sides}) == 1:
        with pytest.raises(PointsError, match=f"is_left holds {found}"):
            read(saved(tmp_path, HANDS, is_left=sides))


@pytest.mark.parametrize("sides", [[True, False, True], [1, 0, 1]])
def test_sides_are_true_and_false_or_1_and_0(tmp_path: Path, sides: list[Any]) -> None:
    path = tmp_path / "hands.json"
    path.write_text(json.dumps({"points": HANDS.tolist(), "is_left": sides}), "utf-8")
    for file in (path, saved(tmp_path, HANDS, is_left=sides)):
        found = read(file).is_left
        assert found.dtype == torch.bool and found.tolist() == [True, False, True]


ROWS = HANDS.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"points": [\n [1, 2,, 3]]}', r"is not JSON at line 2, column 8: Expecting value; exp"),
        ('{"joints": [], "sides": []}', "holds joints, sides, no points"),
        ("{}", "holds nothing, no points"),
        (json.dumps([*ROWS[:2], ROWS[2][:20]]), r"hand 2 has shape \(20, 3\), hand 0 has \(21, 3"),
        (json.dumps([ROWS[0], [*ROWS[1][:20], [0, 1]]]), "the rows of hand 1 differ in length"),
        (json.dumps([*ROWS[0][:20], [0, 1]]), r"row 20 has shape \(2,\), row 0 has \(3,\)"),
        ("[" * 100_000, "cannot be read|is JSON"),
    ],
)
def test_the_place_of_a_fault_in_json_is_reported(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "hands.json").write_text(content, "utf-8")
    with pytest.raises(PointsError, match=message):
        read(tmp_path / "hands.json")


def test_a_header_that_announces_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "hands.npy", HANDS)
    content = (tmp_path / "hands.npy").read_bytes()
    old, new = b"(3, 21, 3), }" + b" " * 12, b"(3000000000000, 21, 3), }"
    assert content.count(old) == 1
    (tmp_path / "hands.npy").write_bytes(content.replace(old, new))
    with pytest.raises(PointsError, match=r"cannot be read .*Unable to allocate"):
        read(tmp_path / "hands.npy")


def test_no_file_a_folder_and_no_points(tmp_path: Path) -> None:
    with pytest.raises(PointsError, match="not found"):
        read(tmp_path / "a.npy")
    with pytest.raises(PointsError, match="is a folder"):
        read(tmp_path)
    np.savez(tmp_path / "a.npz", K=K, other=HANDS)
    with pytest.raises(PointsError, match="holds K, other, no points"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "zip"])
def test_a_download_that_went_wrong_is_recognised(tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "hands.npy", HANDS)
    spoil(tmp_path / "hands.npy", kind)
    with pytest.raises(PointsError) as raised:
        read(tmp_path / "hands.npy")
    assert WRONG[kind] in str(raised.value)

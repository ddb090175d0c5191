import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smplx
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from handpose.hand.joint_definition import TIP_VERTICES
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FINGERS, MANO_JOINTS, MANO_PARENTS
from handpose.synthetic.stand_in import MODEL_NAME, SHAPE_STEPS, build, mirrored
from handpose.synthetic.stand_in_mesh import NUMBERED_AS

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def right(stand_in: Path) -> Arrays:
    return dict(np.load(stand_in / "MANO_RIGHT.npz"))


@pytest.fixture(scope="module")
def left(stand_in: Path) -> Arrays:
    return dict(np.load(stand_in / "MANO_LEFT.npz"))


def edges(faces: NDArray[Any]) -> NDArray[np.int64]:
    """Directed edges of the faces, (3F, 2)."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)


def test_building_twice_gives_the_same_bytes(right: Arrays) -> None:
    again = build()
    assert {key: again[key].tobytes() for key in again} == {
        key: right[key].tobytes() for key in right
    }


def test_the_file_says_that_it_is_not_mano(right: Arrays, left: Arrays) -> None:
    assert str(right["model_name"]) == str(left["model_name"]) == MODEL_NAME
    assert "not MANO" in MODEL_NAME


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_mesh_is_one_manifold_disk_open_at_the_wrist(
    side: str, request: pytest.FixtureRequest
) -> None:
    model: Arrays = request.getfixturevalue(side)
    faces = model["f"]
    assert faces.shape == (1538, 3) and model["v_template"].shape == (778, 3)
    assert set(faces.ravel().tolist()) == set(range(778))
    directed = edges(faces)
    assert len({tuple(e) for e in directed.tolist()}) == len(directed)  # orientations agree
    undirected, uses = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert uses.max() == 2
    assert 778 - len(undirected) + 1538 == 1  # Euler characteristic of a disk
    boundary = undirected[uses == 1]
    assert len(boundary) == 16
    follow = {a: b for a, b in directed.tolist() if sorted((a, b)) in boundary.tolist()}
    loop = [next(iter(follow))]
    while follow[loop[-1]] != loop[0]:
        loop.append(follow[loop[-1]])
    assert len(loop) == 16
    behind = np.abs(model["v_template"][loop, 0]).min()  # the wrist's end is the far one
    assert behind > np.abs(model["J"][0, 0])


@pytest.mark.parametrize("side", ["right", "left"])
def test_faces_look_outward(side: str, request: pytest.FixtureRequest) -> None:
    model: Arrays = request.getfixturevalue(side)
    a, b, c = np.moveaxis(model["v_template"][model["f"].astype(int)], 1, 0)
    # the open wrist lies in a plane; seen from there the cones to all faces fill the volume
    wrist = model["v_template"][:, 0].max() if side == "right" else model["v_template"][:, 0].min()
    origin = np.array([wrist, 0.0, 0.0])
    volume = np.einsum("fi,fi->f", a - origin, np.cross(b - origin, c - origin)).sum() / 6
    assert 2e-4 < volume < 5e-4  # m3: a human hand is about 0.35 litres


def test_no_triangle_is_degenerate_or_folded_over(right: Arrays) -> None:
    v, f = right["v_template"], right["f"].astype(int)
    normal = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    area = np.linalg.norm(normal, axis=1) / 2
    assert area.min() > 1e-6  # 1 mm2
    normal /= 2 * area[:, None]
    owner = {tuple(edge): k % len(f) for k, edge in enumerate(edges(f).tolist())}
    pairs = [(face, owner[b, a]) for (a, b), face in owner.items() if (b, a) in owner]
    i, j = np.array(pairs).T
    cosine = (normal[i] * normal[j]).sum(axis=1)
    assert np.mean(cosine < 0) < 0.01 and cosine.min() > -0.9


def test_axes_are_manos(right: Arrays, left: Arrays) -> None:
    joints = dict(zip(MANO_JOINTS, right["J"], strict=True))
    fingers = [joints[f"{finger}_3"] - joints["wrist"] for finger in FINGERS[1:]]
    assert all(finger[0] < 0 and abs(finger[0]) > np.abs(finger[1:]).max() for finger in fingers)
    across = [joints[f"{finger}_1"][2] for finger in ("thumb", "index", "middle", "ring", "pinky")]
    assert across[1:] == sorted(across[1:], reverse=True) and across[0] > across[2]  # thumb to +z
    tips = right["v_template"][list(TIP_VERTICES["smplx"])]
    flexed = Rotation.from_rotvec(right["hands_mean"].reshape(15, 3)[3]).apply(
        tips[2] - joints["middle_1"]
    )
    assert flexed[1] < (tips[2] - joints["middle_1"])[1] - 0.02  # bending leads to the palm, -y
    np.testing.assert_array_equal(left["J"], right["J"] * [-1, 1, 1])


def test_kinematic_tree_is_manos(right: Arrays) -> None:
    assert right["kintree_table"][0].tolist() == [2**32 - 1, *MANO_PARENTS[1:]]
    assert right["kintree_table"][1].tolist() == list(range(16))


def test_fingertip_ids_of_all_sources_are_at_the_tips(right: Arrays) -> None:
    v = right["v_template"]
    neighbours: dict[int, set[int]] = {}
    for a, b in edges(right["f"]).tolist():
        neighbours.setdefault(a, set()).add(b)
    for k, finger in enumerate(FINGERS):
        last = right["J"][MANO_JOINTS.index(f"{finger}_3")]
        bone = last - right["J"][MANO_JOINTS.index(f"{finger}_2")]
        reach = (v - last) @ bone / np.linalg.norm(bone)
        own = right["weights"][:, MANO_JOINTS.index(f"{finger}_3")] > 0.5
        tip = TIP_VERTICES["smplx"][k]
        assert tip == np.flatnonzero(own)[reach[own].argmax()]
        for source in NUMBERED_AS:
            ids = TIP_VERTICES[source]
            assert ids[k] == tip or ids[k] in neighbours[tip]


def test_weights_are_shares(right: Arrays) -> None:
    assert right["weights"].min() >= 0
    np.testing.assert_allclose(right["weights"].sum(axis=1), 1, atol=1e-12)
    assert (right["weights"].max(axis=0) > 0.9).all()  # every bone carries some skin


def test_the_regressor_finds_the_designed_joints(right: Arrays) -> None:
    regressor = right["J_regressor"]
    assert regressor.min() >= 0
    np.testing.assert_allclose(regressor.sum(axis=1), 1, atol=1e-12)
    error = np.linalg.norm(regressor @ right["v_template"] - right["J"], axis=1)
    assert error.max() < 0.5e-3


def test_the_shape_directions_do_what_their_names_say(right: Arrays) -> None:
    """Lengths of a hand at +1 and -1 of each beta, as far as joints determine them."""

    def lengths(key: str, beta: float) -> dict[str, float]:
        k = list(SHAPE_STEPS).index(key)
        joints = right["J_regressor"] @ (right["v_template"] + beta * right["shapedirs"][:, :, k])
        j = dict(zip(MANO_JOINTS, joints, strict=True))
        return {
            "finger_length": float(np.linalg.norm(j["middle_3"] - j["middle_1"])),
            "palm_length": float(np.linalg.norm(j["middle_1"] - j["wrist"])),
            "palm_width": float(np.linalg.norm(j["index_1"] - j["pinky_1"])),
            "thumb_length": float(np.linalg.norm(j["thumb_3"] - j["thumb_1"])),
            "pinky_length": float(np.linalg.norm(j["pinky_3"] - j["pinky_1"])),
        }

    for key in ("finger_length", "palm_length", "palm_width", "thumb_length", "pinky_length"):
        plain, more, less = (lengths(key, beta)[key] for beta in (0, 1, -1))
        step = SHAPE_STEPS[key]
        assert more / plain == pytest.approx(1 + step, abs=0.3 * step)
        assert less / plain == pytest.approx(1 - step, abs=0.3 * step)


def test_the_shape_directions_are_ten_and_visible(right: Arrays) -> None:
    directions = right["shapedirs"].reshape(-1, 10)
    assert np.linalg.matrix_rank(directions) == 10
    largest = np.linalg.norm(right["shapedirs"], axis=1).max(axis=0)  # (10,) m
    assert largest.min() > 0.5e-3 and largest.max() < 10e-3


def test_interhands_repair_of_the_left_hand_does_not_fire(right: Arrays, left: Arrays) -> None:
    assert np.abs(left["shapedirs"][:, 0] - right["shapedirs"][:, 0]).sum() > 1


def test_mirroring_twice_is_identity(right: Arrays) -> None:
    again = mirrored(mirrored(right))
    for key, array in right.items():
        np.testing.assert_array_equal(again[key], array, err_msg=key)


def test_correctives_keep_a_bent_knuckle_from_collapsing(mano: Mano, right: Arrays) -> None:
    """Height of the skin over the middle joint of a finger bent by 90 degrees."""
    pose = torch.zeros(1, 45)
    pose[0, 14] = np.pi / 2  # middle_2, about z
    rotations = mano.rotations(pose - mano.hands_mean)
    betas = torch.zeros(1, 10)
    bent = mano(torch.eye(3)[None], rotations, betas).vertices[0].numpy()
    bare = Mano(right | {"posedirs": np.zeros_like(right["posedirs"])})
    skinned = bare(torch.eye(3)[None], rotations, betas).vertices[0].numpy()
    joint = right["J"][MANO_JOINTS.index("middle_2")]
    over = np.linalg.norm(right["v_template"] - joint - [0, 0.01, 0], axis=1).argmin()
    rest, without, with_ = (
        float(np.linalg.norm(v[over] - joint)) for v in (right["v_template"], skinned, bent)
    )
    assert without < 0.8 * rest  # plain skinning flattens it
    assert 0.85 * rest < with_ < 1.05 * rest


@pytest.mark.parametrize("is_rhand", [True, False])
def test_unmodified_smplx_loads_both_hands(stand_in: Path, tmp_path: Path, is_rhand: bool) -> None:
    (tmp_path / "mano").symlink_to(stand_in)
    with contextlib.redirect_stdout(io.StringIO()):
        created = smplx.create(
            str(tmp_path), "mano", ext="npz", is_rhand=is_rhand, use_pca=False, flat_hand_mean=True
        )
        layer = smplx.MANOLayer(str(stand_in), ext="npz", is_rhand=is_rhand)
    assert created.is_rhand == layer.is_rhand == is_rhand
    with torch.no_grad():
        flat = created()
        eye = torch.eye(3).expand(1, 16, 3, 3)
        same = layer(global_orient=eye[:, :1], hand_pose=eye[:, 1:], betas=torch.zeros(1, 10))
    template = np.load(stand_in / f"MANO_{'RIGHT' if is_rhand else 'LEFT'}.npz")["v_template"]
    np.testing.assert_allclose(flat.vertices[0], template, atol=1e-6)
    np.testing.assert_allclose(same.vertices[0], template, atol=1e-6)

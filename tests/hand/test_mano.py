import contextlib
import copy
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import smplx
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import SHAPES, KinematicTree, Mano, ManoError, edges_of, side_of
from handpose.hand.mirror import mirror_axis_angle, mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import MANO_PARENTS
from tests.wrong_files import WRONG, apply_remedy, spoil

EXACT = 1e-6  # metres: a thousandth of a millimetre

Parameters = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def parameters() -> Parameters:
    """global_orient (6, 3), hand_pose (6, 45) and betas (6, 10) of six random hands."""
    rng = torch.Generator().manual_seed(0)
    return (
        torch.randn(6, 3, generator=rng),
        0.5 * torch.randn(6, 45, generator=rng),
        torch.randn(6, 10, generator=rng),
    )


def load_smplx(folder: Path, is_rhand: bool) -> smplx.MANO:
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.MANO(str(folder), ext="npz", use_pca=False, is_rhand=is_rhand, batch_size=6)


def skinned(
    file: Path, turns: NDArray[np.float64], betas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """MANO's equations once more, for one hand in float64 and with 4x4 matrices: (778, 3).

    `turns` (16, 3) are the axis-angles of all joints, root first, with hands_mean added.
    """
    m = np.load(file)
    rotation = Rotation.from_rotvec(turns).as_matrix()  # (16, 3, 3)
    shaped = m["v_template"] + m["shapedirs"] @ betas
    joints = m["J_regressor"] @ shaped
    corrected = shaped + m["posedirs"] @ (rotation[1:] - np.eye(3)).ravel()
    transform = np.tile(np.eye(4), (16, 1, 1))
    for j, parent in enumerate(MANO_PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotation[j]
        local[:3, 3] = joints[j] - (joints[parent] if j else 0)
        transform[j] = transform[parent] @ local if j else local
    vertices = np.zeros((778, 3))
    for j in range(16):
        from_joint = np.c_[corrected - joints[j], np.ones(778)]  # (778, 4)
        vertices += m["weights"][:, j, None] * (from_joint @ transform[j].T)[:, :3]
    return vertices


def test_vertices_agree_with_independent_forward_kinematics(
    mano: Mano, stand_in: Path, parameters: Parameters
) -> None:
    root, pose, betas = parameters
    vertices = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas).vertices
    mean = np.load(stand_in / "MANO_RIGHT.npz")["hands_mean"]
    for b in range(6):
        turns = np.concatenate([root[b].numpy(), pose[b].numpy() + mean]).reshape(16, 3)
        expected = skinned(stand_in / "MANO_RIGHT.npz", turns, betas[b].double().numpy())
        np.testing.assert_allclose(vertices[b].numpy(), expected, atol=EXACT)


def test_hands_mean_is_added_exactly_once(
    mano: Mano, stand_in: Path, parameters: Parameters
) -> None:
    root, pose, betas = parameters
    interhand = load_smplx(stand_in, is_rhand=True)  # as InterHand2.6M's own scripts do
    expected = interhand(global_orient=root, hand_pose=pose, betas=betas).vertices
    found = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas).vertices
    torch.testing.assert_close(found, expected, atol=EXACT, rtol=0)
    assert mano.hands_mean.abs().max() > 0.3  # so that forgetting it would show


def test_a_mirrored_right_hand_is_smplxs_own_left_hand(
    mano: Mano, stand_in: Path, parameters: Parameters
) -> None:
    root, pose, betas = parameters
    all_left = torch.ones(6, dtype=torch.bool)
    left = load_smplx(stand_in, is_rhand=False)
    expected = left(global_orient=root, hand_pose=pose, betas=betas).vertices
    root = mirror_axis_angle(root, all_left)
    pose = mirror_axis_angle(pose.view(6, 15, 3), all_left).view(6, 45)
    right = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas).vertices
    torch.testing.assert_close(mirror_points(right, all_left), expected, atol=EXACT, rtol=0)


def test_a_hand_has_its_wrist_at_the_origin_and_left_is_the_mirror_image(
    mano: Mano, parameters: Parameters
) -> None:
    right = mano.hand(*parameters, torch.zeros(6, dtype=torch.bool))
    left = mano.hand(*parameters, torch.ones(6, dtype=torch.bool))
    assert right.joints[:, 0].abs().max() == 0
    mirror = torch.tensor([-1.0, 1, 1])
    for r, le in zip(right, left, strict=True):
        assert torch.equal(le, r * mirror)


def test_joints_found_in_the_skin_follow_the_bones(
    mano: Mano, stand_in: Path, parameters: Parameters
) -> None:
    root, pose, betas = parameters
    posed = load_smplx(stand_in, is_rhand=True)(
        global_orient=root, hand_pose=0.5 * pose, betas=betas
    )
    regressed = mano.J_regressor @ posed.vertices  # (6, 16, 3)
    assert (regressed - posed.joints).norm(dim=-1).max() < 3e-3


def test_the_root_turns_the_mesh_about_the_rest_wrist(mano: Mano, parameters: Parameters) -> None:
    root, pose, betas = parameters
    still = mano(torch.eye(3).expand(6, 3, 3), mano.rotations(pose), betas).vertices
    R = axis_angle_to_matrix(root)
    wrist = mano.rest_wrist(betas)[:, None]
    turned = (still - wrist) @ R.mT + wrist
    found = mano(R, mano.rotations(pose), betas).vertices
    torch.testing.assert_close(found, turned, atol=EXACT, rtol=0)
    assert wrist.std(dim=0).max() > 1e-3  # it moves with the shape, so betas must be heeded


def test_autocast_costs_no_precision(mano: Mano, parameters: Parameters) -> None:
    root, pose, betas = parameters
    R = axis_angle_to_matrix(root)
    exact = mano(R, mano.rotations(pose), betas)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = mano(R, mano.rotations(pose), betas)
    assert torch.equal(cast.vertices, exact.vertices) and torch.equal(cast.joints, exact.joints)


def test_gradients_reach_every_parameter(mano: Mano) -> None:
    root, pose, betas = (torch.zeros(2, n, requires_grad=True) for n in (3, 45, 10))
    mano.hand(root, pose, betas, torch.tensor([True, False])).joints.square().sum().backward()  # type: ignore[no-untyped-call]
    for x in (root, pose, betas):
        assert x.grad is not None and x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_nothing_of_the_model_enters_a_checkpoint_or_is_trained(mano: Mano) -> None:
    assert mano.state_dict() == {}
    assert list(mano.parameters()) == []
    moved = Mano(dict(_arrays())).to(torch.float64)
    assert {b.dtype for b in moved.buffers()} == {torch.float64, torch.int64}


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ManoError, match=r"MANO_RIGHT.npz: not found. `handpose mano import"
    ) as caught:
        Mano.load(tmp_path)
    assert "`handpose configure --profile interhand26m --mano FOLDER`" in str(caught.value)
    assert "`dvc repro synthesize`, in data/stand_in alone" in str(caught.value)


def test_the_file_itself_is_not_the_folder(stand_in: Path) -> None:
    with pytest.raises(ManoError, match=rf"is a file; expected the folder .* to {stand_in}$"):
        Mano.load(stand_in / "MANO_RIGHT.npz")


def test_a_file_that_is_no_npz_is_named(tmp_path: Path, stand_in: Path) -> None:
    path = tmp_path / "MANO_RIGHT.npz"
    whole = (stand_in / "MANO_RIGHT.npz").read_bytes()
    for content, reason in (
        (b"404: Not Found", r"is text \(14 bytes\) that begins with '404: Not Found'"),
        (whole[: len(whole) // 2], "is the beginning of a zip archive .* whose end is missing"),
        (pickle.dumps({}), "is a pickle of Python.* `handpose mano import DOWNLOAD` makes it"),
        (whole[:500] + bytes(500) + whole[1000:], "is not a readable npz file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ManoError, match=reason):
            Mano.load(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "zip"])
def test_a_file_of_another_kind_is_called_by_its_name_and_the_remedy_works(
    tmp_path: Path, stand_in: Path, kind: str
) -> None:
    path = Path(shutil.copy(stand_in / "MANO_RIGHT.npz", tmp_path))
    whole = path.read_bytes()
    spoil(path, kind)
    with pytest.raises(ManoError) as error:
        Mano.load(tmp_path)
    assert f"{path}: {WRONG[kind]}" in str(error.value)
    apply_remedy(str(error.value), path, whole)
    Mano.load(tmp_path)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_side_is_recognised_by_where_the_fingers_point(stand_in: Path, side: str) -> None:
    assert side_of(dict(np.load(stand_in / f"MANO_{side.upper()}.npz"))) == side
    joints = np.zeros((16, 3))
    joints[[0, 1, 4, 7, 10], 0] = [0.10, 0.01, 0.0, 0.03, 0.01]  # about MANO's own right hand's
    joints *= 1 if side == "right" else -1
    assert side_of({"J_regressor": np.eye(16), "v_template": joints}) == side


def test_a_left_hand_under_the_right_ones_name_is_refused(tmp_path: Path, stand_in: Path) -> None:
    shutil.copy(stand_in / "MANO_LEFT.npz", tmp_path / "MANO_RIGHT.npz")
    with pytest.raises(ManoError, match="holds a left hand, expected a right one"):
        Mano.load(tmp_path)


def test_all_wrong_arrays_are_listed_at_once(tmp_path: Path) -> None:
    arrays = dict(_arrays())
    arrays["v_template"] = np.zeros((777, 3))
    del arrays["hands_mean"]
    np.savez(tmp_path / "MANO_RIGHT.npz", allow_pickle=False, **arrays)
    with pytest.raises(ManoError) as error:
        Mano.load(tmp_path)
    assert "v_template is (777, 3), expected (778, 3)" in str(error.value)
    assert "hands_mean is missing, expected (45,)" in str(error.value)


def test_counts_are_a_hands_own_only_if_it_says_that_it_is_not_mano(
    tmp_path: Path, anny: Path
) -> None:
    with np.load(anny / "MANO_RIGHT.npz") as file:
        arrays = {key: file[key] for key in SHAPES}
    path = tmp_path / "MANO_RIGHT.npz"
    for name in ({}, {"model_name": np.array("a finer MANO")}):
        np.savez(path, allow_pickle=False, **arrays, **name)
        with pytest.raises(ManoError, match=r"v_template is \(1609, 3\), expected \(778, 3\)"):
            Mano.load(tmp_path)
    mine = {"model_name": np.array("my hand, not MANO")}
    np.savez(path, allow_pickle=False, **(arrays | mine))
    assert len(Mano.load(tmp_path).layer.v_template) == 1609
    np.savez(path, allow_pickle=False, **(arrays | mine | {"weights": arrays["weights"][1:]}))
    with pytest.raises(ManoError, match=r"weights is \(1608, 16\), expected \(1609, 16\)"):
        Mano.load(tmp_path)


def test_a_regressor_of_another_mesh_is_refused(anny: Path) -> None:
    ours = JointDefinition("interhand", np.zeros((21, 778), np.float32), "regressor.npy")
    with pytest.raises(ManoError, match=r"1609 vertices, but regressor\.npy is of a mesh of 778"):
        Mano.load(anny, ours)


def _arrays() -> list[tuple[str, NDArray[np.float64]]]:
    """A model of the right shapes that is no hand."""
    return [(key, np.zeros(shape)) for key, shape in SHAPES.items()]


def test_the_tree_is_numbers_one_by_one_and_an_index_on_the_device(mano: Mano) -> None:
    """On a GPU a number read from a tensor waits for all work begun; a CPU's index is copied."""
    tree = copy.deepcopy(mano).to("meta").layer.parents
    own = mano.layer.parents
    assert isinstance(tree, KinematicTree) and isinstance(own, KinematicTree)
    assert tree[1:].is_meta
    assert [tree[joint] for joint in range(tree.shape[0])][1:] == list(MANO_PARENTS)[1:]
    assert own[1:].tolist() == list(MANO_PARENTS)[1:]
    assert not any("parents" in name for name in mano.state_dict())


def test_a_mesh_has_each_edge_of_its_triangles_once(mano: Mano) -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [0, 2, 3]])
    pairs = {(a, b) for a in range(4) for b in range(a + 1, 4)}
    assert {tuple(edge) for edge in edges_of(tetrahedron).tolist()} == pairs
    assert len(edges_of(tetrahedron)) == 6
    sides = [frozenset(s) for a, b, c in mano.faces.tolist() for s in ((a, b), (b, c), (c, a))]
    found = [frozenset(edge) for edge in mano.edges.tolist()]
    assert set(found) == set(sides) and len(found) == len(set(found))
    assert all(1 <= sides.count(edge) <= 2 for edge in found[::50]), "of one surface"

"""Whose joints: fingertips and regressors of several sources on one mesh."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from handpose.hand.joint_definition import (
    INTERHAND_REGRESSOR,
    LAST_JOINTS,
    SMPLX,
    TIP_VERTICES,
    JointDefinition,
    JointError,
)
from handpose.hand.mano import Mano
from handpose.hand.skeleton import FROM_INTERHAND, JOINTS, TIPS, inverse
from handpose.synthetic.stand_in_mesh import NUMBERED_AS
from tests.hand.made_up_regressor import made_up_regressor
from tests.wrong_files import WRONG, apply_remedy, spoil

INTERHAND = JointDefinition("interhand")


@pytest.fixture(scope="module")
def vertices(mano: Mano) -> Tensor:
    """(6, 778, 3) m: random poses and shapes of the stand-in."""
    rng = torch.Generator().manual_seed(0)
    root = torch.eye(3).expand(6, 3, 3)
    pose = 0.3 * torch.randn(6, 45, generator=rng)
    betas = torch.randn(6, 10, generator=rng)
    vertices: Tensor = mano(root, mano.rotations(pose), betas).vertices
    return vertices


def test_sources_never_take_one_vertex_for_two_fingers() -> None:
    owners: dict[int, int] = {}
    for ids in TIP_VERTICES.values():
        for finger, vertex in enumerate(ids):
            assert owners.setdefault(vertex, finger) == finger


def test_tips_of_interhand_lie_millimetres_from_smplxs_and_no_other_joint_does(
    stand_in: Path, mano: Mano, vertices: Tensor
) -> None:
    """A quarter of 5 mm in the mean over 20 joints: ten times what the paper's rows differ by."""
    hands = torch.cat([mano.layer.v_template[None], vertices])  # the mean hand first
    apart = mano.joints_from(hands) - Mano.load(stand_in, INTERHAND).joints_from(hands)
    mm = 1000 * apart.norm(dim=-1)  # (7, 21)
    tips = mm[:, list(TIPS)]
    assert tips[0].min() > 4.6 and tips[0].max() < 5.8
    assert tips.min() > 3.5 and tips.max() < 7
    torch.testing.assert_close(mm.sum(1), tips.sum(1))


def test_a_vertex_that_is_on_no_such_finger_is_no_fingertip(mano: Mano, stand_in: Path) -> None:
    """The stand-in numbers its vertices in its own way at some of HO-3D's fingertips."""
    vertices = torch.randn(1, 778, 3, generator=torch.Generator().manual_seed(0))
    weights = np.load(stand_in / "MANO_RIGHT.npz")["weights"]
    found = mano.joints_from(vertices, "ho3d")[0, list(TIPS)]
    there = 0
    for k, (own, other) in enumerate(zip(TIP_VERTICES["ho3d"], TIP_VERTICES["smplx"], strict=True)):
        on_finger = weights[own, LAST_JOINTS[k]] > 0.5
        assert torch.equal(found[k], vertices[0, own if on_finger else other])
        there += on_finger
    assert 0 < there < 5


@pytest.mark.parametrize("source", NUMBERED_AS)
def test_a_fingertip_is_its_vertex(mano: Mano, stand_in: Path, source: str) -> None:
    vertices = torch.randn(2, 778, 3, generator=torch.Generator().manual_seed(0))
    own = Mano.load(stand_in, JointDefinition(source)).joints_from(vertices)
    assert torch.equal(own[:, list(TIPS)], vertices[:, list(TIP_VERTICES[source])])
    assert torch.equal(own, mano.joints_from(vertices, source))


def test_rows_of_the_regressor_are_read_in_interhands_order(
    stand_in: Path, vertices: Tensor, folder: Path
) -> None:
    definition = JointDefinition.load("interhand", folder, INTERHAND_REGRESSOR)
    found = Mano.load(stand_in, definition).joints_from(vertices)
    rows = torch.from_numpy(np.load(folder / INTERHAND_REGRESSOR))
    names = [f"{finger}_{k}" for finger in ("thumb", "index", "middle", "ring", "pinky")
             for k in ("tip", 3, 2, 1)] + ["wrist"]  # fmt: skip
    for name, row in zip(names, rows, strict=True):
        expected = torch.einsum("v,bvd->bd", row, vertices)
        torch.testing.assert_close(found[:, JOINTS.index(name)], expected)


def test_every_definition_commutes_with_moves_and_the_mirror(
    stand_in: Path, vertices: Tensor, folder: Path
) -> None:
    for definition in (SMPLX, INTERHAND, JointDefinition.load("", folder, INTERHAND_REGRESSOR)):
        mano = Mano.load(stand_in, definition)
        moved = vertices * torch.tensor([-1.0, 1, 1]) + torch.tensor([0.1, -0.2, 0.3])
        expected = mano.joints_from(vertices) * torch.tensor([-1.0, 1, 1])
        expected = expected + torch.tensor([0.1, -0.2, 0.3])
        torch.testing.assert_close(mano.joints_from(moved), expected, atol=1e-6, rtol=0)


def test_the_joints_of_table_2_are_the_same_for_every_data_set(
    stand_in: Path, mano: Mano, vertices: Tensor, folder: Path
) -> None:
    other = Mano.load(stand_in, JointDefinition.load("", folder, INTERHAND_REGRESSOR))
    assert not torch.equal(other.joints_from(vertices), mano.joints_from(vertices))
    found, expected = (m.joints_from(vertices, "intaghand") for m in (other, mano))
    assert torch.equal(found, expected)


def test_a_record_is_small_and_tells_two_files_apart(folder: Path, tmp_path: Path) -> None:
    record = JointDefinition.load("interhand", folder, INTERHAND_REGRESSOR).record()
    assert len(json.dumps(record)) < 200, "nothing of the regressor but its digest"
    np.save(tmp_path / INTERHAND_REGRESSOR, made_up_regressor(seed=1))
    other = JointDefinition.load("interhand", tmp_path, INTERHAND_REGRESSOR).record()
    assert record != other
    assert record | {"sha256": other["sha256"]} == other


def test_the_user_reads_whose_joints_they_are(folder: Path) -> None:
    assert "fingertips of interhand (vertices 745, 317, 445, 556, 673)" in str(INTERHAND)
    with_file = JointDefinition.load("interhand", folder, INTERHAND_REGRESSOR)
    assert str(with_file) == f"InterHand2.6M's regressor, {INTERHAND_REGRESSOR}"


Change = Callable[[NDArray[np.float32]], NDArray[Any]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:16], r"has shape \(16, 778\), expected \(21, 778\)"),
        (lambda rows: rows.T, r"has shape \(778, 21\)"),
        (lambda rows: np.where(rows > 0.9, np.nan, rows), "is not a number"),
        (lambda rows: rows.astype(np.int64), "is not a number"),
        (lambda rows: 2 * rows, "rows that do not sum to 1"),
        (lambda rows: rows[inverse(FROM_INTERHAND)], "has the fingertips at the vertices"),
        (lambda rows: np.roll(rows, 1, axis=1), r"at the vertices \[746, 318, 446, 557, 674\]"),
    ],
)
def test_another_array_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    np.save(tmp_path / "other.npy", change(made_up_regressor()))
    with pytest.raises(JointError, match=message) as caught:
        JointDefinition.load("interhand", tmp_path, "other.npy")
    assert "expected InterHand2.6M's J_regressor_mano_ih26m.npy" in str(caught.value)
    assert "set hand.joint_regressor to ''" in str(caught.value)


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JointError, match=r"a.npy: not found; .* \(docs/interhand.md\)"):
        JointDefinition.load("interhand", tmp_path, "a.npy")
    whole = made_up_regressor().tobytes()
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    for name, content in (("b.npy", whole), ("c.npy", b"\x93NUMPY" + whole[:99])):
        (tmp_path / name).write_bytes(content)
    for name in ("c.npy", "pickled.npy"):
        with pytest.raises(JointError, match=f"{name}: is not a readable npy file"):
            JointDefinition.load("interhand", tmp_path, name)


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_another_kind_is_called_by_its_name_and_the_remedy_works(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / INTERHAND_REGRESSOR
    np.save(path, made_up_regressor())
    whole = path.read_bytes()
    spoil(path, kind)
    with pytest.raises(JointError) as error:
        JointDefinition.load("interhand", tmp_path, path.name)
    assert f"{path}: {WRONG[kind]}" in str(error.value)
    apply_remedy(str(error.value), path, whole)
    JointDefinition.load("interhand", tmp_path, path.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up regressor under InterHand2.6M's name."""
    folder = tmp_path_factory.mktemp("regressor")
    np.save(folder / INTERHAND_REGRESSOR, made_up_regressor())
    return folder

import numpy as np
import pytest
import torch

from handpose.fitting.joint_order import (
    DISTINCT,
    ORDERS,
    SAME_AS_OURS,
    better_reading,
    extent,
    in_our_order,
)
from handpose.hand.skeleton import FROM_INTERHAND, FROM_MANO_AND_TIPS, JOINTS

WRIST_AND_FINGER_OF = {  # by hand: where each source has the wrist and the little finger's tip
    "handpose": (0, 20),
    "mano": (0, 20),
    "interhand": (20, 16),
    "mediapipe": (0, 20),
    "openpose": (0, 20),
    "freihand": (0, 20),
}


@pytest.mark.parametrize("source", ORDERS)
def test_every_order_is_a_permutation_that_its_inverse_undoes(source: str) -> None:
    order = ORDERS[source]
    assert sorted(order) == list(range(21))
    joints = torch.arange(21.0)[None, :, None]
    there = in_our_order(joints, source)
    assert (there[:, np.argsort(order)] == joints).all()
    wrist, tip = WRIST_AND_FINGER_OF[source]
    assert (order[JOINTS.index("wrist")], order[JOINTS.index("pinky_tip")]) == (wrist, tip)


def test_orders_agree_with_those_of_the_skeleton() -> None:
    assert (ORDERS["interhand"] == FROM_INTERHAND).all()
    assert (ORDERS["mano"] == FROM_MANO_AND_TIPS).all()
    assert all((ORDERS[name] == np.arange(21)).all() for name in SAME_AS_OURS)


def test_each_different_order_has_one_name() -> None:
    different = {tuple(order) for order in ORDERS.values()}
    assert len(DISTINCT) == len(different) == len({tuple(ORDERS[name]) for name in DISTINCT})


@pytest.mark.parametrize(
    ("true", "given", "expected"),
    [
        (("interhand", False), "handpose", ("interhand", False)),
        (("handpose", True), "handpose", ("handpose", True)),
        (("mano", True), "interhand", ("mano", True)),
        (("mano", False), "mano", ("mano", False)),
        (("handpose", False), "freihand", ("freihand", False)),
    ],
)
def test_the_reading_that_fits_is_found(
    true: tuple[str, bool], given: str, expected: tuple[str, bool]
) -> None:
    def residual(order: str, swapped: bool) -> float:
        same = (ORDERS[order] == ORDERS[true[0]]).all() and swapped == true[1]
        return 1e-4 if same else 2e-2

    assert better_reading(residual, given, 1e-3) == expected


def test_a_reading_that_is_little_better_is_not_believed() -> None:
    assert better_reading(lambda order, _: 4e-3 if order == "mano" else 6e-3, "handpose", 1e-3) == (
        "handpose",
        False,
    )


def test_a_mesh_has_a_side_and_no_order() -> None:
    assert better_reading(lambda _, swapped: 0.0 if swapped else 0.01, None, 1e-3) == (None, True)


def test_extent_is_the_longest_side_of_the_middle_hand() -> None:
    points = torch.zeros(3, 2, 3)
    points[:, 1] = torch.tensor([[0.1, 0.2, 0.0], [0.0, 0.15, 0.1], [9.0, 0.0, 0.0]])
    assert extent(points) == pytest.approx(0.2)

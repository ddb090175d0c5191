import numpy as np
import pytest

from handpose.hand.skeleton import (
    FINGERS,
    FROM_INTERHAND,
    FROM_MANO_AND_TIPS,
    JOINTS,
    MANO_JOINTS,
    MANO_PARENTS,
    MIDDLE_MCP,
    PARENTS,
    TIPS,
    WRIST,
    inverse,
)

# facebookresearch/InterHand2.6M, skeleton.txt: numbered from the wrist, 4 is the tip
INTERHAND_NAMES = [f"{finger}_{k}" for finger in FINGERS for k in ("tip", 3, 2, 1)] + ["wrist"]


@pytest.mark.parametrize("order", [FROM_INTERHAND, FROM_MANO_AND_TIPS])
def test_orders_are_permutations_of_all_21_and_their_inverse_undoes_them(
    order: np.typing.NDArray[np.intp],
) -> None:
    joints = np.arange(100, 121)
    assert sorted(order) == list(range(21))
    assert (joints[order][inverse(order)] == joints).all()
    assert (joints[inverse(order)][order] == joints).all()


def test_interhand_joints_land_on_their_names() -> None:
    assert tuple(INTERHAND_NAMES[i] for i in FROM_INTERHAND) == JOINTS


def test_mano_joints_and_tips_land_on_their_names() -> None:
    names = [*MANO_JOINTS, *(f"{finger}_tip" for finger in FINGERS)]
    assert tuple(names[i] for i in FROM_MANO_AND_TIPS) == JOINTS


def test_parents_lead_down_the_finger_to_the_wrist() -> None:
    for joint, parent in zip(JOINTS[1:], PARENTS[1:], strict=True):
        finger, level = joint.split("_")
        assert JOINTS[parent] == (
            "wrist" if level == "1" else f"{finger}_{3 if level == 'tip' else int(level) - 1}"
        )
    assert PARENTS[WRIST] == MANO_PARENTS[0] == -1


def test_manos_parents_are_the_same_bones() -> None:
    for joint, parent in zip(MANO_JOINTS[1:], MANO_PARENTS[1:], strict=True):
        assert JOINTS[PARENTS[JOINTS.index(joint)]] == MANO_JOINTS[parent]


def test_named_indices_match_the_joint_names() -> None:
    assert [JOINTS[tip] for tip in TIPS] == [f"{finger}_tip" for finger in FINGERS]
    assert JOINTS[MIDDLE_MCP] == "middle_1"

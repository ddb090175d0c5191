"""Measures of what the annotations say of a hand: fit, bones, shape, side, pose at the ends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.evaluation.metrics import procrustes_align
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.palm_frame import KNUCKLES, in_palm_frame
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skeleton import JOINTS, MIDDLE_MCP, PARENTS, WRIST
from pipeline.faults.ingested_hands import Bools, Floats, IngestedHands, Ints

MM = 1000.0
AT_A_TIME = 1024
"""Meshes that are in memory at a time."""

FEWEST = 3
"""Frames of a person of which a median is taken."""

THUMB_CMC = JOINTS.index("thumb_1")
STRUTS = (
    *pairwise((THUMB_CMC, *KNUCKLES)),
    (THUMB_CMC, KNUCKLES[-1]),
    (KNUCKLES[0], KNUCKLES[-1]),
)
"""Pairs of the palm's joints that keep their distance as a bone does: without them a knuckle could
be anywhere on a sphere about the wrist, if the length of the finger's bone allows it."""

FEWEST_POSES = 100
"""Hands from which the poses of a right hand are learnt."""

RIDGE = 0.05
"""Of the variance, added to that of each coordinate: poses of one data set leave directions out."""

END = 0.3
"""Share of a sequence at each end in which the pose may still be neutral."""
AT_REST = 0.06
"""Share at each end from which a person's rest is taken."""
HELD = 0.3
"""Share at each end that is not held."""
APART = 2.0
"""A gesture whose held pose is not so many spreads of held poses from rest has no neutral end: one
spread off in another direction, both would no longer be told apart at the limit of this kind."""
REST_NAMES = ("neutral_relaxed",)
"""In names of folders whose gesture is rest itself, so that rest is what their label says."""
FEWEST_JOINTS = 8
"""Known joints by which a pose is placed on another."""


def fit_distance(hands: IngestedHands, mano: Mano) -> Floats:
    """`wrong_fit` of M hands, mm; NaN without a fit."""
    distance = np.full(len(hands.view_of), np.nan)
    rows = np.flatnonzero(hands.has_mano & hands.joint_valid.any(1))
    for start in range(0, len(rows), AT_A_TIME):
        some = rows[start : start + AT_A_TIME]
        away = np.linalg.norm(fitted_joints(hands, some, mano) - hands.joints[some], axis=-1)
        valid = hands.joint_valid[some]
        distance[some] = MM * np.where(valid, away, 0.0).sum(1) / valid.sum(1)
    return distance


def fitted_joints(hands: IngestedHands, some: Ints, mano: Mano) -> Floats:
    """Joints of the fits of some hands (K, 21, 3) m, in the camera's frame."""
    root, pose, betas, transl = (
        torch.from_numpy(hands.fit[name][some]).float()
        for name in ("global_orient", "hand_pose", "betas", "transl")
    )
    left = torch.from_numpy(hands.of_hands("is_left")[some])
    with torch.inference_mode():
        right = mano(axis_angle_to_matrix(root), mano.rotations(pose), betas).joints
        joints = mirror_points(right, left) + transl[:, None]
    return np.asarray(joints.double().numpy())


def bone_difference(hands: IngestedHands) -> Floats:
    """`wrong_bones` of M hands, mm; NaN where fewer than `FEWEST` frames show the person."""
    bones = [(joint, parent) for joint, parent in enumerate(PARENTS) if parent >= 0]
    one, other = (np.array(ends) for ends in zip(*bones, *STRUTS, strict=True))
    length = MM * np.linalg.norm(hands.joints[:, one] - hands.joints[:, other], axis=-1)
    known = hands.joint_valid[:, one] & hands.joint_valid[:, other]
    length = np.where(known, length, np.nan)  # (M, 26)
    off = np.abs(length - _medians(length, hands.person))
    return _largest(off)


def shape_shift(hands: IngestedHands, mano: Mano) -> Floats:
    """`shape_drift` of M hands, mm; NaN without a fit, or with fewer than `FEWEST` of the person.

    The joints of a fixed pose are linear in betas, so eleven shapes determine them.
    """
    zeros = torch.zeros(11, 45)
    shapes = torch.cat([torch.zeros(1, 10), torch.eye(10)])
    with torch.inference_mode():
        joints = mano.hand(zeros[:, :3], zeros, shapes, torch.zeros(11, dtype=torch.bool)).joints
    slope = (joints[1:] - joints[:1]).double().numpy()  # (10, 21, 3) m
    betas = np.where(hands.has_mano[:, None], hands.fit["betas"], np.nan)
    # of each side: their shapes are fitted apart
    own = 2 * hands.person + hands.of_hands("is_left")
    shift = np.einsum("nk,kjd->njd", betas - _medians(betas, own), slope)
    return np.asarray(MM * np.linalg.norm(shift, axis=-1).max(1))


def other_side(hands: IngestedHands) -> Floats:
    """`swapped_side` of M hands; NaN where a joint is not known, or there are too few hands.

    Seen as a hand of the other side, a pose is mirrored in the plane of its palm. How likely it and
    its mirrored pose are is given by a normal distribution of the poses of the data set, most of
    which have the right side (linear discriminant analysis with one covariance).
    """
    score = np.full(len(hands.view_of), np.nan)
    pose, known = _poses(hands)
    if known.sum() < FEWEST_POSES:
        return score
    flat = pose[known].reshape(-1, 63)
    mirrored = (pose[known] * (1, 1, -1)).reshape(-1, 63)
    middle = (np.median(flat, 0) - np.median(mirrored, 0)) / 2
    spread = (_covariance(flat) + _covariance(mirrored)) / 2
    spread += RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread))
    weight = np.linalg.solve(spread, 2 * middle)
    score[known] = -(flat @ weight)
    return score


def neutral_share(hands: IngestedHands) -> Floats:
    """`neutral_end` of M hands; NaN elsewhere than at the ends of gesture sequences.

    A person's rest is the median of how their sequences begin and end, and the gesture that of the
    middle of their sequences of this folder, of all sessions; of all people's, where this person's
    have too few frames. Each end is compared with both after it is placed on them, turned, moved
    and scaled, by the joints that are known. It is not judged in folders whose gesture is rest
    itself, or hardly apart from it.
    """
    share = np.full(len(hands.view_of), np.nan)
    pose, _ = _poses(hands)
    pose = np.where(hands.joint_valid[..., None], pose, np.nan)
    gesture = hands.of_hands("kind") == "gesture"
    palm = hands.joint_valid[:, [WRIST, *KNUCKLES]].all(1) & np.isfinite(pose[:, MIDDLE_MCP]).all(1)
    phase, person = _phase(hands), hands.person
    ends = np.minimum(phase, 1 - phase)
    known = gesture & palm
    at_rest, held = known & (ends <= AT_REST), known & (ends >= HELD)
    if at_rest.sum() < FEWEST or not held.any():
        return share
    rest_of_all = _median(pose[at_rest])
    names, folder = np.unique(hands.of_hands("sequence"), return_inverse=True)
    folder = folder.ravel()
    least = APART * _held_spread(pose, held, person, folder)
    for one, number in np.unique(np.stack([person, folder], 1)[gesture], axis=0).tolist():
        own, same = person == one, folder == number
        goals = held & own & same if (held & own & same).any() else held & same
        if any(word in names[number] for word in REST_NAMES) or not goals.any():
            continue
        enough = (at_rest & own).sum() >= FEWEST
        rest, goal = _median(pose[at_rest & own]) if enough else rest_of_all, _median(pose[goals])
        if _mean_distance(goal, rest) < least:
            continue
        tails = np.flatnonzero(gesture & own & same & (ends <= END))
        to_goal, to_rest = (_placed_distance(hands, tails, middle) for middle in (goal, rest))
        share[tails] = to_goal / (to_goal + to_rest)
    return share


def share_outside(hands: IngestedHands) -> Floats:
    """`cut_off` of N views: joints outside the photo, or missing of a hand at its border."""
    size = np.stack([hands.columns[name] for name in ("width", "height")], 1)[:, None]
    valid = np.isfinite(hands.uv).all(-1)
    with np.errstate(invalid="ignore"):
        outside = ((hands.uv < 0) | (hands.uv > size - 1)).any(-1) & valid
    low, high = hands.bbox[:, :2], hands.bbox[:, :2] + hands.bbox[:, 2:]
    reach = 0.15 * hands.bbox[:, 2:].max(1, keepdims=True)  # a joint farther, and it is outside
    at_border = ((low < reach) | (high > size[:, 0] - 1 - reach)).any(1)
    missing = np.where(at_border, (~valid).sum(1), 0)
    return np.asarray((outside.sum(1) + missing) / valid.shape[1])


# --- parts ---------------------------------------------------------------------------------------


def _medians(values: Floats, group: NDArray[Any]) -> Floats:
    """Of each row (M, K) the median of its group; NaN of groups with fewer than `FEWEST` values."""
    found = np.full(values.shape, np.nan)
    for one in np.unique(group):
        own = group == one
        enough = np.isfinite(values[own]).sum(0) >= FEWEST
        if enough.any():
            middle = np.full(values.shape[1], np.nan)
            middle[enough] = np.nanmedian(values[own][:, enough], 0)
            found[own] = middle
    return found


def _median(pose: Floats) -> Floats:
    """Of poses (K, 21, 3) that may lack joints; NaN for a joint that all lack."""
    known = np.isfinite(pose).all(-1).any(0)
    middle = np.full(pose.shape[1:], np.nan)
    middle[known] = np.nanmedian(pose[:, known], 0)
    return middle


def _largest(values: Floats) -> Floats:
    """The largest number of each row (M, K); NaN of a row without any."""
    known = np.isfinite(values)
    return np.where(known.any(1), np.where(known, values, -np.inf).max(1), np.nan)


def _poses(hands: IngestedHands) -> tuple[Floats, NDArray[np.bool_]]:
    """Joints in the frame of the palm (M, 21, 3) in lengths of the palm, and where known (M,)."""
    left = torch.from_numpy(hands.of_hands("is_left"))
    pose = in_palm_frame(torch.from_numpy(hands.joints), left).numpy()
    known = hands.joint_valid.all(1) & np.isfinite(pose).all((1, 2))
    return pose, known


def _covariance(flat: Floats) -> Floats:
    return np.asarray(np.cov(flat - np.median(flat, 0), rowvar=False))


def _phase(hands: IngestedHands) -> Floats:
    """Where in its sequence each hand's frame is, 0 to 1 (M,); NaN of a sequence's only frame."""
    names = ("source_split", "session", "sequence")
    codes = [np.unique(hands.of_hands(name), return_inverse=True)[1].ravel() for name in names]
    sequence = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)[1].ravel()
    frame = hands.of_hands("frame").astype(np.float64)
    first, last = np.full(sequence.max() + 1, np.inf), np.full(sequence.max() + 1, -np.inf)
    np.minimum.at(first, sequence, frame)
    np.maximum.at(last, sequence, frame)
    length = np.where(last > first, last - first, np.nan)
    return np.asarray((frame - first[sequence]) / length[sequence])


def _held_spread(pose: Floats, held: Bools, person: Ints, folder: Ints) -> float:
    """How far held poses (M, 21, 3) are from their median, of one person and folder; 0 if unknown.

    In the unit of the poses; the median of all groups with more than one frame. A median of few
    follows them, for which it is corrected.
    """
    away = [np.empty(0)]
    for one, number in np.unique(np.stack([person, folder], 1)[held], axis=0).tolist():
        own = pose[held & (person == one) & (folder == number)]
        if (count := len(own)) > 1:
            away.append(_mean_distance(own, _median(own)) * np.sqrt(count / (count - 1)))
    every = np.concatenate(away)
    return float(np.median(every)) if len(every) else 0.0


def _placed_distance(hands: IngestedHands, some: Ints, goal: Floats) -> Floats:
    """Mean distance of hands (K,) from a right hand's pose (21, 3), after they are placed on it.

    In the unit of that pose; NaN where too few joints are known.
    """
    known = torch.from_numpy(hands.joint_valid[some] & np.isfinite(goal).all(-1))
    left = torch.from_numpy(hands.of_hands("is_left")[some])
    right = mirror_points(torch.from_numpy(hands.joints[some]), left)
    middle = torch.from_numpy(np.nan_to_num(goal)).expand_as(right)
    away = (procrustes_align(right, middle, known) - middle).norm(dim=-1)
    distance = torch.where(known, away, 0).sum(1) / known.sum(1).clamp(min=1)
    return np.asarray(torch.where(known.sum(1) >= FEWEST_JOINTS, distance, torch.nan).numpy())


def _mean_distance(pose: Floats, other: Floats) -> Any:
    """Mean distance of the joints of poses (..., 21, 3) from those of another."""
    return np.nanmean(np.linalg.norm(pose - other, axis=-1), -1)

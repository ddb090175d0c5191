"""One hand through a video: a box from frame to frame, one shape, and smooth if that is wished."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handpose.estimator import HandEstimate, HandEstimator
from pipeline.predict.hand_box import Batch, Box, BoxedHand, Image, Origin, box_around, lost

Array = NDArray[np.floating[Any]]

KERNEL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
"""Binomial; symmetric, so that nothing lags."""


def follow(
    batch: Batch, find: Callable[[Image], BoxedHand], frames: Iterable[Image], box: Box | None
) -> Iterator[BoxedHand]:
    """The hand in each frame, in a box around its joints in the frame before.

    The first frame has the given box. Without one, and after a frame in which the hand was lost,
    the hand is the one that `find` finds.
    """
    origin: Origin = "given"
    for image in frames:
        if box is None:
            found = find(image)
        else:
            (hand,) = batch([image], [box])
            found = BoxedHand(hand, box, origin)
        box, origin = None, "previous frame"
        if found.hand is not None:
            ahead = box_around(found.hand.joints_px)
            box = None if lost(ahead, image) else ahead
        yield found


def one_shape(
    estimator: HandEstimator, track: list[BoxedHand], *, smooth: bool = False
) -> list[BoxedHand]:
    """The track with the mean of its betas, by which its joints and meshes are posed again.

    Smooth: joints in pixels and rotations are averaged over five frames. Runs of frames end where
    the hand is lost or changes its side.
    """
    hands = [found.hand for found in track if found.hand is not None]
    if not hands:
        return track
    betas = np.stack([hand.betas for hand in hands]).mean(0)
    if smooth:
        hands = [hand for run in _runs(track) for hand in _smooth(run)]
    posed = iter([_reposed(estimator, hand, betas) for hand in hands])
    return [found._replace(hand=next(posed)) if found.hand else found for found in track]


def _reposed(estimator: HandEstimator, hand: HandEstimate, betas: Array) -> HandEstimate:
    is_left = np.array([hand.side == "left"])
    joints, vertices = estimator.posed(
        hand.global_orient[None], hand.hand_pose[None], betas[None], is_left
    )
    return dataclasses.replace(hand, betas=betas, joints=joints[0], vertices=vertices[0])


def _runs(track: list[BoxedHand]) -> Iterator[list[HandEstimate]]:
    """Hands of one side in frames that follow each other."""
    run: list[HandEstimate] = []
    for found in track:
        if run and (found.hand is None or found.hand.side != run[-1].side):
            yield run
            run = []
        if found.hand is not None:
            run.append(found.hand)
    if run:
        yield run


def _smooth(run: list[HandEstimate]) -> list[HandEstimate]:
    pixels = smoothed(np.stack([hand.joints_px for hand in run]))
    rotations = smoothed(np.stack([[hand.global_orient, *hand.hand_pose] for hand in run]))
    rotations = _nearest_rotations(rotations)
    return [
        dataclasses.replace(hand, joints_px=uv, global_orient=R[0], hand_pose=R[1:])
        for hand, uv, R in zip(run, pixels, rotations, strict=True)
    ]


def smoothed(values: Array) -> Array:
    """Values (T, ...) averaged by `KERNEL` over time.

    At both ends the kernel narrows, and stays symmetric: a straight motion comes out as it went in.
    """
    out: Array = np.empty_like(values)
    for t in range(len(values)):
        reach = min(t, len(values) - 1 - t, len(KERNEL) // 2)
        middle = len(KERNEL) // 2
        weights = KERNEL[middle - reach : middle + reach + 1]
        window = values[t - reach : t + reach + 1]
        out[t] = np.tensordot(weights / weights.sum(), window, 1)
    return out


def _nearest_rotations(matrices: Array) -> Array:
    """(..., 3, 3) averages of rotations -> the nearest rotations, by singular values."""
    U, _, Vt = np.linalg.svd(matrices)
    sign = np.sign(np.linalg.det(U @ Vt))
    U[..., :, 2] *= sign[..., None]
    rotations: Array = U @ Vt
    return rotations

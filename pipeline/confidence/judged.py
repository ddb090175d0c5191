"""How wrong a model is about views whose truth is known: what a confidence head learns from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from handpose.confidence.head_fit import HeadExamples
from handpose.confidence.head_input import HeadInput
from handpose.errors import HandPoseError
from handpose.hand.skeleton import WRIST
from handpose.predict import Predictor
from pipeline.confidence.true_view import TrueView

BATCH = 64


class NoConfidenceInputError(HandPoseError):
    """The model's network gives nothing to read a confidence from."""


def judge(predictor: Predictor, views: Iterable[TrueView]) -> Iterator[HeadExamples]:
    """What the model makes of these views, and its errors, on the CPU, in batches.

    A model with handed classes predicts the side itself, as for users; one of canonical classes is
    given it.

    Raises:
        NoConfidenceInputError: the network is a baseline.
    """
    stream = iter(views)
    while batch := list(islice(stream, BATCH)):
        yield _judge_batch(predictor, batch)


def _judge_batch(predictor: Predictor, views: Sequence[TrueView]) -> HeadExamples:
    px = predictor.net.gesture_net.image_px
    is_given = predictor.record.handedness == "canonical"
    sides = np.array([view.is_left for view in views]) if is_given else None
    A = np.stack([view.A for view in views])
    hands = predictor.in_photos([view.photo for view in views], A, sides)
    if hands.confidence_input is None:
        name = predictor.record.pose_net.get("network")
        raise NoConfidenceInputError(
            f"a confidence head reads the tokens of the network gesture_guided; this model's "
            f"pose_net.network is {name}, which has none of them"
        )
    uv = torch.from_numpy(np.stack([view.uv for view in views]))
    joints = torch.from_numpy(np.stack([view.joints for view in views]))
    valid = torch.from_numpy(np.stack([view.valid for view in views]))
    rooted = valid & valid[:, WRIST, None]
    rooted[:, WRIST] = False
    error_px = (hands.uv.cpu() - uv).norm(dim=-1) / px
    error_m = (hands.joints.cpu() - joints).norm(dim=-1)
    return HeadExamples(
        seen=HeadInput(*(tensor.cpu() for tensor in HeadInput.of(hands, px))),
        error_px=torch.where(valid, error_px, 0).float(),
        error_m=torch.where(rooted, error_m, 0).float(),
        valid=valid,
        rooted=rooted,
        is_hand=torch.tensor([view.is_hand for view in views]),
        person=torch.tensor([view.person for view in views]),
    )

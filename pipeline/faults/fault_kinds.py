"""The nine kinds of faults: what each measures, from when on it is proposed, and where it was met.

Each measure is the larger the more suspicious an annotation is. It is proposed to be left out where
the measure exceeds both a limit of its own unit (`least`) and that of its data set: the median and
`SIGMAS` times the spread of all annotations, the spread taken from the median absolute deviation,
so that the faults themselves do not raise it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from handpose.exclusions import DROP, DROP_FIT

SIGMAS = 6.0
"""Spreads above the median from which on a value is odd: of normal values one in a billion."""

TO_SIGMA = 1.4826
"""Standard deviation of normal values / their median absolute deviation."""

Unit = Literal["hand", "view"]
"""What one row of the ranking is about: a hand in a frame, whatever the camera, or one photo."""


class FaultKind(NamedTuple):
    """One kind of fault."""

    name: str
    unit: Unit
    measure: str  # what its number is
    digits: int  # of that number
    least: float  # below it nothing is proposed
    relative: bool  # whether the spread of the data set counts too
    action: str  # of `handpose.exclusions`
    met: str  # where people met it


KINDS = (
    FaultKind(
        "wrong_fit",
        "hand",
        "mean distance of the MANO fit from the joints, mm",
        1,
        least=6.0,
        relative=True,
        action=DROP_FIT,
        met="InterHand2.6M#104: fits 41 mm off; ingest itself refuses those above 15 mm",
    ),
    FaultKind(
        "wrong_bones",
        "hand",
        "largest difference of a bone from its median length for this person, mm",
        1,
        least=3.0,
        relative=True,
        action=DROP,
        met="wrong units or scale, a joint triangulated wrongly: InterHand2.6M#104, FreiHAND's "
        "ring fingers (HandSynthesis#3)",
    ),
    FaultKind(
        "shape_drift",
        "hand",
        "largest shift of a joint by this frame's betas instead of the person's median, mm",
        1,
        least=2.0,
        relative=True,
        action=DROP_FIT,
        met="InterHand2.6M#159: betas differ from frame to frame of one person",
    ),
    FaultKind(
        "swapped_side",
        "hand",
        "log-likelihood ratio of the pose as one of the other side",
        1,
        least=3.0,
        relative=False,
        action=DROP,
        met="left and right exchanged: the fingers would bend backwards",
    ),
    FaultKind(
        "neutral_end",
        "hand",
        "how far the pose at an end of the sequence is from the held gesture (0) to rest (1)",
        2,
        least=0.6,
        relative=False,
        action=DROP,
        met="InterHand2.6M's gesture sequences begin and end neutral; ingest.trim_ends leaves out "
        "a fixed share instead",
    ),
    FaultKind(
        "second_hand",
        "view",
        "how likely a hand is beside the annotated one, 0 to 1, by the released network",
        2,
        least=0.5,
        relative=False,
        action=DROP,
        met="InterHand2.6M#99, #113, #33: the other hand is there, but was not triangulated",
    ),
    FaultKind(
        "dark_photo",
        "view",
        "255 - the brightness that a twentieth of the hand's box exceeds",
        0,
        least=215.0,
        relative=False,
        action=DROP,
        met="InterHand2.6M#125, #134: black images; ingest itself refuses those that are all black",
    ),
    FaultKind(
        "cut_off",
        "view",
        "share of the joints that are outside the photo, or missing at its border",
        2,
        least=0.2,
        relative=False,
        action=DROP,
        met="InterHand2.6M's joint_valid is per view for this reason",
    ),
    FaultKind(
        "repeated_photo",
        "view",
        "how far the joints moved although the photo is the camera's last one / side of the box",
        2,
        least=0.04,
        relative=False,
        action=DROP,
        met="a camera that hung: the same photo under the next frame's annotation",
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}


def limit(kind: FaultKind, values: NDArray[np.floating[Any]]) -> float:
    """From where on annotations are proposed, given all values (N,) of a kind; NaN is unknown."""
    known = values[np.isfinite(values)]
    if not kind.relative or not len(known):
        return kind.least
    middle = float(np.median(known))
    spread = TO_SIGMA * float(np.median(np.abs(known - middle)))
    return max(kind.least, middle + SIGMAS * spread)

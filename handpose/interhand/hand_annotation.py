"""Annotations one by one: a hand as one camera sees it, or the reason why it is rejected.

An annotation of both hands is rejected, or becomes one of each: they share the photo, its camera
and its box, and have joints, flags and a fit of their own.

Reasons for a reject: malformed, duplicate_annotation_id, duplicate_image_id, dangling_image_id,
two_hands, hand_type_not_valid, hand_contradicts_folder, no_camera, nan_in_camera, no_joint_3d,
early_release. `data/camera_frame.py` adds those that need geometry. A MANO fit may be missing; one
that cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from handpose.data.annotation_table import INTERACTING, NO_BOX, Camera, Kind, ManoFit
from handpose.interhand.annotations import (
    HANDS,
    Annotations,
    FrameJoints,
    Json,
    RecordError,
    parse_box,
)
from handpose.interhand.folders import folder_hand, folder_kind

BOTH = "interacting"
"""The `hand_type` of an annotation of both hands."""

UNKNOWN = -1
"""Replaces a whole number that an unusable annotation lacks."""


class Origin(NamedTuple):
    """Where an annotation comes from; of an unusable one parts may be UNKNOWN or ''."""

    annotation_id: int
    official_split: str
    capture: int
    subject: int
    seq_name: str
    camera: str
    frame: int
    file_name: str  # below images/<official split>/
    hand_type: str  # right, left, interacting


class HandAnnotation(NamedTuple):
    """One hand as one camera sees it."""

    origin: Origin
    kind: Kind
    width: int  # px of the photo
    height: int
    is_left: bool
    visible: bytes  # 42 flags 0 or 1 in InterHand2.6M's order: valid in this view
    camera: Camera
    frame_joints: FrameJoints
    fit: ManoFit | None
    fit_fault: str = ""  # why a fit that is there is not used: a key of FIT_FAULTS
    box: bytes = NO_BOX.tobytes()  # 4 float64 x, y, w, h px as annotated; of both, if interacting
    interacting: bool = False  # the annotation is of both hands, and this is one of them


class Reject(NamedTuple):
    """An annotation that is not used, and why."""

    origin: Origin
    reason: str
    detail: str


def hand_annotations(
    annotations: Annotations, *, each_hand: bool = False
) -> Iterator[HandAnnotation | Reject]:
    """Every annotation of the split, in order: one hand, or a reject.

    With `each_hand`, an annotation of both hands is two, the right one first.
    """
    ids: set[int] = set()
    for hand in annotations.hands:
        origin = _origin(annotations.split, hand, {})
        try:
            image = annotations.image(hand.get("image_id"))
            origin = _origin(annotations.split, hand, image)
            yield from _annotation(annotations, origin, hand, image, ids, each_hand)
        except RecordError as error:
            yield Reject(origin, error.reason, error.detail)


def _annotation(
    annotations: Annotations,
    origin: Origin,
    hand: Json,
    image: Json,
    ids: set[int],
    each_hand: bool,
) -> list[HandAnnotation]:
    """The hands of one annotation; `ids` holds the ids of those before it, and gets its own."""
    width, height = whole(image.get("width")), whole(image.get("height"))
    visible = hand.get("joint_valid")
    lacking = [name for name, part in origin._asdict().items() if part in (UNKNOWN, "")]
    lacking += [name for name, part in (("width", width), ("height", height)) if part < 1]
    if not isinstance(visible, bytes) or len(visible) != 42:
        lacking.append("joint_valid (42 flags)")
        visible = b""
    if lacking:
        raise RecordError("malformed", f"missing or not of its type: {', '.join(lacking)}")
    if origin.annotation_id in ids:
        raise RecordError("duplicate_annotation_id", "an annotation before it has the same id")
    ids.add(origin.annotation_id)
    is_both = each_hand and origin.hand_type == BOTH
    if not is_both:
        _check_hand(origin, hand.get("hand_type_valid"))
    camera = annotations.camera(origin.capture, origin.camera)
    frame_joints = annotations.frame_joints(origin.capture, origin.frame)
    origins = [origin]
    if is_both:
        origins = [origin._replace(hand_type=side) for side in HANDS]
    fits = [_fit(annotations, own) for own in origins]
    return [
        HandAnnotation(
            origin=own,
            kind=INTERACTING if is_both else folder_kind(own.seq_name),
            width=width,
            height=height,
            is_left=own.hand_type == "left",
            visible=visible,
            camera=camera,
            frame_joints=frame_joints,
            fit=fit,
            fit_fault=fit_fault,
            box=parse_box(hand.get("bbox")),
            interacting=is_both,
        )
        for own, (fit, fit_fault) in zip(origins, fits, strict=True)
    ]


def _fit(annotations: Annotations, origin: Origin) -> tuple[ManoFit | None, str]:
    """The fit if there is one that can be read, and else why not, '' if there is none."""
    try:
        return annotations.fit(origin.capture, origin.frame, origin.hand_type), ""
    except RecordError as error:
        return None, error.reason


def _check_hand(origin: Origin, valid: Any) -> None:
    """RecordError unless it is of one hand, and of the hand that the gesture folder shows.

    Not asked of both hands: there `hand_type_valid` says whether more than 30 of the 42 joints are
    valid, so that one hand seen whole beside a hidden one would be lost. Each is judged by its own.
    """
    hand = origin.hand_type
    if hand == BOTH:
        raise RecordError("two_hands", "")
    if hand not in HANDS:
        raise RecordError("malformed", f"hand_type is {hand!r}, expected right or left")
    if valid != 1:
        raise RecordError("hand_type_not_valid", f"hand_type_valid is {valid!r}")
    expected = folder_hand(origin.seq_name)
    if expected not in (None, hand):
        raise RecordError(
            "hand_contradicts_folder",
            f"a {hand} hand in {origin.seq_name}, a {expected}-hand folder",
        )


def _origin(split: str, hand: Json, image: Json) -> Origin:
    return Origin(
        annotation_id=whole(hand.get("id")),
        official_split=split,
        capture=whole(image.get("capture")),
        subject=whole(image.get("subject")),
        seq_name=str(image.get("seq_name", "")),
        camera=str(image.get("camera", "")),
        frame=whole(image.get("frame_idx")),
        file_name=str(image.get("file_name", "")),
        hand_type=str(hand.get("hand_type", "")),
    )


def whole(value: Any) -> int:
    """A whole number from 0 up, written as such or as digits; UNKNOWN for anything else."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):  # null, text, NaN, infinity
        return UNKNOWN
    return number if number >= 0 and number == float(value) else UNKNOWN

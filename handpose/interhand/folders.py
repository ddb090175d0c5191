"""Names of InterHand2.6M's sequence folders, which encode the hand and its gesture."""

from __future__ import annotations

import re

from handpose.data.annotation_table import Kind
from handpose.gesture_row import FolderNaming

HAND_OF_NUMBER = {"00": "right", "01": "left"}
"""Folders of right-hand gestures are numbered 00xx, those of left-hand ones 01xx."""


def folder_kind(seq_name: str) -> Kind:
    """What a sequence folder shows: a gesture of one hand, free motion, or two hands.

    Annotations of one hand are used from any folder, as in the official single-hand subset; only
    gesture folders carry a label. An unknown name counts as a gesture, so that it is looked up in
    the gesture map.
    """
    if seq_name.lower().startswith("rom"):  # ROM07_RT_... and ROM07_Rt_... both exist
        return "rom"
    return "two_hands" if re.match(r"0[23]\d\d_", seq_name) else "gesture"


def folder_hand(seq_name: str) -> str | None:
    """The hand that the number of a gesture folder encodes, if any."""
    return HAND_OF_NUMBER.get(seq_name[:2]) if folder_kind(seq_name) == "gesture" else None


def _hand_and_gesture(folder: str) -> tuple[str, str] | None:
    if not re.fullmatch(r"0[01]\d\d_.+", folder):
        return None
    return HAND_OF_NUMBER[folder[:2]], folder.partition("_")[2]


NAMING = FolderNaming(_hand_and_gesture, "these are called 00xx_NAME (right) or 01xx_NAME (left)")

"""What a file of predictions says of itself: all that its numbers need, nothing of it guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handpose.errors import HandPoseError
from handpose.fitting.joint_order import ORDERS
from handpose.hand.joint_definition import TIP_VERTICES

FORMAT = "handpose predictions"
VERSION = 1

METRES = {"m": 1.0, "mm": 1e-3}

ANNOTATED = "annotated"
OTHER = "other"

CAMERA = "camera"
WRIST_RELATIVE = "wrist"

AS_SEEN = "as seen"
MIRRORED = "mirrored"

CHOICES: Mapping[str, tuple[str, ...]] = {
    "unit": tuple(METRES),
    "joint_order": tuple(ORDERS),
    "joint_definition": (ANNOTATED, *TIP_VERTICES, OTHER),
    "frame": (CAMERA, WRIST_RELATIVE),
    "left_hands": (AS_SEEN, MIRRORED),
}
"""Values of the fields that have a fixed set of them."""

TEXTS = ("model", "split")
OPTIONAL = ("note",)


class ImportedError(HandPoseError):
    """A file of predictions is not in the format, or is not what it states."""


@dataclass(frozen=True)
class Statement:
    """The header of a file of predictions."""

    model: str
    """Name for tables."""

    split: str
    """Of the evaluation: test, or another that is evaluated whole."""

    unit: str
    """Of 3D points: m or mm."""

    joint_order: str
    """Key of `joint_order.ORDERS`."""

    joint_definition: str
    """Where the joints lie in a hand. annotated: as the data set annotates them; a key of
    `TIP_VERTICES`: MANO's regressor and the fingertips of this source; other: neither."""

    frame: str
    """Origin of 3D points, whose axes are the camera's (x right, y down, z forward). camera: the
    camera's centre; wrist: the wrist joint."""

    left_hands: str
    """as seen: in the photo; mirrored: x negated, as if they were right hands."""

    note: str = ""
    """Anything, for people."""

    @classmethod
    def parse(cls, path: Path, content: Any) -> Statement:
        """The statement in a parsed JSON header.

        Raises:
            ImportedError: names everything that is missing, unknown or has another value.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ImportedError(
                f"{path}: has no header of predictions, an object with format {FORMAT!r}; see "
                "docs/imported.md"
            )
        if content.get("version") != VERSION:
            raise ImportedError(
                f"{path}: is of version {content.get('version')!r} of the format, expected "
                f"{VERSION}"
            )
        given = {key: value for key, value in content.items() if key not in ("format", "version")}
        if faults := _faults(given):
            raise ImportedError(f"{path}: the header is incomplete or wrong: {'; '.join(faults)}")
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """The header as JSON; the inverse of `parse`."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v or k not in OPTIONAL}
        return {"format": FORMAT, "version": VERSION, **fields}


def _faults(given: Mapping[str, Any]) -> list[str]:
    faults = []
    for name in (*TEXTS, *CHOICES, *OPTIONAL):
        choices = CHOICES.get(name)
        expected = f"one of {', '.join(choices)}" if choices else "a text"
        if name not in given:
            if name not in OPTIONAL:
                faults.append(f"{name} is missing, expected {expected}")
            continue
        value = given[name]
        fits = value in choices if choices else isinstance(value, str)
        if not fits or (name in TEXTS and not value.strip()):
            faults.append(f"{name} is {value!r}, expected {expected}")
    unknown = sorted(set(given) - {*TEXTS, *CHOICES, *OPTIONAL})
    return faults + [f"{name} is unknown (remarks belong into note)" for name in unknown]

"""Test sets that differ from the training data in one thing each, or in all of them, by severity.

What is compared is the same in every set of a severity: the people, whom no training data have,
their hands, gestures and frames. So sets can be compared person by person. Severity 0 is training's
own recipe with new people; 1 is as hard as the sets of `pipeline/release/shifted_sets.py`; between
them every value is interpolated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from handpose.synthetic.articulation import GesturePose, read_gesture_poses
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, SequencePlan, plan

SEED = 517_206_3
"""Of the people; never that of training, and not that of a release's sets, which no experiment may
have seen."""

HARDEST: dict[str, Any] = {
    "spread_deg": (90.0, 60.0),
    "back_cameras": 0.5,
    "distance_m": (0.2, 0.3),
    "roll_deg": 60.0,
    "photo_backdrops": 0.5,
    "dark_studios": 1.0,
    "style_deg": 30.0,
    "occluders": 1.0,
    "degradation": 1.0,
}
"""Values of a spec at severity 1. One that training has at least as hard stays as it is. Half of
the images have photos or clutter behind the hand, the others the dark studio of their capture. Roll
is not the whole circle: a model that was trained on upright hands alone fails there in any case."""

OTHER_END = ("creases", "skin_detail", "no_forearm")
"""Values that go to 0 or to 1, whichever is farther from training's: neither end is harder."""

LIGHT = "light"
"""The shift that is none of the spec: see `_in_other_light`."""

SHIFTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cameras": (
        "nearer, and all round the hand",
        ("spread_deg", "back_cameras", "distance_m"),
    ),
    "roll": ("cameras turned about their axes", ("roll_deg",)),
    LIGHT: ("dim, low, of one side, coloured", ()),
    "backdrops": (
        "photos, clutter and dark studios",
        ("photo_backdrops", "dark_studios"),
    ),
    "people": ("who perform gestures more differently", ("style_deg",)),
    "skin": ("lines and texture, where training has none", ("creases", "skin_detail")),
    "occluders": ("an object or another hand before the hand", ("occluders",)),
    "image_quality": ("blur, noise, low resolution, compression", ("degradation",)),
    "forearm": ("none, where training has them", ("no_forearm",)),
}
"""What each shift is, and the keys of the spec that it changes."""

NEW_PEOPLE = "new_people"
UNSEEN_GESTURES = "unseen_gestures"
EVERYTHING = "everything"

UNSEEN = "unseen_gestures.csv"
"""Gestures that no training set has, in this package."""

DARKEST = 0.35
"""Brightness that the sensor aims at, in the light of severity 1, as a share of training's."""
FAINTEST = 0.2
"""Ambient light and fill likewise."""
LOWEST_RAD = 0.1
"""Elevation of the key light likewise."""
TINT = 0.35
"""Greatest log gain of a channel of the key light likewise."""


class ShiftedTest(NamedTuple):
    """A test set: what is shifted in it, and how far."""

    name: str
    shifts: tuple[str, ...]  # keys of `SHIFTS`
    severity: float  # 0..1
    gestures: str = ""  # another table of gestures in this package

    def spec(self, trained: DatasetSpec, people: int, images: int) -> DatasetSpec:
        """The spec of this set: one image a frame, of people with long sequences only.

        Args:
            trained: the spec of the training data.
            people: number of them.
            images: of all of them.
        """
        keys = [key for shift in self.shifts for key in SHIFTS[shift][1]]
        return dataclasses.replace(
            trained,
            seed=SEED + (trained.seed == SEED),
            frames=images,
            main_subjects=people,
            short_subjects=0,
            cameras_per_instant=1,
            free_poses=0.0,
            **{key: _between(key, getattr(trained, key), self.severity) for key in keys},
        )

    def sequences(self, spec: DatasetSpec) -> list[SequencePlan]:
        """Its sequences of one hand that performs a gesture; no annotation has a fault.

        A person's sequences stand together.
        """
        found = []
        for capture, own in plan(spec, self.poses()):
            if capture.split != "train":
                continue
            seen = capture
            if LIGHT in self.shifts:
                seen = _in_other_light(spec, capture, self.severity)
            found += [
                dataclasses.replace(
                    sequence,
                    capture=seen,
                    frames=tuple(frame._replace(fault="") for frame in sequence.frames),
                )
                for sequence in own
                if sequence.gesture is not None
            ]
        return found

    def poses(self) -> tuple[GesturePose, ...]:
        """The gestures that its people perform."""
        table = resources.files("handpose.synthetic") / self.gestures if self.gestures else None
        return read_gesture_poses(None if table is None else Path(str(table)))


def shifted_tests(severities: Sequence[float]) -> list[ShiftedTest]:
    """The test sets of these severities, of which there may be none.

    New people as in training; the same with unseen gestures, which have no severity; each shift
    alone at the greatest severity; everything together at each.
    """
    if not severities:
        return []
    greatest = max(severities)
    return [
        ShiftedTest(NEW_PEOPLE, (), 0.0),
        ShiftedTest(UNSEEN_GESTURES, (), 0.0, UNSEEN),
        *(ShiftedTest(f"{name}_{greatest:g}", (name,), greatest) for name in SHIFTS),
        *(everything(severity) for severity in sorted(severities)),
    ]


def everything(severity: float) -> ShiftedTest:
    """The test set in which everything but the gestures is shifted so far."""
    return ShiftedTest(f"{EVERYTHING}_{severity:g}", tuple(SHIFTS), severity)


def _between(key: str, trained: Any, severity: float) -> Any:
    """A value of the spec at this severity; of a pair, each of the two."""
    if isinstance(trained, tuple):
        pairs = zip(trained, HARDEST[key], strict=True)
        return tuple(_on_the_way(key, own, hardest, severity) for own, hardest in pairs)
    if key in OTHER_END:
        return trained + severity * (float(trained < 0.5) - trained)
    return _on_the_way(key, trained, HARDEST[key], severity)


def _on_the_way(key: str, trained: float, hardest: float, severity: float) -> float:
    end = min(trained, hardest) if key == "distance_m" else max(trained, hardest)
    return trained + severity * (end - trained)


def _in_other_light(spec: DatasetSpec, capture: Capture, severity: float) -> Capture:
    """The capture in dimmer light that comes from one side, lower, and is coloured."""
    light, rig = capture.lighting, capture.rig
    faint = 1 + severity * (FAINTEST - 1)
    dark = 1 + severity * (DARKEST - 1)
    tint = np.exp(severity * spec.rng("light", capture.number).uniform(-TINT, TINT, 3))
    return dataclasses.replace(
        capture,
        lighting=light._replace(
            elevation=light.elevation + severity * (LOWEST_RAD - light.elevation),
            key=light.key * tint,
            fill=light.fill * faint,
            ambient=light.ambient * faint,
        ),
        rig=dataclasses.replace(
            rig,
            sensors=tuple(one._replace(brightness=one.brightness * dark) for one in rig.sensors),
        ),
    )

